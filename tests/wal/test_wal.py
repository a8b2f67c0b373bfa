"""The WAL on a real disk with its thread, and what recovery makes of files that are not as they should be."""

import asyncio
import errno
import json
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from infra.disk import OS_DISK
from infra.errors import BadStart, Unavailable
from infra.partition import PartitionId
from infra.records.batch import stamp
from ingest.wal.frame import MAGIC, WalEntry, encode_header, frame_size, has_payload, parse_header
from ingest.wal.recovery import recover
from ingest.wal.writer import Wal
from tests.disk_twin import TwinDisk
from tests.wal.batches import batch_of_size
from tests.wal.power import FOLDER, Run

PARTITION = PartitionId(UUID(int=5), 3)


def entry(offset: int, size: int = 200) -> WalEntry:
    batch = batch_of_size(size, offset)
    stamp(memoryview(batch), offset, 4)
    return WalEntry(PARTITION, 4, offset, memoryview(batch))


def append(wal: Wal, *entries: WalEntry) -> Awaitable[int]:
    answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def done(failure: BaseException | None) -> None:
        if failure is None:
            answer.set_result(position)
        else:
            answer.set_exception(failure)

    position = wal.append(entries, done)
    return answer


def on_loop(folder: Path, act: Callable[[Wal], Coroutine[Any, Any, None]], **settings: Any) -> Wal:
    async def main() -> Wal:
        wal = Wal.open(folder, loop=asyncio.get_running_loop(), **settings)
        try:
            await act(wal)
        finally:
            await asyncio.to_thread(wal.close)
        return wal

    return asyncio.run(main())


def offsets(folder: Path) -> list[int]:
    recovered = recover(folder, OS_DISK)
    assert recovered.damage == ()
    return [found.base_offset for found, _ in recovered.entries()]


def test_entries_come_back_as_they_were(tmp_path: Path) -> None:
    sent = [entry(offset, 61 + offset * 7) for offset in range(300)]
    synced: list[tuple[float, int]] = []

    async def act(wal: Wal) -> None:
        ends = await asyncio.gather(*(append(wal, one) for one in sent))
        assert list(ends) == sorted(ends)
        assert wal.end == ends[-1] == sum(map(frame_size, sent))

    wal = on_loop(tmp_path / "a" / "wal", act, file_bytes=20_000, on_sync=lambda *told: synced.append(told))
    recovered = recover(tmp_path / "a" / "wal", OS_DISK)
    found = list(recovered.entries())
    assert [(one.partition, one.leader_epoch, one.base_offset, bytes(one.batch)) for one, _ in found] == [
        (one.partition, one.leader_epoch, one.base_offset, bytes(one.batch)) for one in sent
    ]
    assert found[-1].end == recovered.end == wal.end
    assert sum(size for _, size in synced) == wal.end
    assert len(synced) < 100, "what waits together is synced together"


def test_it_goes_on_behind_what_was_recovered(tmp_path: Path) -> None:
    ids = set()
    for life in range(5):

        async def act(wal: Wal, life: int = life) -> None:
            assert [one.base_offset for one, _ in wal.recovered.entries()] == list(range(life * 3))
            ids.add(wal.wal_id)
            before = wal.end
            for number in range(3):
                assert await append(wal, entry(life * 3 + number)) > before

        on_loop(tmp_path, act, file_bytes=700)
    assert offsets(tmp_path) == list(range(15))
    assert len(ids) == 1


def test_trimmed_files_are_written_over(tmp_path: Path) -> None:
    async def act(wal: Wal) -> None:
        for offset in range(200):
            wal.trim(await append(wal, entry(offset)))
            assert wal.bytes_used == 0

    on_loop(tmp_path, act, file_bytes=1000)
    assert len(list(tmp_path.glob("*.wal"))) <= 3
    assert len(offsets(tmp_path)) <= 4
    on_loop(tmp_path, act, file_bytes=2000)
    assert {path.stat().st_size for path in tmp_path.glob("*.wal")} <= {1000, 2000}


