"""A filesystem in memory that loses power: it forgets what was not synced, and tears the write that was under way.

Its rules are the least that POSIX promises, harsher than any real filesystem: a file's bytes survive by the file's own
sync only, a name (made, linked, renamed, unlinked) by the sync of its folder only. What was not synced may survive all
the same, whole or in part, which `Keep` decides. Every step that changes something counts, so a test can cut the power
at each of them in turn, and can leave out the n-th sync to prove that it was needed.
"""

import errno
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from infra.disk import DiskFile, FileStat
from infra.store.port import Buffer

Keep = Callable[[bytes], int]
"""How much of an unsynced change survives: given its bytes (empty for a name), how many of them do; -1 is none."""


def keep_nothing(change: bytes) -> int:
    """Every unsynced byte and name is lost."""
    return -1


def keep_everything(change: bytes) -> int:
    """The system crashed but the disk happened to have it all."""
    return len(change)


def keep_some(seed: int) -> Keep:
    """Each unsynced change by chance: lost, torn or whole."""
    chance = random.Random(seed)
    return lambda change: chance.choice((-1, chance.randint(0, len(change)), len(change)))


class PowerLoss(Exception):
    """The power went; nothing works until `restart`."""


@dataclass
class _File:
    inode: int
    content: bytearray = field(default_factory=bytearray)
    synced: bytearray = field(default_factory=bytearray)
    unsynced: list[tuple[int, bytes] | int] = field(default_factory=list)  # (position, bytes), or a new size
    modified_ms: int = 0


@dataclass
class _Folder:
    inode: int
    entries: "dict[str, _File | _Folder]" = field(default_factory=dict)
    synced: "dict[str, _File | _Folder]" = field(default_factory=dict)
    unsynced: "list[dict[str, _File | _Folder | None]]" = field(default_factory=list)  # one dict an atomic change


class TwinDisk:
    """Implements `infra.disk.Disk`. Thread-safe, as a filesystem is."""

    def __init__(self) -> None:
        self.steps = 0  # changing calls so far
        self.syncs = 0  # of them, syncs of files and folders
        self.cut_at: int | None = None  # lose power in this step (counted from 0)
        self.skip_sync: int | None = None  # pretend to do this sync (counted from 0), and do nothing
        self.now_ms = 0  # what modification times are stamped with
        self.lost = False
        self.log: list[str] = []  # one line a step
        self._lock = threading.RLock()
        self._inodes = 0
        self._boot = 0  # files opened before a restart are gone
        self._root = _Folder(0)

    def restart(self, keep: Keep = keep_nothing) -> None:
        """Power is back: every unsynced change is dropped, but for what `keep` lets survive. Open files are gone."""
        with self._lock:
            _settle(self._root, keep, {})
            self.lost = False
            self.cut_at = self.skip_sync = None
            self.steps = self.syncs = 0
            self.log = []
            self._boot += 1

    # Disk
    def open(self, path: Path, *, create: bool = False, exclusive: bool = False, write: bool = True) -> DiskFile:
        with self._lock:
            self._check()
            folder = self._folder(path.parent)
            found = folder.entries.get(path.name)
            if isinstance(found, _Folder):
                raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
            if found is not None and create and exclusive:
                raise FileExistsError(errno.EEXIST, "exists", str(path))
            if found is None:
                if not create:
                    raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
                found = _File(self._inode(), modified_ms=self.now_ms)
                self._change(f"make {path}", folder, {path.name: found})
            return _TwinFile(self, found, path, self._boot)

    def make_folder(self, path: Path) -> bool:
        with self._lock:
            self._check()
            if path == Path(path.anchor):
                return False
            folder = self._folder(path.parent)
            found = folder.entries.get(path.name)
            if isinstance(found, _File):
                raise FileExistsError(errno.EEXIST, "exists", str(path))
            if found is not None:
                return False
            self._change(f"make folder {path}", folder, {path.name: _Folder(self._inode())})
            return True

    def stat(self, path: Path) -> FileStat | None:
        with self._lock:
            self._check()
            if path == Path(path.anchor):
                return _stat("", self._root)
            try:
                found = self._folder(path.parent).entries.get(path.name)
            except (FileNotFoundError, NotADirectoryError):
                return None
            return None if found is None else _stat(path.name, found)

    def scan(self, folder: Path) -> list[FileStat]:
        with self._lock:
            self._check()
            return [_stat(name, entry) for name, entry in self._folder(folder).entries.items()]

    def link(self, source: Path, target: Path) -> None:
        with self._lock:
            self._check()
            file = self._file(source)
            folder = self._folder(target.parent)
            if target.name in folder.entries:
                raise FileExistsError(errno.EEXIST, "exists", str(target))
            self._change(f"link {target}", folder, {target.name: file})

    def rename(self, source: Path, target: Path) -> None:
        assert source.parent == target.parent, "renames stay in their folder: only those are one atomic change"
        with self._lock:
            self._check()
            file = self._file(source)
            if source != target:
                self._change(f"rename {target}", self._folder(source.parent), {source.name: None, target.name: file})

    def unlink(self, path: Path) -> None:
        with self._lock:
            self._check()
            self._file(path)
            self._change(f"unlink {path}", self._folder(path.parent), {path.name: None})

    def sync_folder(self, folder: Path) -> None:
        with self._lock:
            self._check()
            found = self._folder(folder)
            if self._sync(f"sync folder {folder}"):
                found.synced = dict(found.entries)
                found.unsynced.clear()

    # for tests
    def files(self) -> dict[str, bytes]:
        """Path → content of every file that can be seen now."""
        seen: dict[str, bytes] = {}

        def walk(folder: _Folder, path: Path) -> None:
            for name, entry in folder.entries.items():
                if isinstance(entry, _Folder):
                    walk(entry, path / name)
                else:
                    seen[str(path / name)] = bytes(entry.content)

        walk(self._root, Path("/"))
        return seen

    # inside
    def _inode(self) -> int:
        self._inodes += 1
        return self._inodes

    def _check(self) -> None:
        if self.lost:
            raise PowerLoss

    def _step(self, what: str) -> bool:
        """Count a step; True when the power goes in it."""
        self.log.append(what)
        self.lost = self.steps == self.cut_at
        self.steps += 1
        return self.lost

    def _change(self, what: str, folder: _Folder, change: "dict[str, _File | _Folder | None]") -> None:
        lost = self._step(what)
        folder.unsynced.append(change)
        _apply(folder.entries, change)
        if lost:  # the change was under way: it may survive, as any unsynced one
            raise PowerLoss

    def _sync(self, what: str) -> bool:
        """Count a sync; False when it is to be left out."""
        if self._step(what):
            raise PowerLoss
        self.syncs += 1
        return self.syncs - 1 != self.skip_sync

    def _folder(self, path: Path) -> _Folder:
        at: _File | _Folder = self._root
        for name in path.parts[1:]:
            if not isinstance(at, _Folder):
                raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(path))
            found = at.entries.get(name)
            if found is None:
                raise FileNotFoundError(errno.ENOENT, "no such folder", str(path))
            at = found
        if not isinstance(at, _Folder):
            raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(path))
        return at

    def _file(self, path: Path) -> _File:
        found = self._folder(path.parent).entries.get(path.name)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        if isinstance(found, _Folder):
            raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
        return found


