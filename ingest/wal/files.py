"""The files of a WAL: writes groups of entries, goes from file to file, writes over those that were trimmed.

No thread and no callback in here: `write_group` returns when the group is on the disk. Order of durable steps:

    a new file's name (sync of the folder) → its frames (sync of the file) → the first frame of the next file

Written-over files save the filesystem most of the work of a sync, so trimmed files are kept and used again, the one
with the lowest generation first and never the newest: recovery counts on both.
"""

from collections import deque
from collections.abc import Callable, Iterable

from infra.clock import Clock
from infra.disk import DiskFile
from infra.store.port import Buffer
from ingest.wal.frame import WalEntry, encode_header, frame_size
from ingest.wal.identity import FILE_SUFFIX, WalIdentity
from ingest.wal.recovery import Recovered, WalFile


class WalFiles:
    """Owned by one thread at a time. After an `OSError` from a sync, or from anything but a full disk, it is spent."""

    def __init__(self, recovered: Recovered, identity: WalIdentity, file_bytes: int, clock: Clock) -> None:
        self.on_sync: Callable[[float, int], None] = lambda seconds, size: None
        self._folder = recovered.folder
        self._disk = recovered.disk
        self._clock = clock
        self._seed = identity.seed
        self._file_bytes = file_bytes
        self._full = deque(recovered.files)  # finished, oldest first
        self._free = deque(recovered.empty)  # may be written over
        self._generation = recovered.highest_generation
        names = [file.name for file in (*recovered.files, *recovered.empty)]
        self._last_number = max((_number(name) for name in names), default=0)
        self._file: WalFile | None = None
        self._handle: DiskFile | None = None
        self._trimmed_before = recovered.trimmed
        self.synced = recovered.end  # everything below this position is on the disk

    def open(self) -> None:
        """Make sure that what was recovered, and the folder itself, outlives a power loss; take the first file.

        A process that died may have written frames that it never synced: they were read, but only from memory.
        """
        if self._full:
            handle = self._disk.open(self._folder / self._full[-1].name)
            try:
                handle.sync()
            finally:
                handle.close()
        self._disk.sync_folder(self._folder)
        self._take_file(self._file_bytes, self.synced, self._trimmed_before)

    def write_group(self, entries: Iterable[WalEntry], trimmed: int, retry: Callable[[OSError], None]) -> None:
        """Write all entries one after the other from position `synced` on and sync them.

        `retry` is called when a write (never a sync) failed and may be repeated: it waits, or raises to give up.
        """
        buffers: list[Buffer] = []
        position = begin = self.synced
        for entry in entries:
            size = frame_size(entry)
            if self._file is None or position + size > self._file.begin + self._file.size:
                self._write(begin, buffers, position, retry)
                self._next_file(size, position, trimmed, retry)
                buffers, begin = [], position
            generation = self._file.generation if self._file is not None else 0
            buffers.append(encode_header(entry, self._seed, generation, position, self.synced, trimmed))
            buffers.append(entry.batch)
            position += size
        self._write(begin, buffers, position, retry)

    def close(self) -> None:
        """Give the file back; syncs nothing."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def _write(self, begin: int, buffers: list[Buffer], end: int, retry: Callable[[OSError], None]) -> None:
        if self._file is None or self._handle is None or not buffers:
            return
        while True:
            try:
                self._handle.pwrite(buffers, begin - self._file.begin)
                break
            except OSError as error:
                retry(error)  # the same bytes go to the same place again, so a half-made write does no harm
        started = self._clock.monotonic()
        self._handle.sync()
        self.on_sync(self._clock.monotonic() - started, end - begin)
        self.synced = self._file.end = end

    def _next_file(self, needed: int, position: int, trimmed: int, retry: Callable[[OSError], None]) -> None:
        if self._file is not None:
            self.close()
            self._full.append(self._file)
            self._file = None
        while True:
            try:
                return self._take_file(needed, position, trimmed)
            except OSError as error:
                retry(error)

    def _take_file(self, needed: int, position: int, trimmed: int) -> None:
        self._free_trimmed(trimmed)
        size = max(needed, self._file_bytes)
        while self._free and self._free[0].size != self._file_bytes:
            self._remove(self._free[0])
            self._free.popleft()
        self._generation += 1
        if self._free and needed <= self._file_bytes:
            name = self._free[0].name
            self._handle = self._disk.open(self._folder / name)
            self._free.popleft()
        else:
            name, self._handle = self._create(size)
        self._file = WalFile(name, size, self._generation, position, position)

    def _free_trimmed(self, trimmed: int) -> None:
        while len(self._full) > 1 and self._full[0].end <= trimmed:
            self._free.append(self._full.popleft())

    def _remove(self, file: WalFile) -> None:
        """A file that was made larger for one large batch, or under another setting, is not used again."""
        if self._disk.stat(self._folder / file.name) is not None:
            self._disk.unlink(self._folder / file.name)
        self._disk.sync_folder(self._folder)

    def _create(self, size: int) -> tuple[str, DiskFile]:
        self._last_number += 1
        name = f"{self._last_number:010d}{FILE_SUFFIX}"
        handle = self._disk.open(self._folder / name, create=True, exclusive=True)
        try:
            handle.truncate(size)
            self._disk.sync_folder(self._folder)
        except BaseException:
            handle.close()
            raise
        return name, handle


def _number(name: str) -> int:
    stem = name.removesuffix(FILE_SUFFIX)
    return int(stem) if stem.isdecimal() else 0