def test_a_batch_larger_than_a_file_gets_one_of_its_own(tmp_path: Path) -> None:
    async def act(wal: Wal) -> None:
        await append(wal, entry(0), entry(1, 5000), entry(2))
        assert [one.base_offset for one, _ in recover(tmp_path, OS_DISK).entries()] == [0, 1, 2]
        wal.trim(wal.end)
        for offset in range(3, 30):
            wal.trim(await append(wal, entry(offset)))

    on_loop(tmp_path, act, file_bytes=1000)
    assert {path.stat().st_size for path in tmp_path.glob("*.wal")} == {1000}


def test_over_budget_is_refused_until_trimmed(tmp_path: Path) -> None:
    async def act(wal: Wal) -> None:
        ends = [await append(wal, entry(offset, 920)) for offset in range(4)]
        assert not wal.has_room(920)
        with pytest.raises(Unavailable):
            append(wal, entry(4, 920))
        wal.trim(ends[0])
        assert wal.has_room(920)
        assert wal.bytes_used == 3000
        await append(wal, entry(4, 920))

    on_loop(tmp_path, act, file_bytes=2000, budget_bytes=4500)
    assert offsets(tmp_path) == [1, 2, 3, 4]


def test_an_entry_that_is_not_stamped_as_it_says_is_refused(tmp_path: Path) -> None:
    async def act(wal: Wal) -> None:
        good = entry(7)
        for bad in (
            WalEntry(PARTITION, 4, 8, good.batch),
            WalEntry(PARTITION, 5, 7, good.batch),
            WalEntry(PARTITION, 4, 7, bytes(good.batch) + b"x"),
        ):
            with pytest.raises(ValueError, match="says"):
                append(wal, bad)
        assert wal.end == 0

    on_loop(tmp_path, act)


def test_after_close_nothing_is_accepted(tmp_path: Path) -> None:
    async def act(wal: Wal) -> None:
        waiting = append(wal, entry(0))
        wal.close()
        with pytest.raises(Unavailable):
            append(wal, entry(1))
        await waiting

    on_loop(tmp_path, act)
    assert offsets(tmp_path) == [0]


def test_a_failing_callback_does_not_keep_the_others_waiting(tmp_path: Path) -> None:
    async def act(wal: Wal) -> None:
        def fail(failure: BaseException | None) -> None:
            raise RuntimeError("a caller's fault")

        wal.append([entry(0)], fail)
        await append(wal, entry(1))

    on_loop(tmp_path, act)


class FullDisk(TwinDisk):
    """Has no space from some moment on, until it has again."""

    def __init__(self) -> None:
        super().__init__()
        self.full = threading.Event()
        self.refused = threading.Event()

    def _step(self, what: str) -> bool:
        if self.full.is_set() and what.startswith(("write", "make", "truncate")):
            self.refused.set()
            raise OSError(errno.ENOSPC, "no space left")
        return super()._step(what)


def refuses(wal: Wal) -> bool:
    deadline = time.monotonic() + 10
    while wal.has_room(1) and time.monotonic() < deadline:
        time.sleep(0.001)
    return not wal.has_room(1)


@pytest.mark.parametrize("size", [200, 3000])
def test_on_a_full_disk_appends_wait_for_space(size: int) -> None:
    disk = FullDisk()

    async def act(wal: Wal) -> None:
        wal.retry_seconds = 0.01
        await append(wal, entry(0, 2000))
        disk.full.set()
        waiting = append(wal, entry(1, size))
        assert await asyncio.to_thread(disk.refused.wait, 10)
        assert await asyncio.to_thread(refuses, wal)
        with pytest.raises(Unavailable):
            append(wal, entry(2))
        disk.full.clear()
        await waiting
        await append(wal, entry(2))

    on_loop(FOLDER, act, disk=disk, file_bytes=4000)
    assert [one.base_offset for one, _ in recover(FOLDER, disk).entries()] == [0, 1, 2]


