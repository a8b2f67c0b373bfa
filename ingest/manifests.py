"""Lets the led logs of a node follow the manifest ledgers of their partitions.

The view tells how far a ledger has come; what it says is read from the bucket. When a reader misses an object the
ledger is read again whatever the view says, and a view that has forgotten a version is told it again. What manifests
are good for is not known here: the log decides what it takes.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from infra.clock import Clock
from infra.cluster.manifest import Manifest, ManifestLedger
from infra.cluster.state import ClusterState
from infra.errors import BadStart, Corrupt, NotFound, Unavailable
from infra.partition import PartitionId
from infra.view.port import View
from ingest.backoff import until_available
from ingest.partition_log import PartitionLog

_log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0  # between two looks when the view tells nothing new: readers miss something, a lease was taken
SUSPECT_SECONDS = 5.0  # between two readings of one ledger because a reader misses something: a LIST each
DAMAGE_SECONDS = 60.0  # before a ledger that could not be understood is read again
PATIENCE_SECONDS = 5.0  # before a manifest that the log refuses is complained of
TELL_SECONDS = 30.0  # between two looks for what the view has forgotten
_READS_AT_ONCE = 16


@dataclass(slots=True)
class _Followed:
    """What is under way for one log."""

    reading: bool = False
    not_before: float = 0.0  # its ledger was damaged
    suspects_from: float = 0.0
    refused: Manifest | None = None  # read, and not taken by the log so far
    complain_at: float = 0.0


class ManifestFollower:
    """One a node that leads."""

    def __init__(
        self,
        *,
        ledger: ManifestLedger,
        view: View,
        clock: Clock,
        state: ClusterState,
        logs: Callable[[], Iterable[PartitionLog]],
    ) -> None:
        """`logs` answers everything that is led now."""
        self._ledger = ledger
        self._view = view
        self._clock = clock
        self._state = state
        self._logs = logs
        self._followed: dict[PartitionLog, _Followed] = {}
        self._gate = asyncio.Semaphore(_READS_AT_ONCE)
        self._tell_at = clock.monotonic() + TELL_SECONDS
        self._tasks: set[asyncio.Task[None]] = set()
        self._kicked = asyncio.Event()
        self._run: asyncio.Task[None] | None = None
        state.on_change(self._kicked.set)

    def start(self) -> None:
        """Begin to follow. Needs a running loop."""
        self._run = asyncio.create_task(self._looks(), name="manifests")

    async def stop(self) -> None:
        """End at once."""
        tasks = [*self._tasks, *([self._run] if self._run is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def settle(self) -> None:
        """Wait until what was begun is done."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.sleep(0)  # their callbacks take them from the set

    async def raise_log_start(self, log: PartitionLog, offset: int) -> None:
        """Make a log start offset durable, then let the log and the view know. Raises `Unavailable` and `Corrupt`."""
        try:
            manifest = await self._ledger.raise_log_start(log.partition, offset, log.manifest)
        except BaseException:
            log.suspect_manifest()  # it may be in the ledger all the same
            raise
        self._adopt(log, self._followed.setdefault(log, _Followed()), manifest)
        log.raise_log_start(offset)
        self._start(self._tell(log.partition, manifest.version))

    async def _looks(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._kicked.wait()
            self._kicked.clear()
            try:
                self.look()
            except Exception:  # noqa: BLE001  a look that fails must not be the last one
                _log.exception("manifests cannot be followed now")

    def look(self) -> None:
        """Begin to read every ledger that has something new, or is suspected to. Needs a running loop."""
        logs, now = tuple(self._logs()), self._clock.monotonic()
        self._followed = {log: self._followed.get(log) or _Followed() for log in logs}
        for log, followed in self._followed.items():
            if followed.refused is not None:
                self._adopt(log, followed, followed.refused)
            if followed.reading or now < followed.not_before:
                continue
            told = self._state.manifest_version(log.partition)
            if told > _newest_read(log, followed).version:
                self._read(log, followed, told)
            elif log.manifest_suspected and now >= followed.suspects_from:
                followed.suspects_from = now + SUSPECT_SECONDS
                self._read(log, followed, None)
        if now >= self._tell_at:
            self._tell_at = now + TELL_SECONDS
            self._tell_forgotten(logs)

    # Reading

    def _read(self, log: PartitionLog, followed: _Followed, told: int | None) -> None:
        followed.reading = True
        self._start(self._follow(log, followed, told))

    async def _follow(self, log: PartitionLog, followed: _Followed, told: int | None) -> None:
        async def newest() -> Manifest:
            known = _newest_read(log, followed)
            if log.closed:
                return known
            if told is not None:  # what a version needs is known to exist: no LIST
                return await self._ledger.read_upto(log.partition, told, known)
            log.manifest_suspected = False
            return await self._ledger.read(log.partition, known)

        try:
            async with self._gate:
                manifest = await until_available(self._clock, f"the manifest of {log.partition}", newest)
            self._adopt(log, followed, manifest)
        except (Corrupt, NotFound, BadStart) as error:
            _log.error("the manifest of %s stays at %d: %s", log.partition, log.manifest.version, error)
            followed.not_before = self._clock.monotonic() + DAMAGE_SECONDS
        finally:
            followed.reading = False

    def _adopt(self, log: PartitionLog, followed: _Followed, manifest: Manifest) -> None:
        """A refused one is tried again at each look: a compactor may see in the view what was published before the log
        was told so. When that does not help soon, the manifest is not right."""
        now = self._clock.monotonic()
        try:
            log.adopt_manifest(manifest)
        except Corrupt as error:
            if followed.refused is None:
                followed.complain_at = now + PATIENCE_SECONDS
            elif now >= followed.complain_at:
                followed.complain_at = math.inf
                _log.error("%s keeps manifest %d: %s", log.partition, log.manifest.version, error)
            followed.refused = manifest
        else:
            followed.refused = None

    # Telling the view

    def _tell_forgotten(self, logs: Iterable[PartitionLog]) -> None:
        for log in logs:
            if log.manifest.version > self._state.manifest_version(log.partition):
                self._start(self._tell(log.partition, log.manifest.version))

    async def _tell(self, partition: PartitionId, version: int) -> None:
        with contextlib.suppress(Unavailable):  # found missing and told again later
            async with self._gate:
                await self._view.put_manifest(partition, version)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _newest_read(log: PartitionLog, followed: _Followed) -> Manifest:
    return log.manifest if followed.refused is None else followed.refused
