"""The partition log: offsets, the order of durable steps, and acknowledgements, also against a naive model."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from infra.error_code import ErrorCode
from infra.errors import CauceError, Fenced, NotLeader, Refused
from infra.ports import Durability
from infra.records.batch import BatchHeader, crc_of
from infra.segment.extent import ProducerEntry
from ingest.partition_log import Appended, PartitionLog
from ingest.tail import TailBudget
from tests.ingest.batches import header_of, make_batch
from tests.ingest.logs import EPOCH, Guard, flushed_of, open_log


def append(log: PartitionLog, *batches: memoryview, now_ms: int = 2_000) -> Appended:
    return log.append([(header_of(batch), batch) for batch in batches], now_ms, 0)


def test_offsets_and_epoch_are_stamped_in_place() -> None:
    log = open_log(end_offset=40)
    one, two = make_batch(3), make_batch(2)
    appended = append(log, one, two)
    assert (appended.base_offset, appended.last_offset, appended.log_append_time_ms) == (40, 44, -1)
    assert [(h.base_offset, h.leader_epoch) for h in map(header_of, (one, two))] == [(40, EPOCH), (43, EPOCH)]
    assert [(e.base_offset, e.leader_epoch, e.batch) for e in appended.entries] == [(40, EPOCH, one), (43, EPOCH, two)]
    assert (log.log_end_offset, log.high_watermark, log.tail_start_offset) == (45, 40, 40)


def test_log_append_time_is_stamped_with_a_true_crc() -> None:
    log = open_log(message_timestamp_type="LogAppendTime")
    batch = make_batch(3)
    assert append(log, batch, now_ms=77).log_append_time_ms == 77
    header = header_of(batch)
    assert header.log_append_time
    assert (header.max_timestamp, header.crc) == (77, crc_of(batch))


@pytest.mark.parametrize("durability", ["wal", "object"])
def test_the_order_of_the_steps(durability: Durability) -> None:
    log = open_log(durability)
    told: list[str] = []
    woken: list[int] = []
    log.on_advance(lambda: woken.append(log.high_watermark))
    upto = append(log, make_batch(5)).next_offset
    assert not log.when_synced(upto, lambda _: told.append("acks=1"))
    assert not log.when_high_watermark(upto, lambda _: told.append("acks=-1"))
    assert log.plan_flush(1 << 20) is None  # not before the WAL has it
    for complete in log.on_synced(upto):
        complete(None)
    assert told == (["acks=1"] if durability == "object" else ["acks=1", "acks=-1"])
    assert woken == ([] if durability == "object" else [5])
    for complete in log.on_published(flushed_of(log)):
        complete(None)
    assert told == ["acks=1", "acks=-1"]
    assert woken == [5]
    assert log.when_high_watermark(upto, lambda _: told.append("never"))
    assert log.published_offset == 5
    assert log.unpublished_bytes == 0
    assert log.first_unpublished_position is None


def test_a_duplicate_waits_for_the_durability_of_the_first() -> None:
    log = open_log("object")
    sent = partial(make_batch, 2, producer_id=9, epoch=0, sequence=0)
    first = append(log, sent())
    append(log, make_batch(1))
    again = append(log, sent())
    assert (again.base_offset, again.last_offset, again.entries) == (0, 1, ())
    assert log.log_end_offset == 3
    told: list[str] = []
    assert not log.when_high_watermark(3, lambda _: told.append("later"))
    assert not log.when_high_watermark(again.next_offset, lambda _: told.append("again"))
    assert not log.when_high_watermark(first.next_offset, lambda _: told.append("first"))
    log.on_synced(3)
    for complete in log.on_published(flushed_of(log, max_bytes=1)):
        complete(None)
    assert told == ["again", "first"]


def test_producers_in_a_flush_are_as_of_its_end() -> None:
    log = open_log("object")
    for sequence in range(4):
        append(log, make_batch(1, producer_id=9, epoch=1, sequence=sequence), now_ms=100 + sequence)
    log.on_synced(4)
    first, rest = flushed_of(log, max_bytes=1), flushed_of(log)
    assert first.producers == (ProducerEntry(9, 1, ((0, 0, 0, 1_000),), 100),)
    assert [len(entry.batches) for entry in rest.producers] == [4]
    log.on_published(first)
    assert log.published().producers == first.producers
    assert (log.published().end_offset, log.published().extents) == (1, (first.extent,))
    log.on_published(rest)
    assert log.published().producers == rest.producers


def test_extents_are_found_by_offset_and_dropped() -> None:
    log = open_log("object")
    for _ in range(3):
        upto = append(log, make_batch(10)).next_offset
        log.on_synced(upto)
        log.on_published(flushed_of(log))
    assert [e.base_offset for e in log.extents_from(0)] == [0, 10, 20]
    assert [e.base_offset for e in log.extents_from(9)] == [0, 10, 20]
    assert [e.base_offset for e in log.extents_from(10)] == [10, 20]
    assert list(log.extents_from(30)) == []
    log.raise_log_start(15)
    assert [e.base_offset for e in log.extents_from(0)] == [10, 20]
    log.raise_log_start(3)
    assert log.log_start_offset == 15


@pytest.mark.parametrize("durability", ["wal", "object"])
def test_a_fenced_log_acknowledges_nothing(durability: Durability) -> None:
    log = open_log(durability)
    told: list[CauceError | None] = []
    woken: list[bool] = []
    log.on_advance(lambda: woken.append(log.closed))
    append(log, make_batch(2))
    log.when_synced(2, told.append)
    log.when_high_watermark(2, told.append)
    fenced = Fenced("over")
    for complete in log.close(fenced):
        complete(fenced)
    assert told == [fenced, fenced]
    assert woken == [True]
    assert log.on_synced(2) == []
    assert log.plan_flush(1) is None
    assert log.close(NotLeader("again")) == []
    for refused in (lambda: append(log, make_batch()), lambda: log.when_synced(9, told.append)):
        with pytest.raises(Fenced):
            refused()


def test_a_stopped_log_still_finishes_what_it_has() -> None:
    log = open_log("object")
    told: list[CauceError | None] = []
    append(log, make_batch(2))
    log.when_high_watermark(2, told.append)
    log.stop(NotLeader("moving"))
    with pytest.raises(NotLeader):
        append(log, make_batch())
    log.on_synced(2)
    for complete in log.on_published(flushed_of(log)):
        complete(None)
    assert told == [None]


def test_refused_sequences_change_nothing() -> None:
    log = open_log()
    append(log, make_batch(1, producer_id=9, epoch=0, sequence=0))
    with pytest.raises(Refused) as refused:
        append(log, make_batch(1, producer_id=9, epoch=0, sequence=5))
    assert refused.value.code is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert log.log_end_offset == 1


def test_expired_producers_may_begin_anew() -> None:
    log = open_log()
    append(log, make_batch(1, producer_id=9, epoch=4, sequence=0), now_ms=500)
    assert log.expire_producers(500) == 0
    assert log.expire_producers(501) == 1
    append(log, make_batch(1, producer_id=9, epoch=0, sequence=77))


def test_unpublished_batches_are_kept_for_whoever_takes_the_lease_again() -> None:
    log = open_log("wal")
    for _ in range(4):
        append(log, make_batch(1))
    log.on_synced(3)
    log.on_published(flushed_of(log, max_bytes=1))
    log.close(Fenced("over"))
    assert [header_of(batch).base_offset for batch in log.unpublished()] == [1, 2]


def test_an_extent_out_of_order_is_a_mistake() -> None:
    log = open_log("object")
    for _ in range(2):
        append(log, make_batch(1))
    log.on_synced(2)
    flushed_of(log, max_bytes=1)
    second = flushed_of(log)
    with pytest.raises(ValueError):
        log.on_published(second)


class LogMachine(RuleBasedStateMachine):
    """Random appends, syncs, flushes, publishes and acknowledgements, beside a list of record counts."""

    @initialize(durability=st.sampled_from(["wal", "object"]), budget=st.sampled_from([0, 4_000, 1 << 30]))
    def begin(self, durability: Durability, budget: int) -> None:
        self.log = open_log(durability, end_offset=100, guard=Guard(), budget=TailBudget(budget))
        self.ends = [100]  # log end after each batch
        self.synced = self.planned = self.published = 0  # counts of batches
        self.in_flight: list[tuple[int, object]] = []
        self.waiting: dict[int, tuple[str, int]] = {}
        self.told: set[int] = set()
        self.next_ack = 0

    @rule(counts=st.lists(st.integers(1, 5), min_size=1, max_size=3), acks=st.sampled_from(["sync", "watermark"]))
    def append(self, counts: list[int], acks: str) -> None:
        appended = append(self.log, *(make_batch(count) for count in counts))
        assert appended.base_offset == self.ends[-1]
        for count in counts:
            self.ends.append(self.ends[-1] + count)
        assert appended.next_offset == self.ends[-1]
        name, self.next_ack = self.next_ack, self.next_ack + 1
        wait = self.log.when_synced if acks == "sync" else self.log.when_high_watermark
        assert not wait(appended.next_offset, lambda error: self._complete(name, error))
        self.waiting[name] = (acks, len(self.ends) - 1)

    def _complete(self, name: int, error: CauceError | None) -> None:
        assert error is None
        assert name not in self.told
        self.told.add(name)

    @precondition(lambda self: self.synced < len(self.ends) - 1)
    @rule(data=st.data())
    def sync(self, data: st.DataObject) -> None:
        self.synced = data.draw(st.integers(self.synced + 1, len(self.ends) - 1))
        for complete in self.log.on_synced(self.ends[self.synced]):
            complete(None)

    @precondition(lambda self: self.planned < self.synced)
    @rule(batches=st.integers(1, 4))
    def flush(self, batches: int) -> None:
        flushed = flushed_of(self.log, max_bytes=batches * make_batch().nbytes)
        taken = min(batches, self.synced - self.planned)
        assert flushed.extent.base_offset == self.ends[self.planned]
        assert flushed.extent.last_offset + 1 == self.ends[self.planned + taken]
        self.planned += taken
        self.in_flight.append((self.planned, flushed))

    @precondition(lambda self: self.in_flight)
    @rule()
    def publish(self) -> None:
        self.published, flushed = self.in_flight.pop(0)
        for complete in self.log.on_published(flushed):  # type: ignore[arg-type]
            complete(None)

    @invariant()
    def agrees(self) -> None:
        durable = self.synced if self.log.durability == "wal" else self.published
        assert self.log.high_watermark == self.ends[durable]
        assert self.log.log_end_offset == self.ends[-1]
        assert self.log.tail_start_offset <= self.ends[self.published]
        expected = {
            name
            for name, (acks, batch) in self.waiting.items()
            if batch <= (self.synced if acks == "sync" else durable)
        }
        assert self.told == expected
        size = make_batch().nbytes
        assert self.log.unflushed_bytes == (self.synced - self.planned) * size
        start = self.log.tail_start_offset
        read = self.log.read_tail(start, 1 << 30, self.log.high_watermark, True) if start < self.ends[durable] else []
        assert [BatchHeader.parse(batch).base_offset for batch in read] == [
            base for base in self.ends[:durable] if base >= start
        ]


TestLogMachine = LogMachine.TestCase


@given(upto=st.integers(0, 10))
def test_what_holds_already_is_said_at_once(upto: int) -> None:
    log = open_log("wal", end_offset=10)
    assert log.when_synced(upto, lambda _: None)
    assert log.when_published(upto, lambda _: None)
