"""The real disk and its twin behave alike, and the twin forgets as it says."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.disk import OS_DISK, Disk, opened
from tests.disk_twin import PowerLoss, TwinDisk, keep_everything, keep_some


@contextmanager
def _disk(kind: str) -> Iterator[tuple[Disk, Path]]:
    if kind == "twin":
        yield TwinDisk(), Path("/")
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield OS_DISK, Path(folder)


@pytest.mark.parametrize("kind", ["os", "twin"])
def test_files_and_folders(kind: str) -> None:
    with _disk(kind) as (disk, root):
        assert disk.make_folder(root / "a")
        assert not disk.make_folder(root / "a")
        with opened(disk.open(root / "a" / "x", create=True, exclusive=True)) as file:
            assert file.pwrite([b"one", memoryview(b""), bytearray(b"two")], 2) == 6
            assert file.pread(99, 0) == b"\0\0onetwo"
            assert file.pread(2, 3) == b"ne"
            assert file.pread(2, 8) == b""
            file.truncate(5)
            file.sync()
            assert file.size() == 5
        with pytest.raises(FileExistsError):
            disk.open(root / "a" / "x", create=True, exclusive=True)
        disk.link(root / "a" / "x", root / "y")
        with pytest.raises(FileExistsError):
            disk.link(root / "a" / "x", root / "y")
        first, second = disk.stat(root / "a" / "x"), disk.stat(root / "y")
        assert first is not None
        assert second is not None
        assert first.inode == second.inode
        assert (second.name, second.is_folder, second.size) == ("y", False, 5)
        disk.rename(root / "y", root / "z")
        disk.sync_folder(root)
        assert {(entry.name, entry.is_folder) for entry in disk.scan(root)} == {("a", True), ("z", False)}
        disk.unlink(root / "z")
        for missing in (root / "z", root / "z" / "deeper", root / "a" / "x" / "deeper"):
            assert disk.stat(missing) is None
        for call in (disk.unlink, disk.open, disk.scan):
            with pytest.raises(FileNotFoundError):
                call(root / "z")


@pytest.mark.parametrize("kind", ["os", "twin"])
def test_many_small_buffers_in_one_write(kind: str) -> None:
    with _disk(kind) as (disk, root), opened(disk.open(root / "x", create=True)) as file:
        buffers = [bytes([number % 251]) * (number % 5) for number in range(5000)]
        assert file.pwrite(buffers, 0) == sum(map(len, buffers))
        assert file.pread(20_000, 0) == b"".join(buffers)


def _written(disk: TwinDisk, *, sync: bool, sync_folder: bool) -> dict[str, bytes]:
    with opened(disk.open(Path("/x"), create=True)) as file:
        file.pwrite([b"bytes"], 0)
        if sync:
            file.sync()
    if sync_folder:
        disk.sync_folder(Path("/"))
    return disk.files()


def test_the_twin_keeps_only_what_was_synced() -> None:
    for sync, sync_folder, kept in (
        (True, True, {"/x": b"bytes"}),
        (False, True, {"/x": b""}),
        (True, False, {}),
        (False, False, {}),
    ):
        disk = TwinDisk()
        assert _written(disk, sync=sync, sync_folder=sync_folder) == {"/x": b"bytes"}
        disk.restart()
        assert disk.files() == kept


def test_the_twin_may_keep_more_and_tears() -> None:
    disk = TwinDisk()
    _written(disk, sync=False, sync_folder=False)
    disk.restart(keep_everything)
    assert disk.files() == {"/x": b"bytes"}
    seen = set()
    for seed in range(60):
        disk = TwinDisk()
        _written(disk, sync=False, sync_folder=True)
        disk.restart(keep_some(seed))
        seen.add(disk.files()["/x"])
    assert {b"", b"bytes"} < seen <= {b"bytes"[:length] for length in range(6)}


def test_the_twin_cuts_the_power_and_old_files_are_gone() -> None:
    disk = TwinDisk()
    disk.cut_at = 1
    file = disk.open(Path("/x"), create=True)
    with pytest.raises(PowerLoss):
        file.pwrite([b"bytes"], 0)
    with pytest.raises(PowerLoss):
        disk.stat(Path("/x"))
    disk.restart()
    assert disk.stat(Path("/x")) is None
    with pytest.raises(PowerLoss):
        file.size()


def test_the_twin_leaves_a_sync_out() -> None:
    disk = TwinDisk()
    disk.skip_sync = 0
    _written(disk, sync=True, sync_folder=True)
    disk.restart()
    assert disk.files() == {"/x": b""}


def test_a_rename_is_one_change_and_an_unlink_can_come_undone() -> None:
    disk = TwinDisk()
    _written(disk, sync=True, sync_folder=True)
    disk.rename(Path("/x"), Path("/y"))
    disk.restart()
    assert set(disk.files()) == {"/x"}
    disk.rename(Path("/x"), Path("/y"))
    disk.sync_folder(Path("/"))
    disk.unlink(Path("/y"))
    disk.restart()
    assert disk.files() == {"/y": b"bytes"}
