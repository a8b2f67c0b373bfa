"""Where each offset of a led log is answered from, in whatever order flush, publish, manifests and deletion come."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from infra.cluster.extent_chain import is_chain
from infra.cluster.manifest import Manifest
from infra.cluster.manifest_record import ManifestRecord
from infra.errors import Corrupt
from infra.ports import Durability
from infra.records.batch import BatchHeader
from infra.segment.extent import FlushedExtent
from ingest.partition_log import PartitionLog
from ingest.tail import TailBudget
from tests.ingest.batches import header_of, make_batch
from tests.ingest.logs import Guard, flushed_of, open_log, settings_of, taken_lease
from tests.ingest.manifests import manifest_of, record_segment


def led(*sizes: int, budget: int = 1 << 20, durability: Durability = "object") -> PartitionLog:
    """A log with one published extent of each size."""
    log = open_log(durability, budget=TailBudget(budget))
    for size in sizes:
        batch = make_batch(size)
        log.append([(header_of(batch), batch)], 1_000, 0)
        log.on_synced(log.log_end_offset)
        log.on_published(flushed_of(log))
    return log


def bases(log: PartitionLog, offset: int = 0) -> list[int]:
    return [extent.base_offset for extent in log.extents_from(offset)]


def test_an_adopted_manifest_replaces_extents_and_wakes() -> None:
    log = led(10, 10, 10)
    woken: list[int] = []
    log.on_advance(lambda: woken.append(log.records_end))
    assert (log.records_end, log.manifest.version) == (0, -1)
    manifest = manifest_of((0, 9), (10, 19), log_start=3)
    log.adopt_manifest(manifest)
    assert log.manifest is manifest
    assert (log.records_end, log.log_start_offset, woken) == (20, 3, [20])
    assert bases(log) == [20]
    assert [one.base_offset for one in log.record_segments_from(9)] == [0, 10]
    assert [one.base_offset for one in log.record_segments_from(10)] == [10]
    assert list(log.record_segments_from(20)) == []
    assert (log.published().end_offset, [one.base_offset for one in log.published().extents]) == (30, [20])


def test_only_a_newer_manifest_is_adopted_and_the_log_start_only_rises() -> None:
    log = led(10, 10)
    log.raise_log_start(12)
    log.adopt_manifest(manifest_of((0, 9), version=4, log_start=5))
    assert (log.log_start_offset, log.records_end, bases(log)) == (12, 10, [10])
    for version in (4, 3, -1):
        log.adopt_manifest(manifest_of((0, 19), version=version, log_start=15))
    assert (log.log_start_offset, log.records_end, log.manifest.version) == (12, 10, 4)


@pytest.mark.parametrize(
    "manifest",
    [manifest_of((0, 9), (10, 20)), manifest_of((0, 9), log_start=31)],
    ids=["unpublished records", "a start beyond the end"],
)
def test_a_manifest_that_tells_of_more_than_the_log_has_is_refused(manifest: Manifest) -> None:
    log = led(10, 10)
    batch = make_batch(10)
    log.append([(header_of(batch), batch)], 1_000, 0)  # not published
    with pytest.raises(Corrupt):
        log.adopt_manifest(manifest)
    assert (log.manifest.version, log.log_start_offset, bases(log)) == (-1, 0, [0, 10])


def test_a_lease_is_taken_with_the_manifest_of_the_log() -> None:
    before = led(10, 10)
    taken = taken_lease(end_offset=20, manifest=manifest_of((0, 9), log_start=4), extents=tuple(before.extents_from(0)))
    log = PartitionLog(taken, settings_of(), Guard(), TailBudget(1))
    assert (log.log_start_offset, log.records_end, bases(log)) == (4, 10, [10])


def test_an_extent_below_the_log_start_is_published_and_never_given() -> None:
    log = open_log("wal")
    batch = make_batch(10)
    log.append([(header_of(batch), batch)], 1_000, 0)
    log.on_synced(10)
    log.raise_log_start(10)
    log.on_published(flushed_of(log))
    assert (log.published_offset, bases(log), log.published().extents) == (10, [], ())


class HistoryMachine(RuleBasedStateMachine):
    """A log, a right compactor that sees what the view shows, and retention, each as far behind as it may be."""

    @initialize(durability=st.sampled_from(["wal", "object"]), budget=st.integers(0, 2_000))
    def begin(self, durability: Durability, budget: int) -> None:
        self.log = open_log(durability, budget=TailBudget(budget))
        self.in_flight: list[FlushedExtent] = []
        self.visible: list[FlushedExtent] = []  # in the view, also when the log was not told so yet
        self.untold = 0
        self.ledger = [Manifest()]
        self.highest_start = 0

    @property
    def newest(self) -> Manifest:
        return self.ledger[-1]

    def change(self, record: ManifestRecord) -> None:
        self.ledger.append(self.newest.apply(record))

    @rule(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3))
    def append(self, sizes: list[int]) -> None:
        for size in sizes:
            batch = make_batch(size)
            self.log.append([(header_of(batch), batch)], 1_000, 0)

    @rule()
    def sync(self) -> None:
        self.log.on_synced(self.log.log_end_offset)

    @rule(batches=st.integers(1, 3))
    def flush(self, batches: int) -> None:
        if self.log.synced_offset > (self.in_flight[-1].extent.last_offset + 1 if self.in_flight else self.shown):
            self.in_flight.append(flushed_of(self.log, max_bytes=batches * make_batch().nbytes))

    @property
    def shown(self) -> int:
        return self.visible[-1].extent.last_offset + 1 if self.visible else 0

    @precondition(lambda self: self.in_flight)
    @rule()
    def publish(self) -> None:
        self.visible.append(self.in_flight.pop(0))
        self.untold += 1

    @precondition(lambda self: self.untold)
    @rule()
    def hear_of_a_publish(self) -> None:
        self.log.on_published(self.visible[len(self.visible) - self.untold])
        self.untold -= 1

    @rule(count=st.integers(1, 3), split=st.booleans())
    def compact(self, count: int, split: bool) -> None:
        floor = self.newest.floor
        taken = [one.extent for one in self.visible if one.extent.last_offset >= floor][:count]
        if taken:
            base, last = taken[0].base_offset, taken[-1].last_offset
            cuts = [(one.base_offset, one.last_offset) for one in taken] if split else [(base, last)]
            added = tuple(record_segment(*cut) for cut in cuts)
            self.change(ManifestRecord(self.newest.log_start_offset, added))

    @rule()
    def merge(self) -> None:
        if len(self.newest.segments) > 1:
            gone = self.newest.segments[-2:]
            one = record_segment(gone[0].base_offset, gone[1].last_offset, f"-{self.newest.version}")
            self.change(ManifestRecord(0, (one,), tuple(segment.key for segment in gone)))

    @rule(share=st.floats(0, 1))
    def retain(self, share: float) -> None:
        start = round(self.shown * share)
        gone = tuple(segment.key for segment in self.newest.segments if segment.last_offset < start)
        self.change(ManifestRecord(start, removed=gone))

    @rule(share=st.floats(0, 1))
    def delete_records(self, share: float) -> None:
        """As DeleteRecords does: the ledger first, then the log, which is at most at its high watermark."""
        offset = round(self.log.high_watermark * share)
        self.change(ManifestRecord(offset))
        self.adopt(self.newest)
        self.log.raise_log_start(offset)

    @rule(back=st.integers(0, 3))
    def follow(self, back: int) -> None:
        self.adopt(self.ledger[max(0, len(self.ledger) - 1 - back)])

    def adopt(self, manifest: Manifest) -> None:
        before = self.log.manifest
        ahead = manifest.records_end > self.log.published_offset
        try:
            self.log.adopt_manifest(manifest)
        except Corrupt:
            assert ahead
            assert self.log.manifest is before
        else:
            assert self.log.manifest.version == max(before.version, manifest.version)

    @invariant()
    def each_offset_is_answered_once(self) -> None:
        log = self.log
        for offset in range(log.log_start_offset, log.log_end_offset):
            if offset >= log.tail_start_offset:
                first = BatchHeader.parse(log.read_tail(offset, 1, log.log_end_offset, True)[0])
                assert first.base_offset <= offset <= first.last_offset
            elif offset < log.records_end:
                segment = log.record_segments_from(offset)[0]
                assert segment.base_offset <= offset <= segment.last_offset
            else:
                extent = log.extents_from(offset)[0]
                assert extent.base_offset <= offset <= extent.last_offset

    @invariant()
    def no_extent_lies_below(self) -> None:
        log = self.log
        extents = log.extents_from(0)
        assert all(extent.base_offset >= log.records_end for extent in extents)
        assert all(extent.last_offset >= log.log_start_offset for extent in extents)
        assert is_chain(extents, max(log.log_start_offset, log.records_end), log.published_offset)

    @invariant()
    def what_a_repair_tells_is_all_that_is_published(self) -> None:
        published = self.log.published()
        assert published.end_offset == self.log.published_offset
        assert list(published.extents) == list(self.log.extents_from(0))

    @invariant()
    def the_log_start_only_rises(self) -> None:
        assert self.log.log_start_offset >= max(self.highest_start, self.log.manifest.log_start_offset)
        self.highest_start = self.log.log_start_offset


TestHistoryMachine = HistoryMachine.TestCase
TestHistoryMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
