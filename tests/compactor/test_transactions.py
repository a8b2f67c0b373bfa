"""Compaction and transactions: record segments hold what was committed, and wait for what is open, in one partition."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from compactor.ages import ExtentAges
from compactor.partition import PartitionWork
from compactor.planner import CompactionLimits, plan, stable_offset, waiting_extents
from compactor.plans import CompactExtents
from compactor.producers import fold_producers
from infra.cluster.manifest import Manifest
from infra.partition import PartitionId
from infra.records.batch import BatchHeader
from infra.records.control import Marker, encode_marker
from infra.records.encode import encode_batch
from infra.records.record import Record
from infra.segment.batch_segment import SegmentPart
from infra.segment.extent import AbortedTransaction, FlushedExtent, ProducerEntry
from infra.view.port import PublishedPartition
from ingest.producer_state import ProducerChanges
from tests.compactor.bucket import Written, compaction_of, in_loop, written
from tests.compactor.parts import PARTITION, TOPIC_ID, extents, look

AT_ONCE = CompactionLimits(compaction_bytes=0, compaction_age_seconds=0)
DAY_MS = 86_400_000


def open_at(offset: int, producer_id: int = 1) -> ProducerEntry:
    return ProducerEntry(producer_id, 0, (), 0, -1, offset)


def due(work: PartitionWork) -> CompactExtents | None:
    return next((one for one in plan(work, ExtentAges(), AT_ONCE, now=1) if isinstance(one, CompactExtents)), None)


def seen(work: PartitionWork, *producers: ProducerEntry) -> PartitionWork:
    return replace(work, published=replace(work.published, producers=producers))


@pytest.mark.parametrize(("first", "last"), [(0, None), (9, None), (10, 9), (25, 19), (30, 29), (39, 29)])
def test_extents_wait_for_the_oldest_open_transaction(first: int, last: int | None) -> None:
    work = seen(look(published=extents([10, 20, 30, 40])), open_at(first), open_at(39, 2))
    made = due(work)
    assert (made and made.last_offset) == last


def test_without_open_transactions_all_is_taken() -> None:
    made = due(seen(look(published=extents([10, 20])), ProducerEntry(1, 0, (), 0, 4)))
    assert made is not None
    assert made.last_offset == 19


def test_while_extents_are_not_known_a_partition_that_had_transactions_waits() -> None:
    known = (*extents([10, 20]), *extents([40], begin=30))
    assert due(seen(look(published=known), ProducerEntry(1, 0, (), 0, 4))) is None
    plain = due(seen(look(published=known), ProducerEntry(1, 0, (), 0)))
    assert plain is not None
    assert plain.last_offset == 19


def test_markers_above_what_is_taken_tell_of_it() -> None:
    first, second, third = extents([10, 20, 30])
    gone = AbortedTransaction(1, 5, 12), AbortedTransaction(2, 11, 14), AbortedTransaction(3, 22, 24)
    known = first, replace(second, aborted=gone[:2]), replace(third, aborted=gone[2:])
    work = seen(look(published=known), open_at(19, 4))
    made = due(work)
    assert made is not None
    assert (made.last_offset, made.aborted) == (9, gone[:1])
    assert stable_offset(work.published, waiting_extents(work.manifest, known)) == 19


def test_a_producer_with_an_open_transaction_is_never_left_out() -> None:
    flushed = FlushedExtent(extents([10])[0], (open_at(3), ProducerEntry(2, 0, (), 0)))
    assert fold_producers(Manifest(), PublishedPartition(10, (), ()), [], [flushed], DAY_MS) == (open_at(3),)


class Transactional:
    """Writes a partition as its leader would, and keeps what was committed."""

    def __init__(self, cluster: Written, partition: PartitionId = PARTITION) -> None:
        self._cluster = cluster
        self._partition = partition
        self._changes: dict[int, ProducerEntry] = {}
        self._open: dict[int, list[Record]] = {}
        self.committed: list[Record] = []
        self.end = 0

    async def flush(self, steps: Sequence[tuple[str, int, int]]) -> None:
        """Steps: data, plain, commit or abort; a producer; a number of records."""
        batches = [self._batch(*step) for step in steps]
        changes = ProducerChanges(self._changes)
        for batch in batches:
            changes.take(BatchHeader.parse(batch), batch, 1)
        await self._cluster.flush(SegmentPart(self._partition, 0, batches, changes.producers, changes.aborted))

    def _batch(self, kind: str, producer: int, count: int) -> bytearray:
        if kind in ("commit", "abort"):
            batch = encode_marker(Marker(producer, 0, 0, kind == "commit"), 1)
            records = self._open.pop(producer, [])
            self.committed += records if kind == "commit" else []
            count = 1
        else:
            records = [
                Record(self.end + at, 1000 + self.end + at, b"k", b"v%d" % (self.end + at)) for at in range(count)
            ]
            batch = encode_batch(records, producer_id=producer, producer_epoch=0, transactional=kind == "data")
            if kind == "data":
                self._open.setdefault(producer, []).extend(records)
            else:
                self.committed += records
        batch = self._cluster._stamped(batch, self.end)
        self.end += count
        return batch

    @property
    def stable(self) -> int:
        return min((records[0].offset for records in self._open.values()), default=self.end)


def random_steps(chance: random.Random, most: int) -> list[tuple[str, int, int]]:
    kinds = ["data", "data", "data", "commit", "abort"]
    steps = [(chance.choice(kinds), chance.randint(1, 4), chance.randint(1, 5)) for _ in range(chance.randint(1, most))]
    return [*steps, ("plain", 9, 2)] if chance.random() < 0.3 else steps


@pytest.mark.parametrize("seed", range(6))
@in_loop
async def test_record_segments_hold_what_was_committed(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    async with written() as cluster, compaction_of(cluster, tmp_path) as (compaction, _, _):
        log = Transactional(cluster)
        for _ in range(12):
            await log.flush(random_steps(chance, 6))
            made = due(await cluster.at())
            if made is None:
                continue
            assert made.last_offset < log.stable
            after = await compaction.run(made, await cluster.at())
            assert after is not None
            rows = await cluster.all_rows()
            expected = [one for one in sorted(log.committed) if one.offset <= made.last_offset]
            assert rows["offset"].to_pylist() == [one.offset for one in expected]
            assert rows["value"].to_pylist() == [one.value for one in expected]
        # The rest is decided: all of it comes.
        await log.flush([("abort", 1, 1), ("commit", 2, 1), ("commit", 3, 1), ("abort", 4, 1)])
        made = due(await cluster.at())
        assert made is not None
        assert made.last_offset == log.end - 1
        await compaction.run(made, await cluster.at())
        rows = await cluster.all_rows()
        assert rows["offset"].to_pylist() == [one.offset for one in sorted(log.committed)]
        manifest = await cluster.ledger.read(PARTITION)
        assert not any(entry.in_transaction for entry in manifest.producers)


@in_loop
async def test_only_the_partition_with_the_open_transaction_waits(tmp_path: Path) -> None:
    other = PartitionId(TOPIC_ID, 1)
    async with written() as cluster, compaction_of(cluster, tmp_path):
        await Transactional(cluster).flush([("data", 1, 3)])
        await Transactional(cluster, other).flush([("data", 1, 3), ("commit", 1, 1)])
        assert due(await cluster.at()) is None
        assert due(await cluster.at(other)) is not None