def test_closing_on_a_full_disk_answers_what_waits() -> None:
    disk = FullDisk()

    async def act(wal: Wal) -> None:
        disk.full.set()
        waiting = append(wal, entry(0))
        assert await asyncio.to_thread(disk.refused.wait, 10)
        await asyncio.to_thread(wal.close)
        with pytest.raises(Unavailable):
            await waiting

    on_loop(FOLDER, act, disk=disk)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (json.dumps({"format": 2, "wal_id": "x", "seed": 1}).encode(), "newer release"),
        (b"{}", "damaged"),
        (b"\xff", "damaged"),
        (b"[]", "damaged"),
        (None, "no wal.json"),
    ],
)
def test_a_wal_that_cannot_be_used_says_what_to_do(tmp_path: Path, body: bytes | None, said: str) -> None:
    async def act(wal: Wal) -> None:
        await append(wal, entry(0))

    on_loop(tmp_path, act)
    if body is None:
        (tmp_path / "wal.json").unlink()
    else:
        (tmp_path / "wal.json").write_bytes(body)
    with pytest.raises(BadStart, match=said):
        recover(tmp_path, OS_DISK)
    with pytest.raises(BadStart, match=said):
        on_loop(tmp_path, act)


def test_a_folder_that_cannot_be_written_is_a_bad_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    async def act(wal: Wal) -> None: ...

    with pytest.raises(BadStart):
        on_loop(tmp_path / "file" / "wal", act)


def filled(groups: int) -> Run:
    """Ten groups of one entry of 500 bytes each, several files."""
    run = Run(TwinDisk(), file_bytes=2000)
    run.start()
    for _ in range(groups):
        run.append([420])
        run.write()
    return run


def flip(run: Run, name: str, position: int) -> None:
    with_byte = run.disk.open(FOLDER / name)
    [byte] = with_byte.pread(1, position)
    with_byte.pwrite([bytes([byte ^ 0x10])], position)


def test_damage_between_synced_frames_is_told_and_the_rest_is_given() -> None:
    for name, at, lost in (("0000000002.wal", 700, 6), ("0000000002.wal", 40, 5), ("0000000003.wal", 200, 9)):
        run = filled(11)
        flip(run, name, at)
        recovered = run.recover()
        assert [one.base_offset for one, _ in recovered.entries()] == [n for n in range(1, 12) if n != lost]
        assert len(recovered.damage) == 1
        assert name in recovered.damage[0]
        run.close()


def test_a_missing_file_is_damage() -> None:
    run = filled(15)
    run.disk.unlink(FOLDER / "0000000003.wal")
    recovered = run.recover()
    assert [one.base_offset for one, _ in recovered.entries()] == [*range(1, 9), *range(13, 16)]
    assert len(recovered.damage) == 1
    run.close()


def test_damage_below_what_was_trimmed_is_no_damage() -> None:
    run = filled(6)
    run.trim(1)
    run.append([420])
    run.write()
    flip(run, "0000000001.wal", 700)
    recovered = run.recover()
    assert recovered.damage == ()
    assert [one.base_offset for one, _ in recovered.entries()] == [6, 7]
    run.close()


def test_any_flipped_bit_loses_its_frame_only() -> None:
    for position in range(0, 500, 7):
        run = filled(3)
        flip(run, "0000000001.wal", 500 + position)
        assert [one.base_offset for one, _ in run.recover().entries()] == [1, 3]
        run.close()


def test_frames_made_up_by_a_client_do_not_pass() -> None:
    """A batch full of frames, which lies behind the newest frame of a file that is written over."""
    fake = entry(99)
    data = encode_header(fake, 12345, 1, 0, 0, 0) + bytes(fake.batch)
    parsed = parse_header(memoryview(data), 0, 12345)
    assert parsed is not None
    assert has_payload(memoryview(data), 0, parsed)
    assert data.startswith(MAGIC)
    assert parse_header(memoryview(data), 0, 54321) is None
