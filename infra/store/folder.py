"""An object store in a folder of this machine: `file:///path`, the bucket of the one-machine node.

A create writes a temporary file, syncs it, links it to its name (a link refuses to overwrite) and syncs the folder, so
that a name, once there, has the whole object behind it, and a create that returned survives a power loss. Keys become
nested folders; a folder counts as durable only after this process synced its parent. Several processes may use one
folder. All I/O runs in threads of the store's own, through `infra.disk`.
"""

import asyncio
import errno
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TypeVar

from infra.clock import SYSTEM_CLOCK, Clock
from infra.disk import OS_DISK, Disk, FileStat, opened
from infra.errors import BadStart, Exists, NotFound, Unavailable
from infra.store.body import buffers_of, check_range, slice_range
from infra.store.port import Buffer, ObjectInfo

_Answer = TypeVar("_Answer")

_INCOMING = ".incoming"  # temporary files: never listed, and no key can be there
_ABANDONED_MS = 3_600_000  # no create takes an hour: an older temporary file belongs to a process that died
_THREADS = 8
_PAGE = 1000  # objects a listing fetches at a time
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class FolderStore:
    """Implements `ObjectStore`."""

    def __init__(self, root: Path, *, disk: Disk = OS_DISK, clock: Clock = SYSTEM_CLOCK) -> None:
        """Makes the folder when it is missing and sweeps leftover temporary files. Blocks a moment.

        Raises `BadStart` when the folder cannot be used.
        """
        self._root = root.absolute()
        self._disk = disk
        self._clock = clock
        self._durable: set[Path] = set()  # folders whose names cannot be lost any more
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="folder-store")
        try:
            self._ensure_folder(self._root / _INCOMING)
            self._sweep()
        except OSError as error:
            raise BadStart(f"the folder {self._root} cannot hold the bucket: {error.strerror}") from error

    def __repr__(self) -> str:
        return f"FolderStore({self._root})"

    async def create(self, key: str, body: Buffer | Sequence[Buffer]) -> None:
        path = self._path(key)
        await self._run(lambda: self._create(key, path, buffers_of(body)))

    async def get(self, key: str) -> bytes:
        path = self._path(key)
        return await self._run(lambda: self._read(key, path, None))

    async def get_range(self, key: str, position: int, length: int) -> bytes:
        path = self._path(key)
        check_range(length)
        return await self._run(lambda: self._read(key, path, (position, length)))

    async def head(self, key: str) -> ObjectInfo | None:
        path = self._path(key)
        found = await self._run(lambda: self._disk.stat(path))
        return None if found is None or found.is_folder else _info(key, found)

    async def list(self, prefix: str, *, start_after: str = "") -> AsyncIterator[ObjectInfo]:
        folder = prefix.rpartition("/")[0]
        if folder:
            self._path(folder)
        found = self._walk(folder + "/" if folder else "", prefix, start_after)
        while page := await self._run(lambda: list(islice(found, _PAGE))):
            for info in page:
                yield info

    async def delete(self, keys: Sequence[str]) -> None:
        paths = [self._path(key) for key in keys]
        await self._run(lambda: self._delete(paths))

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)

    # in threads

    async def _run(self, work: Callable[[], _Answer]) -> _Answer:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except OSError as error:
            raise Unavailable(f"the folder {self._root} does not work: {error}") from error

    def _create(self, key: str, path: Path, buffers: Sequence[Buffer]) -> None:
        self._ensure_folder(path.parent)
        if self._disk.stat(path) is not None:  # spares the writing; the link decides
            raise self._refusal(key, path)
        temporary = self._root / _INCOMING / self._clock.token()
        try:
            with opened(self._disk.open(temporary, create=True, exclusive=True)) as file:
                file.pwrite(buffers, 0)
                file.sync()
            self._link(key, temporary, path)
            self._disk.sync_folder(path.parent)
        finally:
            with suppress(OSError):
                self._disk.unlink(temporary)

    def _link(self, key: str, temporary: Path, path: Path) -> None:
        try:
            self._disk.link(temporary, path)
        except FileExistsError:
            ours, there = self._disk.stat(temporary), self._disk.stat(path)
            if ours is None or there is None or ours.inode != there.inode:  # over NFS a link may meet its own success
                raise self._refusal(key, path) from None
        except OSError as error:
            if error.errno in _NO_LINKS:
                raise BadStart(
                    f"the filesystem of {self._root} has no hard links, without which a create could overwrite: "
                    "put the bucket on another filesystem"
                ) from error
            raise

    def _refusal(self, key: str, path: Path) -> Exists:
        """A refusal is acted upon, so the object that caused it must not vanish: its writer may not have synced yet."""
        self._disk.sync_folder(path.parent)
        return Exists(key)

    def _ensure_folder(self, folder: Path) -> None:
        """Make a folder and its parents, and make sure that none of their names can be lost."""
        if folder in self._durable or folder == folder.parent:
            return
        self._ensure_folder(folder.parent)
        made = self._disk.make_folder(folder)
        try:
            self._disk.sync_folder(folder.parent)  # also when it was there: its maker may not have synced it yet
        except PermissionError:
            if made or not self._root.is_relative_to(folder):  # around the bucket we may not be allowed to look
                raise
        self._durable.add(folder)

    def _read(self, key: str, path: Path, span: tuple[int, int] | None) -> bytes:
        try:
            with opened(self._disk.open(path, write=False)) as file:
                size = file.size()
                begin, end = (0, size) if span is None else slice_range(*span, size)
                return file.pread(end - begin, begin)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise NotFound(key) from None

    def _walk(self, folder: str, prefix: str, start_after: str) -> Iterator[ObjectInfo]:
        """Objects below a folder ("" or with a slash at its end), in key order."""
        try:
            entries = self._disk.scan(self._root / folder)
        except (FileNotFoundError, NotADirectoryError):
            return
        names = {entry.name + "/" * entry.is_folder: entry for entry in entries}  # "a-" sorts between "a" and "a/"
        for name in sorted(names):
            key = folder + name
            if name.endswith("/"):
                inside = key.startswith(prefix) or prefix.startswith(key)
                passed = key < start_after and not start_after.startswith(key)
                if inside and not passed and key != f"{_INCOMING}/":
                    yield from self._walk(key, prefix, start_after)
            elif key.startswith(prefix) and key > start_after:
                yield _info(key, names[name])

    def _delete(self, paths: Sequence[Path]) -> None:
        touched = set()
        for path in paths:
            with suppress(FileNotFoundError, NotADirectoryError):
                self._disk.unlink(path)
                touched.add(path.parent)
        for folder in touched:
            self._disk.sync_folder(folder)

    def _sweep(self) -> None:
        incoming = self._root / _INCOMING
        for entry in self._disk.scan(incoming):
            if self._clock.now_ms() - entry.modified_ms > _ABANDONED_MS:
                with suppress(FileNotFoundError):
                    self._disk.unlink(incoming / entry.name)

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if any(part in ("", ".", "..") for part in parts) or parts[0] == _INCOMING or "\0" in key:
            raise ValueError(f"{key!r} is no key")
        return self._root.joinpath(*parts)


def _info(key: str, stat: FileStat) -> ObjectInfo:
    return ObjectInfo(key, stat.size, stat.modified_ms)
