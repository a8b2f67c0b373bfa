"""Transactions in a led partition: where readers of committed records stop, what flushes say, who is refused."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.cluster.manifest import Manifest
from infra.cluster.manifest_record import ManifestRecord, RecordSegment
from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.ports import Durability
from infra.records.batch import TRANSACTIONAL
from infra.records.control import Marker, encode_marker
from infra.segment.extent import AbortedTransaction, Extent, ProducerEntry
from ingest.partition_log import PartitionLog
from ingest.tail import TailBudget
from tests.ingest.batches import header_of, make_batch
from tests.ingest.logs import Guard, flushed_of, open_log, settings_of, taken_lease

PRODUCER = 7


def produce(
    log: PartitionLog,
    sequence: int,
    *,
    producer_id: int = PRODUCER,
    epoch: int = 0,
    count: int = 1,
    verified: bool = True,
    transactional: bool = True,
) -> int:
    """Append a batch; its base offset."""
    attributes = TRANSACTIONAL if transactional else 0
    batch = make_batch(count, producer_id=producer_id, epoch=epoch, sequence=sequence, attributes=attributes)
    verification = log.begin_verification(producer_id) if verified and transactional else None
    return log.append([(header_of(batch), batch)], 1_000, 0, verification).base_offset


def end(log: PartitionLog, commit: bool, *, producer_id: int = PRODUCER, epoch: int = 0, coordinator: int = 0) -> int:
    """Append a marker; its offset."""
    batch = memoryview(encode_marker(Marker(producer_id, epoch, coordinator, commit), 1_000))
    return log.append([(header_of(batch), batch)], 1_000, 0).base_offset


def sync(log: PartitionLog) -> None:
    log.on_synced(log.log_end_offset)


def publish(log: PartitionLog) -> None:
    sync(log)
    log.on_published(flushed_of(log, f"batches/{log.published_offset}"))


def refusal(*arguments: object, **options: object) -> ErrorCode:
    with pytest.raises(Refused) as refused:
        produce(*arguments, **options)  # type: ignore[arg-type]
    return refused.value.code


def aborted(log: PartitionLog, offset: int = 0, upto: int = 1 << 40) -> list[tuple[int, int, int]]:
    found = log.aborted_between(offset, upto)
    return [(one.producer_id, one.first_offset, one.last_offset) for one in found]


@pytest.mark.parametrize("durability", ["wal", "object"])
def test_readers_of_committed_records_stop_at_the_oldest_open_transaction(durability: Durability) -> None:
    log = open_log(durability)
    produce(log, 0, count=3)  # 0 to 2
    produce(log, 0, producer_id=8)  # 3
    publish(log)
    assert (log.high_watermark, log.last_stable_offset) == (4, 0)
    assert end(log, True) == 4
    assert log.last_stable_offset == 0, "its marker is not durable"
    publish(log)
    assert log.last_stable_offset == 3
    end(log, False, producer_id=8)  # 5
    produce(log, 3, verified=True)  # 6
    publish(log)
    assert (log.high_watermark, log.last_stable_offset) == (7, 6)
    end(log, True)
    publish(log)
    assert log.last_stable_offset == log.high_watermark == 8
    assert aborted(log) == [(8, 3, 5)]
    assert aborted(log, 5, 4) == [(8, 3, 5)]
    assert aborted(log, 6) == aborted(log, 0, 3) == []


@pytest.mark.parametrize("durability", ["wal", "object"])
def test_what_has_ended_is_forgotten_though_nobody_reads(durability: Durability) -> None:
    log = open_log(durability)
    for number in range(100):
        produce(log, number)
        end(log, number % 2 == 0)
    produce(log, 100)
    publish(log)
    assert len(log._transactions) == 1
    assert log.last_stable_offset == log.high_watermark - 1


def test_a_transaction_needs_to_be_verified_once_in_a_partition() -> None:
    log = open_log()
    first = make_batch(1, producer_id=PRODUCER, epoch=0, sequence=0, attributes=TRANSACTIONAL)
    assert log.must_be_verified(header_of(first))
    assert refusal(log, 0, verified=False) is ErrorCode.INVALID_TXN_STATE
    produce(log, 0)
    assert not log.must_be_verified(header_of(first)), "it was appended before"
    second = make_batch(1, producer_id=PRODUCER, epoch=0, sequence=1, attributes=TRANSACTIONAL)
    assert not log.must_be_verified(header_of(second))
    produce(log, 1, verified=False)
    end(log, True)
    assert refusal(log, 2, verified=False) is ErrorCode.INVALID_TXN_STATE
    assert log.log_end_offset == 3


def test_a_marker_makes_void_what_was_verified_before_it() -> None:
    log = open_log()
    verification = log.begin_verification(PRODUCER)
    end(log, False)
    batch = make_batch(1, producer_id=PRODUCER, epoch=0, sequence=0, attributes=TRANSACTIONAL)
    with pytest.raises(Refused) as refused:
        log.append([(header_of(batch), batch)], 1_000, 0, verification)
    assert refused.value.code is ErrorCode.INVALID_TXN_STATE


def test_a_verification_outlives_one_expiry_and_not_two() -> None:
    log = open_log()
    kept = log.begin_verification(PRODUCER)
    log.expire_producers(0)
    assert log.begin_verification(PRODUCER) is kept
    log.expire_producers(0)
    log.expire_producers(0)
    assert log.begin_verification(PRODUCER) is not kept


def test_a_batch_outside_of_the_open_transaction_is_refused() -> None:
    log = open_log()
    produce(log, 0)
    assert refusal(log, 1, transactional=False) is ErrorCode.INVALID_TXN_STATE
    end(log, True)
    produce(log, 1, transactional=False)


def test_older_producers_and_coordinators_are_fenced() -> None:
    log = open_log()
    produce(log, 0, epoch=2)
    for epoch, coordinator, code in [
        (1, 5, ErrorCode.INVALID_PRODUCER_EPOCH),
        (1, 1, ErrorCode.INVALID_PRODUCER_EPOCH),
        (3, 4, None),
        (3, 3, ErrorCode.TRANSACTION_COORDINATOR_FENCED),
        (3, 4, None),
        (9, 7, None),
    ]:
        before = log.log_end_offset
        if code is None:
            assert end(log, False, epoch=epoch, coordinator=coordinator) == before
            continue
        with pytest.raises(Refused) as refused:
            end(log, False, epoch=epoch, coordinator=coordinator)
        assert refused.value.code is code
        assert log.log_end_offset == before
    assert refusal(log, 1, epoch=2) is ErrorCode.INVALID_PRODUCER_EPOCH
    assert refusal(log, 1, epoch=9) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    produce(log, 0, epoch=9)


def test_a_marker_keeps_the_sequence_of_its_epoch() -> None:
    log = open_log()
    produce(log, 0, count=2)
    end(log, True)
    assert produce(log, 0, count=2) == 0, "a duplicate"
    assert refusal(log, 3) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    produce(log, 2)


def test_what_coordinators_append_in_a_transaction_needs_no_sequence() -> None:
    log = open_log()
    assert produce(log, -1) == 0
    assert produce(log, -1, verified=False) == 1
    end(log, True, epoch=4)
    assert refusal(log, -1, epoch=3) is ErrorCode.INVALID_PRODUCER_EPOCH


def test_a_producer_with_an_open_transaction_is_never_forgotten() -> None:
    log = open_log()
    produce(log, 0)
    produce(log, 0, producer_id=8)
    publish(log)
    end(log, True, producer_id=8)
    publish(log)
    assert log.expire_producers(10**9) == 1
    assert [entry.producer_id for entry in log.published().producers] == [PRODUCER]
    assert log.last_stable_offset == 0


def test_flushes_say_what_is_open_and_what_was_aborted() -> None:
    log = open_log("wal")
    produce(log, 0, producer_id=8)  # 0
    produce(log, 0)  # 1
    sync(log)
    first = flushed_of(log)
    end(log, False, producer_id=8, coordinator=3)  # 2
    end(log, True)  # 3
    produce(log, 1, producer_id=8)  # 4
    sync(log)
    second = flushed_of(log)
    assert {entry.producer_id: entry.transaction_first_offset for entry in first.producers} == {8: 0, PRODUCER: 1}
    assert first.extent.aborted == ()
    assert second.extent.aborted == (AbortedTransaction(8, 0, 2),)
    entries = {
        entry.producer_id: (entry.coordinator_epoch, entry.transaction_first_offset) for entry in second.producers
    }
    assert entries == {8: (3, 4), PRODUCER: (0, -1)}


def test_the_next_leader_knows_what_is_open() -> None:
    entries = (ProducerEntry(8, 0, ((0, 0, 5, 1),), 1, 3, 5), ProducerEntry(PRODUCER, 1, (), 1, 2, 2))
    log = open_log(end_offset=9, producers=entries)
    assert (log.high_watermark, log.last_stable_offset) == (9, 2)
    produce(log, 1, producer_id=8, verified=False)
    end(log, False, epoch=1, coordinator=2)
    publish(log)
    assert log.last_stable_offset == 5
    assert aborted(log) == [(PRODUCER, 2, 10)]


def test_the_log_start_passes_an_open_transaction() -> None:
    log = open_log("wal")
    produce(log, 0, count=5)
    sync(log)
    log.raise_log_start(3)
    assert log.last_stable_offset == 3


def test_aborted_transactions_are_known_wherever_the_tail_begins() -> None:
    budget = TailBudget(1 << 30)
    log = PartitionLog(taken_lease(), settings_of(), Guard(), budget)
    for turn in range(6):
        produce(log, turn)  # 2 * turn
        end(log, False)
        publish(log)
    expected = [(PRODUCER, 2 * turn, 2 * turn + 1) for turn in range(6)]
    assert aborted(log) == expected
    budget._max_bytes = 5_000  # the tail keeps about four batches
    produce(log, 6)
    end(log, False)
    publish(log)
    assert 0 < log.tail_start_offset < 14
    assert aborted(log) == [*expected, (PRODUCER, 12, 13)]
    assert aborted(log, 5, 9) == expected[2:5]
    segment = RecordSegment("records/x", 0, 12, 0, 1, -1, ())
    log.adopt_manifest(Manifest().apply(ManifestRecord(0, added=(segment,))))
    assert aborted(log, 13) == [(PRODUCER, 12, 13)], "its records are in the tail, its extent is kept for its marker"


@dataclass
class Naive:
    """The log as a list of what was appended: (producer, kind), one record each."""

    rows: list[tuple[int, str]] = field(default_factory=list)

    def open_at(self, upto: int) -> dict[int, int]:
        found: dict[int, int] = {}
        for offset, (producer, kind) in enumerate(self.rows[:upto]):
            if kind == "data":
                found.setdefault(producer, offset)
            elif kind != "plain":
                found.pop(producer, None)
        return found

    def aborted(self) -> list[tuple[int, int, int]]:
        gone = []
        for offset, (producer, kind) in enumerate(self.rows):
            first = self.open_at(offset).get(producer)
            if kind == "abort" and first is not None:
                gone.append((producer, first, offset))
        return gone


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["data", "data", "data", "commit", "abort", "plain", "sync", "publish"]), st.integers(1, 3)
    ),
    max_size=60,
)


@settings(deadline=None)
@given(steps=STEPS, durability=st.sampled_from(["wal", "object"]))
def test_agrees_with_a_log_that_is_only_a_list(steps: list[tuple[str, int]], durability: Durability) -> None:
    log, model = open_log(durability), Naive()
    sequences: dict[int, int] = {}
    extents: list[Extent] = []
    producers: dict[int, ProducerEntry] = {}
    for kind, producer in steps:
        if kind in ("data", "plain"):
            refused = kind == "plain" and producer in model.open_at(len(model.rows))
            if refused:
                assert refusal(log, sequences[producer], producer_id=producer, transactional=False)
                continue
            sequence = sequences.get(producer, 0)
            produce(log, sequence, producer_id=producer, transactional=kind == "data")
            sequences[producer] = sequence + 1
            model.rows.append((producer, kind))
        elif kind in ("commit", "abort"):
            end(log, kind == "commit", producer_id=producer)
            model.rows.append((producer, kind))
        elif kind == "sync":
            sync(log)
        elif log.published_offset < log.log_end_offset:
            sync(log)
            flushed = flushed_of(log)
            extents.append(flushed.extent)
            producers.update((entry.producer_id, entry) for entry in flushed.producers)
            log.on_published(flushed)
        # A transaction is over for readers once its marker is below the high watermark.
        oldest = min(model.open_at(log.high_watermark).values(), default=log.high_watermark)
        assert log.last_stable_offset == oldest
        known = model.aborted()
        for offset in range(0, len(model.rows) + 1, 3):
            for upto in range(offset, len(model.rows) + 1, 4):
                assert aborted(log, offset, upto) == [one for one in known if one[2] >= offset and one[1] < upto]
    told = [(one.producer_id, one.first_offset, one.last_offset) for extent in extents for one in extent.aborted]
    assert told == [one for one in model.aborted() if one[2] < log.published_offset]
    still = {key: entry.transaction_first_offset for key, entry in producers.items() if entry.in_transaction}
    assert still == model.open_at(log.published_offset)