class _TwinFile:
    def __init__(self, disk: TwinDisk, file: _File, path: Path, boot: int) -> None:
        self._disk, self._file, self._path, self._boot = disk, file, path, boot

    def pwrite(self, buffers: Sequence[Buffer], position: int) -> int:
        data = b"".join(buffers)
        with self._disk._lock:
            self._check()
            lost = self._disk._step(f"write {self._path} {position}+{len(data)}")
            self._file.unsynced.append((position, data))
            self._file.modified_ms = self._disk.now_ms
            _write(self._file.content, (position, data))
            if lost:
                raise PowerLoss
        return len(data)

    def pread(self, length: int, position: int) -> bytes:
        with self._disk._lock:
            self._check()
            return bytes(self._file.content[position : position + length])

    def sync(self) -> None:
        with self._disk._lock:
            self._check()
            if self._disk._sync(f"sync {self._path}"):
                self._file.synced = bytearray(self._file.content)
                self._file.unsynced.clear()

    def truncate(self, size: int) -> None:
        with self._disk._lock:
            self._check()
            lost = self._disk._step(f"truncate {self._path} {size}")
            self._file.unsynced.append(size)
            _write(self._file.content, size)
            if lost:
                raise PowerLoss

    def size(self) -> int:
        with self._disk._lock:
            self._check()
            return len(self._file.content)

    def close(self) -> None:
        return

    def _check(self) -> None:
        if self._boot != self._disk._boot:
            raise PowerLoss
        self._disk._check()


def _stat(name: str, entry: _File | _Folder) -> FileStat:
    if isinstance(entry, _Folder):
        return FileStat(name, True, 0, 0, entry.inode)
    return FileStat(name, False, len(entry.content), entry.modified_ms, entry.inode)


def _apply(entries: dict[str, _File | _Folder], change: dict[str, _File | _Folder | None]) -> None:
    for name, entry in change.items():
        if entry is None:
            entries.pop(name, None)
        else:
            entries[name] = entry


def _write(content: bytearray, change: tuple[int, bytes] | int) -> None:
    if isinstance(change, int):
        del content[change:]
        content.extend(bytes(change - len(content)))
        return
    position, data = change
    content.extend(bytes(max(0, position - len(content))))
    content[position : position + len(data)] = data


def _settle(entry: _File | _Folder, keep: Keep, done: dict[int, None]) -> None:
    """Make what is durable the only state, file by file and name by name."""
    if entry.inode in done:
        return
    done[entry.inode] = None
    if isinstance(entry, _File):
        for change in entry.unsynced:
            part = change if isinstance(change, int) else change[1]
            kept = keep(b"" if isinstance(part, int) else part)
            if kept >= 0:
                _write(entry.synced, change if isinstance(change, int) else (change[0], change[1][:kept]))
        entry.content = bytearray(entry.synced)
    else:
        for names in entry.unsynced:
            if keep(b"") >= 0:
                _apply(entry.synced, names)
        entry.entries = dict(entry.synced)
        for child in entry.entries.values():
            _settle(child, keep, done)
    entry.unsynced.clear()
