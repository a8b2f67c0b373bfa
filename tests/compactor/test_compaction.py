"""Compaction over a real bucket: every record once and byte-equal, segments contiguous, producers kept, races lost."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest

from compactor.compaction import Compaction
from compactor.planner import merge_of
from compactor.plans import CompactExtents, CompactionPlan
from infra.cluster.manifest import Manifest
from infra.cluster.manifest_record import ManifestRecord
from infra.errors import NotFound
from infra.partition import PartitionId
from infra.records.encode import encode_batch
from infra.records.record import Record
from infra.segment.extent import ProducerEntry
from infra.segment.record_footer import read_record_footer
from tests.compactor.bucket import Written, compaction_of, expected, files, in_loop, plain, written
from tests.compactor.parts import PARTITION

OTHER = PartitionId(PARTITION.topic_id, 1)


async def everything(cluster: Written, target: int = 1 << 30, partition: PartitionId = PARTITION) -> CompactExtents:
    work = await cluster.at(partition)
    floor = work.manifest.floor
    extents = tuple(one for one in work.published.extents if one.last_offset >= floor)
    return CompactExtents(floor, extents[-1].last_offset, extents, target)


async def run(cluster: Written, compaction: Compaction, plan: CompactionPlan) -> Manifest | None:
    return await compaction.run(plan, await cluster.at())


@in_loop
async def test_every_record_is_there_once_as_it_was_produced(tmp_path: Path) -> None:
    async with written() as cluster, compaction_of(cluster, tmp_path) as (compaction, _, meter):
        for codec in range(5):
            await cluster.write(3, 1, 500, codec=codec)
        after = await run(cluster, compaction, await everything(cluster))
        assert after is not None
        assert (after.version, after.records_end, len(after.segments)) == (0, 2520, 1)
        assert plain(await cluster.all_rows()) == expected(cluster.records[PARTITION])
        assert (await cluster.view.manifests()) == {PARTITION: 0}
        published = await cluster.view.partition(PARTITION)
        assert (published.extents, published.end_offset) == ((), 2520)
        assert meter.totals()["records"] == 2520
        assert meter.gauges()["write_amplification"] == 1.0
        assert files(tmp_path) == []


@in_loop
async def test_segments_are_cut_at_the_target_and_are_contiguous(tmp_path: Path) -> None:
    async with written() as cluster, compaction_of(cluster, tmp_path) as (compaction, _, _):
        for _ in range(3):
            await cluster.write(*[120] * 8, size=3000)
        after = await run(cluster, compaction, await everything(cluster, target=1000))
        assert after is not None
        assert len(after.segments) > 2
        assert after.segments[0].base_offset == 0
        assert all(one.last_offset + 1 == later.base_offset for one, later in pairwise(after.segments))
        assert after.records_end == cluster.ends[PARTITION]
        assert plain(await cluster.all_rows()) == expected(cluster.records[PARTITION])


@in_loop
async def test_partitions_that_share_segments_read_each_footer_once(tmp_path: Path) -> None:
    async with written() as cluster, compaction_of(cluster, tmp_path) as (compaction, _, _):
        for _ in range(5):
            await cluster.flush(cluster.part([2]), cluster.part([3], partition=OTHER))
        cluster.store.counts.clear()
        for partition in (PARTITION, OTHER):
            plan = await everything(cluster, partition=partition)
            assert await compaction.run(plan, await cluster.at(partition)) is not None
        assert cluster.store.counts["get"] == 5 + 2 * 5
        assert plain(await cluster.all_rows(OTHER)) == expected(cluster.records[OTHER], OTHER)


@in_loop
async def test_the_first_extent_begins_below_the_log_start(tmp_path: Path) -> None:
    async with written() as cluster, compaction_of(cluster, tmp_path) as (compaction, _, _):
        await cluster.write(10)
        await cluster.write(10, 10)
        await cluster.ledger.raise_log_start(PARTITION, 15)
        after = await run(cluster, compaction, await everything(cluster))
        assert after is not None
        assert (after.segments[0].base_offset, after.segments[0].records, after.log_start_offset) == (15, 15, 15)
        assert plain(await cluster.all_rows()) == expected(cluster.records[PARTITION][15:])


@in_loop
async def test_control_batches_leave_no_rows_but_their_offsets_are_answered_for(tmp_path: Path) -> None:
    async with written() as cluster, compaction_of(cluster, tmp_path) as (compaction, _, _):
        marker = encode_batch([Record(0, 5, b"\0\0\0\1", b"\0\0\0\0\0\0")], control=True, transactional=True)
        await cluster.flush(cluster.raw(marker, 1))
        after = await run(cluster, compaction, await everything(cluster))
        assert after is not None
        assert (after.records_end, after.segments[0].records) == (1, 0)


@in_loop
async def test_an_undecodable_batch_is_kept_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with written() as cluster, compaction_of(cluster, tmp_path) as (compaction, _, meter):
        bad = encode_batch([Record(0, 5, b"k", b"v"), Record(1, 5, b"k", b"v")])
        bad[61] = 0x7F  # the first record claims to be longer than the batch
        bad[17:21] = _crc(bad)
        await cluster.write(3)
        await cluster.flush(cluster.raw(bad, 2))
        await cluster.write(3)
        after = await run(cluster, compaction, await everything(cluster))
        assert after is not None
        rows = await cluster.all_rows()
        assert rows["offset"].to_pylist() == [0, 1, 2, 5, 6, 7]
        footer = await read_record_footer(cluster.store, after.segments[0].key)
        assert footer.unreadable == (bytes(bad),)
        assert meter.totals()["unreadable_batches"] == 1
        assert "orders-0: the record batch at offset 3 (" in caplog.text


@in_loop
async def test_a_batch_damaged_in_the_bucket_is_kept_as_it_is(tmp_path: Path) -> None:
    async with written() as cluster, compaction_of(cluster, tmp_path) as (compaction, _, meter):
        part = cluster.part([3, 3, 3])
        key = await cluster.flush(part)
        body = bytearray(await cluster.store.get(key))
        place = bytes(body).index(bytes(part.batches[1]))
        body[place + 70] ^= 1
        await cluster.store.delete([key])
        await cluster.store.create(key, bytes(body))
        assert await run(cluster, compaction, await everything(cluster)) is not None
        assert (await cluster.all_rows())["offset"].to_pylist() == [0, 1, 2, 6, 7, 8]
        assert meter.totals()["unreadable_batches"] == 1


@in_loop
async def test_producers_come_with_the_records_and_expired_ones_do_not(tmp_path: Path) -> None:
    async with written() as cluster, compaction_of(cluster, tmp_path) as (compaction, _, _):
        cluster.world.clock.seconds = 200_000.0
        now_ms = cluster.world.clock.now_ms()
        idle = ProducerEntry(1, 0, ((0, 0, 0, 0),), now_ms - 86_400_001)
        first = ProducerEntry(2, 0, ((0, 4, 5, 0),), now_ms - 10)
        later = ProducerEntry(2, 0, ((0, 4, 5, 0), (5, 9, 10, 0)), now_ms)
        above = ProducerEntry(2, 0, ((5, 9, 10, 0), (10, 14, 15, 0)), now_ms)
        for producers in ((idle,), (first,), (later,), (above,)):
            await cluster.flush(cluster.part([5], producers=producers))
        plan = await everything(cluster)
        after = await run(cluster, compaction, replace(plan, extents=plan.extents[:3], last_offset=14))
        assert after is not None
        assert (after.producers, after.producers_upto) == ((later,), 15)
        after = await run(cluster, compaction, await everything(cluster))
        assert after is not None
        assert (after.producers, after.producers_upto) == ((above,), 20)


@in_loop
async def test_producers_of_deleted_records_come_along(tmp_path: Path) -> None:
    """DeleteRecords passed extents that no record segment was made of: their producers may still be at work."""
    async with written() as cluster, compaction_of(cluster, tmp_path) as (compaction, _, _):
        one, other = ProducerEntry(1, 0, ((0, 4, 0, 0),), 10**9), ProducerEntry(2, 0, ((0, 4, 5, 0),), 10**9)
        for producers in ((one,), (other,), ()):
            await cluster.flush(cluster.part([5], producers=producers))
        await cluster.ledger.raise_log_start(PARTITION, 10)
        work, plan = await cluster.at(), await everything(cluster)
        forgotten = replace(work, published=replace(work.published, extents=work.published.extents[2:]))
        after = await compaction.run(plan, forgotten)
        assert after is not None
        assert after.producers == (one, other)
        assert (await cluster.view.partition(PARTITION)).extents == ()


@in_loop
async def test_merging_keeps_rows_and_counts_rewrites(tmp_path: Path) -> None:
    async with written() as cluster, compaction_of(cluster, tmp_path) as (compaction, _, meter):
        after: Manifest | None = None
        for _ in range(5):
            await cluster.write(40)
            after = await run(cluster, compaction, await everything(cluster))
        assert after is not None
        found = merge_of(after, 1 << 28, -1)
        assert found is not None
        merged = await run(cluster, compaction, found)
        assert merged is not None
        [segment] = merged.segments
        assert (segment.base_offset, segment.last_offset, segment.records, segment.rewrites) == (0, 199, 200, 1)
        assert (merged.producers, merged.producers_upto) == (after.producers, 200)
        assert plain(await cluster.all_rows()) == expected(cluster.records[PARTITION])
        assert meter.gauges()["write_amplification"] > 1.0


@in_loop
async def test_merging_carries_what_could_not_be_decoded(tmp_path: Path) -> None:
    async with written() as cluster, compaction_of(cluster, tmp_path) as (compaction, _, _):
        bad = encode_batch([Record(0, 5, b"k", b"v")])
        bad[61] = 0x7F
        bad[17:21] = _crc(bad)
        after: Manifest | None = None
        for part in (cluster.part([5]), cluster.raw(bad, 1), cluster.part([5]), cluster.part([5])):
            await cluster.flush(part)
            after = await run(cluster, compaction, await everything(cluster))
        assert after is not None
        found = merge_of(after, 1 << 28, -1)
        assert found is not None
        merged = await run(cluster, compaction, found)
        assert merged is not None
        footer = await read_record_footer(cluster.store, merged.segments[0].key)
        assert footer.unreadable == (bytes(bad),)


@in_loop
async def test_of_two_compactors_one_wins_and_the_other_gives_up(tmp_path: Path) -> None:
    async with (
        written() as cluster,
        compaction_of(cluster, tmp_path / "a") as (one, _, _),
        compaction_of(cluster, tmp_path / "b") as (other, _, _),
    ):
        await cluster.write(100)
        plan, work = await everything(cluster), await cluster.at()
        outcomes = await asyncio.gather(one.run(plan, work), other.run(plan, work))
        assert sorted(outcome is None for outcome in outcomes) == [False, True]
        assert plain(await cluster.all_rows()) == expected(cluster.records[PARTITION])
        assert len(cluster.store.keys("records/")) == 2
        assert len(cluster.store.keys("manifests/")) == 1


@in_loop
async def test_inputs_that_another_has_replaced_are_given_up(tmp_path: Path) -> None:
    async with written() as cluster, compaction_of(cluster, tmp_path) as (compaction, _, meter):
        key = await cluster.write(10)
        plan, work = await everything(cluster), await cluster.at()
        await cluster.store.delete([key])
        with pytest.raises(NotFound):
            await compaction.run(plan, work)
        await cluster.ledger.append(PARTITION, work.manifest, ManifestRecord(10))
        assert await compaction.run(plan, work) is None
        assert meter.totals()["lost_runs"] == 1


@in_loop
async def test_a_run_that_is_cancelled_leaves_nothing_behind(tmp_path: Path) -> None:
    async with written() as cluster, compaction_of(cluster, tmp_path) as (compaction, _, _):
        for _ in range(3):
            await cluster.write(*[120] * 8, size=3000)
        plan, work = await everything(cluster, target=1000), await cluster.at()
        task = asyncio.create_task(compaction.run(plan, work))
        async with asyncio.timeout(20):
            while not cluster.store.keys("records/"):  # noqa: ASYNC110 (the memory store tells nobody)
                await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert files(tmp_path) == []
        assert cluster.store.keys("manifests/") == []


@in_loop
async def test_random_histories_keep_every_record(tmp_path: Path) -> None:
    """Flushes, compactions of any prefix, merges and raised log starts in any order."""
    chance = Random(5)
    async with written() as cluster, compaction_of(cluster, tmp_path) as (compaction, _, _):
        for _ in range(60):
            step = chance.random()
            work = await cluster.at()
            waiting = [one for one in work.published.extents if one.last_offset >= work.manifest.floor]
            if step < 0.4 or not waiting:
                await cluster.write(
                    *(chance.randint(1, 9) for _ in range(chance.randint(1, 4))), codec=chance.randint(0, 4)
                )
            elif step < 0.75:
                taken = tuple(waiting[: chance.randint(1, len(waiting))])
                plan = CompactExtents(work.manifest.floor, taken[-1].last_offset, taken, 1 << chance.randint(8, 20))
                assert await compaction.run(plan, work) is not None
            elif step < 0.9:
                found = merge_of(work.manifest, 1 << 20, -1)
                assert found is None or await compaction.run(found, work) is not None
            else:
                end = cluster.ends[PARTITION]
                await cluster.ledger.raise_log_start(PARTITION, chance.randint(work.manifest.log_start_offset, end))
            _check(await cluster.ledger.read(PARTITION))
        manifest = await cluster.ledger.read(PARTITION)
        start, end = manifest.log_start_offset, manifest.records_end
        rows = [row for row in plain(await cluster.all_rows()) if row["offset"] >= start]  # type: ignore[operator]
        assert rows == expected(cluster.records[PARTITION][start:end])


def _check(manifest: Manifest) -> None:
    alive = [one for one in manifest.segments if one.last_offset >= manifest.log_start_offset]
    assert all(one.last_offset + 1 == later.base_offset for one, later in pairwise(alive))
    assert not alive or alive[0].base_offset <= manifest.log_start_offset


def _crc(batch: Sequence[int]) -> bytes:
    from infra.records.batch import crc_of

    return crc_of(bytes(batch)).to_bytes(4, "big")


@pytest.mark.parametrize(("time", "unit"), [(2_000, "us"), (2**60, "ms")])
@in_loop
async def test_segments_for_a_table_have_microseconds_where_those_can_tell_the_time(
    tmp_path: Path, time: int, unit: str
) -> None:
    async with written() as cluster, compaction_of(cluster, tmp_path) as (compaction, _, _):
        await cluster.write(3)
        await cluster.flush(cluster.raw(encode_batch([Record(3, time, b"k", b"v")]), 1))
        plan = await everything(cluster)
        after = await compaction.run(plan, await cluster.at(**{"cauce.table": "iceberg"}))
        assert after is not None
        rows = await cluster.all_rows()
        assert rows.schema.field("timestamp").type.unit == unit
        assert rows["timestamp"].cast(pa.int64()).to_pylist()[3] == (time * 1000 if unit == "us" else time)
        assert files(tmp_path) == []
