"""The few calls to the operating system that durability hangs on, behind one seam.

Whoever promises that bytes survive (the WAL, the folder store) does its file I/O through a `Disk`, so that the test
twin, which forgets on a power loss whatever was not synced, can run under it. `OsDisk` is the real one. It knows files
and folders, nothing of what is in them, and raises plain `OSError`: the callers translate.

What a power loss may take: bytes of a file written since its last `sync`; entries of a folder (made, linked, renamed,
unlinked) since its last `sync_folder`. All calls block; run them in a thread.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from infra.store.port import Buffer

_MOST_BUFFERS = 1024  # IOV_MAX on Linux and macOS


@dataclass(frozen=True, slots=True)
class FileStat:
    """What a folder knows of one entry."""

    name: str
    is_folder: bool
    size: int  # bytes
    modified_ms: int
    inode: int  # two names of one file have the same


class DiskFile(Protocol):
    """An open file."""

    def pwrite(self, buffers: Sequence[Buffer], position: int) -> int:
        """Write all buffers one behind the other from `position`; answers how many bytes that were."""

    def pread(self, length: int, position: int) -> bytes:
        """Up to `length` bytes from `position`; fewer only at the end of the file."""

    def sync(self) -> None:
        """Make content and size durable (fdatasync). The folder entry is not part of it."""

    def truncate(self, size: int) -> None:
        """Cut the file, or lengthen it with zeros, to `size` bytes."""

    def size(self) -> int:
        """Length in bytes."""

    def close(self) -> None:
        """Give the descriptor back; syncs nothing."""


class Disk(Protocol):
    """One filesystem."""

    def open(self, path: Path, *, create: bool = False, exclusive: bool = False, write: bool = True) -> DiskFile:
        """Open for reading, and for writing at positions unless `write` is False. `create` makes a missing file;
        `exclusive` with it raises `FileExistsError` when the file is there."""

    def make_folder(self, path: Path) -> bool:
        """Make one folder in an existing one; False when it was there already."""

    def stat(self, path: Path) -> FileStat | None:
        """None when nothing has that name."""

    def scan(self, folder: Path) -> list[FileStat]:
        """All entries of a folder, in no order. Raises `FileNotFoundError`, `NotADirectoryError`."""

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name. Raises `FileExistsError`: never overwrites."""

    def rename(self, source: Path, target: Path) -> None:
        """Give a file another name in the same folder, replacing what had it."""

    def unlink(self, path: Path) -> None:
        """Take a name away. Raises `FileNotFoundError`."""

    def sync_folder(self, folder: Path) -> None:
        """Make the entries of a folder durable (fsync)."""


class OsFile:
    """A file descriptor of the operating system."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def pwrite(self, buffers: Sequence[Buffer], position: int) -> int:
        rest = [view for view in (memoryview(buffer).cast("B") for buffer in buffers) if view.nbytes]
        begin, first = position, 0
        while first < len(rest):
            done = os.pwritev(self._descriptor, rest[first : first + _MOST_BUFFERS], position)
            position += done
            while first < len(rest) and done >= rest[first].nbytes:
                done -= rest[first].nbytes
                first += 1
            if done:  # a short write ended inside a buffer
                rest[first] = rest[first][done:]
        return position - begin

    def pread(self, length: int, position: int) -> bytes:
        found = os.pread(self._descriptor, length, position)
        if len(found) in (0, length):
            return found
        parts = [found]  # one call may give less than asked (Linux stops at 2 GiB)
        missing = length - len(found)
        while missing and (more := os.pread(self._descriptor, missing, position + length - missing)):
            parts.append(more)
            missing -= len(more)
        return b"".join(parts)

    def sync(self) -> None:
        _sync_descriptor(self._descriptor)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def close(self) -> None:
        os.close(self._descriptor)


class OsDisk:
    """The filesystem of the operating system."""

    def open(self, path: Path, *, create: bool = False, exclusive: bool = False, write: bool = True) -> OsFile:
        flags = os.O_CLOEXEC | (os.O_RDWR if write else os.O_RDONLY)
        if create:
            flags |= os.O_CREAT | (os.O_EXCL if exclusive else 0)
        return OsFile(os.open(path, flags, 0o644))

    def make_folder(self, path: Path) -> bool:
        try:
            path.mkdir()
        except FileExistsError:
            if not path.is_dir():
                raise
            return False
        return True

    def stat(self, path: Path) -> FileStat | None:
        try:
            return _file_stat(path.name, path.stat())
        except (FileNotFoundError, NotADirectoryError):
            return None

    def scan(self, folder: Path) -> list[FileStat]:
        found = []
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    found.append(_file_stat(entry.name, entry.stat()))
                except FileNotFoundError:
                    continue  # unlinked since
        return found

    def link(self, source: Path, target: Path) -> None:
        os.link(source, target)

    def rename(self, source: Path, target: Path) -> None:
        source.replace(target)

    def unlink(self, path: Path) -> None:
        path.unlink()

    def sync_folder(self, folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def opened(file: DiskFile) -> Iterator[DiskFile]:
    """Close the file at the end of the block."""
    try:
        yield file
    finally:
        file.close()


def _file_stat(name: str, stat: os.stat_result) -> FileStat:
    is_folder = (stat.st_mode & 0o170000) == 0o040000
    return FileStat(name, is_folder, stat.st_size, stat.st_mtime_ns // 1_000_000, stat.st_ino)


def _sync_descriptor(descriptor: int) -> None:
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # fsync there stops at the drive's cache
    else:
        os.fdatasync(descriptor)


OS_DISK = OsDisk()
