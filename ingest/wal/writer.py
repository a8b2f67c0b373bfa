"""The WAL of a node: takes entries of all partitions on the event loop, writes and syncs them on a thread of its own.

The thread takes all that waits, writes it at once, syncs once, and answers all of it in one call on the loop. Callers
see positions: `append` says where its entries end, `trim` says below which nothing is needed any more.
"""

import asyncio
import errno
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from infra.clock import SYSTEM_CLOCK, Clock
from infra.disk import OS_DISK, Disk
from infra.errors import BadStart, Unavailable
from ingest.wal.files import WalFiles
from ingest.wal.frame import FRAME_HEADER_BYTES, WalEntry, check_entry, frame_size
from ingest.wal.identity import create_identity
from ingest.wal.recovery import Recovered, recover

Done = Callable[[BaseException | None], None]
"""Called once on the event loop: None when the entries are on the disk, else why that is not known."""

Schedule = Callable[[Callable[[], None]], None]
"""Runs a function later in the same thread; in place of the writer's thread, for simulations."""

_FULL_DISK = (errno.ENOSPC, errno.EDQUOT)
_log = logging.getLogger(__name__)


class Wal:
    """One a node. `append`, `trim` and the properties are for the event loop's thread.

    When the disk refuses a write for want of space, what waits goes on waiting until there is space, and new appends
    are refused. After any other error, and after every failed sync, nothing more is accepted until the WAL is opened
    again and read back: what a failed sync left on the disk cannot be known.
    """

    def __init__(
        self, files: WalFiles, recovered: Recovered, wal_id: str, budget_bytes: int, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.wal_id = wal_id
        self.recovered = recovered
        self.retry_seconds = 1.0  # between two tries on a full disk
        self._files = files
        self._budget = budget_bytes
        self._loop = loop
        self._schedule: Schedule | None = None
        self._changed = threading.Condition()
        self._waiting: list[tuple[Sequence[WalEntry], Done]] = []
        self._end = recovered.end
        self._trimmed = recovered.trimmed
        self._closing = False
        self._disk_full = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="wal-writer", daemon=True)

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        loop: asyncio.AbstractEventLoop,
        file_bytes: int = 64 << 20,
        budget_bytes: int = 4 << 30,
        disk: Disk = OS_DISK,
        clock: Clock = SYSTEM_CLOCK,
        on_sync: Callable[[float, int], None] | None = None,
        schedule: Schedule | None = None,
    ) -> "Wal":
        """Read back what the folder holds (`recovered`), or make a new WAL in it, and be ready to append behind it.

        Blocks: call it in a thread. One process at a time may have the folder open. `on_sync(seconds, bytes)` is told
        of each sync, on the writer's thread. With `schedule` there is no thread. Raises `BadStart`.
        """
        try:
            recovered = recover(folder, disk)
            identity = recovered.identity or create_identity(folder, disk, clock)
            files = WalFiles(recovered, identity, file_bytes, clock)
            files.open()
        except OSError as error:
            raise BadStart(f"the WAL in {folder} cannot be opened: {error}") from error
        for sentence in recovered.damage:
            _log.error("WAL damaged: %s", sentence)
        wal = cls(files, recovered, identity.wal_id, budget_bytes, loop)
        if on_sync is not None:
            files.on_sync = on_sync
        wal._schedule = schedule
        if schedule is None:
            wal._thread.start()
        return wal

    @property
    def end(self) -> int:
        """Position after everything that was appended."""
        return self._end

    @property
    def bytes_used(self) -> int:
        """Bytes appended and not yet trimmed."""
        return self._end - self._trimmed

    @property
    def failure(self) -> BaseException | None:
        """Why nothing more is accepted; None while all is well."""
        return self._failure

    def has_room(self, size: int, batches: int = 1) -> bool:
        """True when so many more batches of `size` bytes in all may be appended now."""
        needed = size + batches * FRAME_HEADER_BYTES
        return not self._disk_full and self._failure is None and self.bytes_used + needed <= self._budget

    def append(self, entries: Sequence[WalEntry], done: Done) -> int:
        """Hand over entries, whose bytes must not change any more; answers the position after them.

        Raises `Unavailable` without taking anything: over the budget, disk full, failed or closed; and `ValueError`
        for an entry whose batch is not stamped as the entry says.
        """
        size = 0
        for entry in entries:
            check_entry(entry)
            size += frame_size(entry)
        with self._changed:
            self._check_room(size)
            self._waiting.append((entries, done))
            self._end += size
            first = len(self._waiting) == 1
            if self._schedule is None:
                self._changed.notify()
        if first and self._schedule is not None:
            self._schedule(self._write_waiting)
        return self._end

    def trim(self, position: int) -> None:
        """Nothing below `position` is needed any more; files wholly below it are written over. Never goes back."""
        self._trimmed = max(self._trimmed, min(position, self._end))

    def close(self) -> None:
        """Write and sync what waits, then stop; blocks. Nothing is accepted from now on."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join()
        else:
            self._write_waiting()
        self._files.close()

    def _check_room(self, size: int) -> None:
        if self._failure is not None:
            raise Unavailable(f"the WAL has failed: {self._failure}") from self._failure
        if self._closing:
            raise Unavailable("the WAL is closed")
        if self._disk_full:
            raise Unavailable("the WAL's disk is full")
        if self.bytes_used + size > self._budget:
            raise Unavailable(f"the WAL holds {self.bytes_used} bytes that are not published, its budget is used up")

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                if not self._waiting:
                    return
            self._write_waiting()

    def _write_waiting(self) -> None:
        with self._changed:
            group, self._waiting = self._waiting, []
        if not group:
            return
        failure = self._failure or self._write(group)
        try:
            self._loop.call_soon_threadsafe(_tell, [done for _, done in group], failure)
        except RuntimeError:
            _log.warning("the event loop ended before %d appends to the WAL were answered", len(group))

    def _write(self, group: list[tuple[Sequence[WalEntry], Done]]) -> BaseException | None:
        try:
            entries = (entry for appended, _ in group for entry in appended)
            self._files.write_group(entries, self._trimmed, self._wait_for_space)
            self._disk_full = False
        except Exception as error:  # noqa: BLE001  whatever it is, the waiting must hear of it
            _log.exception("the WAL has failed, nothing more is accepted until it is opened again")
            self._failure = Unavailable(f"the WAL has failed: {error}")
            self._failure.__cause__ = error
        return self._failure

    def _wait_for_space(self, error: OSError) -> None:
        if error.errno not in _FULL_DISK:
            raise error
        with self._changed:
            if not self._disk_full:
                _log.error("the WAL's disk is full, producers wait until there is space: %s", error)
            self._disk_full = True
            if self._schedule is not None or self._closing:
                raise error
            self._changed.wait(self.retry_seconds)


def _tell(group: list[Done], failure: BaseException | None) -> None:
    for done in group:
        try:
            done(failure)
        except Exception:  # noqa: BLE001  one caller's fault must not keep the others waiting
            _log.exception("a callback of the WAL failed")
