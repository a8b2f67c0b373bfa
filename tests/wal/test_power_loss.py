"""The power goes at every step, what was not synced survives by chance: nothing acknowledged is lost, ever.

A first life is cut off at each of its steps, by a power loss or by the death of the process alone; a second one goes
on with what it finds; then the power goes. Each time everything acknowledged, or read back once, must be there.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ingest.wal
from infra.errors import BadStart
from tests.disk_twin import Keep, PowerLoss, TwinDisk, keep_everything, keep_nothing, keep_some
from tests.wal.power import Run, SectorDisk

PRODUCT = str(Path(ingest.wal.__file__).parent)
CallSite = tuple[str, ...]


def steps_of(seed: int) -> int:
    disk = TwinDisk()
    run = Run(disk)
    run.live(seed)
    run.close()
    return disk.steps


def two_lives(disk: TwinDisk, seed: int, cut_at: int, keep: Keep, power_goes: bool) -> None:
    run = Run(disk)
    try:
        disk.cut_at = cut_at
        try_to_live(run, seed)
        if power_goes:
            disk.restart(keep)
        else:  # the process died, and what it wrote is still in memory
            disk.lost, disk.cut_at = False, None
        run.check(run.recover())
        try_to_live(run, seed + 1, 3 + seed % 4 * 4)
        disk.restart(keep)
        run.check(run.recover())
    finally:
        run.close()


def try_to_live(run: Run, seed: int, steps: int = 12) -> None:
    try:
        run.live(seed, steps)
    except PowerLoss:
        return


@pytest.mark.parametrize("power_goes", [True, False])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("keep", [keep_nothing, keep_everything])
def test_cut_at_each_step(seed: int, keep: Keep, power_goes: bool) -> None:
    for cut_at in range(steps_of(seed)):
        two_lives(TwinDisk(), seed, cut_at, keep, power_goes)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 400), st.integers(0, 10_000))
def test_unsynced_sectors_survive_by_chance(seed: int, cut_at: int, luck: int) -> None:
    two_lives(SectorDisk(), seed, cut_at, keep_some(luck), True)


def large_file_goes(disk: TwinDisk, luck: int) -> None:
    """The file of one large batch was removed, and the next file is half written over, when the power goes."""
    run = Run(disk, file_bytes=1024)
    run.start()
    for size in (900, 5000, 420, 420, 900):
        run.append([size])
        run.write()
    run.trim(4)  # the first file
    run.append([900])
    run.write()
    run.trim(2)  # the large one and the third
    disk.cut_at = disk.steps + 3  # after unlink, sync of the folder, and the write
    run.append([420])
    run.write()
    disk.restart(keep_some(luck))
    run.check(run.recover())
    run.close()


def test_a_large_file_does_not_come_back_before_one_that_is_half_written_over() -> None:
    for luck in range(50):
        large_file_goes(SectorDisk(), luck)


class ForgetfulDisk(SectorDisk):
    """Leaves out every sync that is asked for at one place in the product's code, and notes all such places."""

    def __init__(self, forgotten: CallSite = ()) -> None:
        super().__init__()
        self.forgotten = forgotten
        self.sites: set[CallSite] = set()

    def _sync(self, what: str) -> bool:
        site = _call_site()
        self.sites.add(site)
        return super()._sync(what) and site != self.forgotten


def _call_site() -> CallSite:
    """The innermost two lines of ingest/wal on the stack."""
    lines = []
    frame = sys._getframe()
    while frame.f_back is not None and len(lines) < 2:
        frame = frame.f_back
        if frame.f_code.co_filename.startswith(PRODUCT):
            lines.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_name}:{frame.f_lineno}")
    return tuple(lines)


def test_every_sync_in_the_code_is_needed() -> None:
    """Without any one of them something acknowledged is lost, or the WAL can no longer be opened."""
    seen: set[CallSite] = set()
    for seed in range(4):
        disk = ForgetfulDisk()
        two_lives(disk, seed, 30, keep_nothing, False)
        seen |= disk.sites
    assert {name.split(":")[1] for site in seen for name in site} >= {"open", "_write", "_create", "create_identity"}
    needless = {site for site in seen if not _missed(site)}
    assert not needless


def _missed(site: CallSite) -> bool:
    tries: list[Callable[[], None]] = [
        partial(two_lives, ForgetfulDisk(site), seed, cut_at, keep_nothing, power_goes)
        for seed in range(6)
        for cut_at in range(steps_of(seed))
        for power_goes in (True, False)
    ]
    tries += [partial(large_file_goes, ForgetfulDisk(site), luck) for luck in range(50)]
    for attempt in tries:
        try:
            attempt()
        except (AssertionError, BadStart):
            return True
    return False


def test_a_failed_sync_is_never_taken_for_success() -> None:
    """After it nothing is acknowledged and nothing accepted, though the disk works again."""
    disk = FailingDisk()
    run = Run(disk)
    run.start()
    run.append([100])
    run.write()
    assert len(run.acknowledged) == 1
    disk.broken = True
    run.append([100])
    run.write()
    disk.broken = False
    run.append([100])
    run.write()
    assert len(run.acknowledged) == 1
    assert len(run.appended) == 2
    assert run.wal is not None
    assert run.wal.failure is not None
    assert not run.wal.has_room(1)
    run.close()


class FailingDisk(TwinDisk):
    broken = False

    def _sync(self, what: str) -> bool:
        if self.broken:
            raise OSError(5, "the drive is dying")
        return super()._sync(what)
