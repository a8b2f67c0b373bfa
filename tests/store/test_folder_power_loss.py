"""The folder store under a disk that loses power: what was answered survives, what was not is whole or absent."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from infra.clock import Clock
from infra.errors import CauceError, Exists
from infra.store.folder import FolderStore
from tests.disk_twin import Keep, PowerLoss, TwinDisk, keep_everything, keep_nothing, keep_some

ROOT = Path("/data/bucket")
BODIES = {"topics/t/0000000000": b"first " * 50, "topics/t/0000000001": b"second " * 50, "fences/1/2": b""}
KEEPS: dict[str, Keep] = {"nothing": keep_nothing, "everything": keep_everything}
KEEPS.update({f"some {seed}": keep_some(seed) for seed in range(6)})


class StillClock(Clock):
    """Holds time still, and counts tokens so that two runs take the same steps."""

    def __init__(self, now_ms: int = 0) -> None:
        self.ms = now_ms
        self._tokens = 0

    def now_ms(self) -> int:
        return self.ms

    def token(self) -> str:
        self._tokens += 1
        return f"{self.ms}-{self._tokens}"


def _run(disk: TwinDisk) -> set[str]:
    """Create everything until the power goes; answers which creates returned."""
    answered: set[str] = set()

    async def main() -> None:
        store = FolderStore(ROOT, disk=disk, clock=StillClock())
        try:
            for key, body in BODIES.items():
                await store.create(key, [body[:100], body[100:]])
                answered.add(key)
        finally:
            await store.close()

    with contextlib.suppress(PowerLoss):
        asyncio.run(main())
    return answered


def _found(disk: TwinDisk) -> dict[str, bytes]:
    """What a new process finds."""

    async def main() -> dict[str, bytes]:
        store = FolderStore(ROOT, disk=disk, clock=StillClock())
        try:
            return {info.key: await store.get(info.key) async for info in store.list("")}
        finally:
            await store.close()

    return asyncio.run(main())


def _steps() -> TwinDisk:
    disk = TwinDisk()
    assert _run(disk) == set(BODIES)
    return disk


@pytest.mark.parametrize("keep", KEEPS.values(), ids=KEEPS.keys())
def test_the_power_goes_at_every_step(keep: Keep) -> None:
    for step in range(_steps().steps + 1):
        disk = TwinDisk()
        disk.cut_at = step
        answered = _run(disk)
        log = disk.log
        disk.restart(keep)
        found = _found(disk)
        assert answered <= set(found), log
        assert found == {key: BODIES[key] for key in found}, log


def test_every_sync_is_needed() -> None:
    whole = _steps()
    needless = []
    for sync in range(whole.syncs):
        survived = 0
        for step in range(whole.steps + 1):
            disk = TwinDisk()
            disk.cut_at, disk.skip_sync = step, sync
            answered = _run(disk)
            disk.restart(keep_nothing)
            found = _found(disk)
            survived += answered <= set(found) and all(found[key] == BODIES[key] for key in found)
        if survived == whole.steps + 1:
            needless.append([line for line in whole.log if line.startswith("sync")][sync])
    # the folder of temporary files may go with them; an empty body has no bytes to lose
    assert needless == ["sync folder /data/bucket", "sync /data/bucket/.incoming/0-3"]


def test_a_folder_that_another_writer_made_is_not_yet_durable() -> None:
    disk = TwinDisk()
    _found(disk)
    topics = ROOT / "topics"
    disk.make_folder(topics)  # another process, which lives but has synced nothing yet
    disk.make_folder(topics / "t")
    disk.cut_at = -1
    assert _run(disk) == set(BODIES)
    disk.restart()
    assert _found(disk) == BODIES


def test_a_refusal_means_that_the_object_stays() -> None:
    async def main(disk: TwinDisk) -> None:
        first = FolderStore(ROOT, disk=disk, clock=StillClock())
        await first.create("a/b", b"first")
        await first.delete(["a/b"])
        disk.open(ROOT / "loose", create=True).sync()
        disk.link(ROOT / "loose", ROOT / "a" / "b")  # another process linked it and has not synced the folder yet
        with pytest.raises(Exists):
            await first.create("a/b", b"second")
        await first.close()

    disk = TwinDisk()
    asyncio.run(main(disk))
    disk.restart()
    assert _found(disk) == {"a/b": b""}


def test_temporary_files_of_the_dead_are_swept_but_not_those_of_the_living() -> None:
    disk = TwinDisk()
    disk.cut_at = next(at for at, line in enumerate(_steps().log) if line.startswith("write"))
    _run(disk)
    disk.restart(keep_everything)
    left = [path for path in disk.files() if "/.incoming/" in path]
    assert len(left) == 1
    for later_ms, expected in ((60_000, left), (2 * 3_600_000, [])):
        store = FolderStore(ROOT, disk=disk, clock=StillClock(later_ms))
        assert [path for path in disk.files() if "/.incoming/" in path] == expected
        asyncio.run(store.close())


def test_a_create_leaves_no_temporary_file_behind() -> None:
    disk = _steps()
    assert sorted(disk.files()) == sorted(str(ROOT / key) for key in BODIES)


class RetransmittingDisk(TwinDisk):
    """A network filesystem whose first link is done but answered as if the name had been taken."""

    def link(self, source: Path, target: Path) -> None:
        super().link(source, target)
        raise FileExistsError(17, "exists", str(target))


def test_a_link_that_meets_its_own_success() -> None:
    assert _run(RetransmittingDisk()) == set(BODIES)


class FullDisk(TwinDisk):
    def sync_folder(self, folder: Path) -> None:
        if folder.name == "a":
            raise OSError(28, "No space left on device")
        super().sync_folder(folder)


def test_a_full_disk_is_unavailable_and_keeps_no_garbage() -> None:
    async def main() -> None:
        disk = FullDisk()
        store = FolderStore(ROOT, disk=disk, clock=StillClock())
        with pytest.raises(CauceError, match="No space left"):
            await store.create("a/b", b"body")
        assert not [path for path in disk.files() if "/.incoming/" in path]
        await store.close()

    asyncio.run(main())
