"""Producer state against Kafka's rules, and against a model that remembers every batch ever sent."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.records.batch import BatchHeader
from infra.segment.extent import ProducerEntry
from ingest.producer_state import REMEMBERED_BATCHES, SEQUENCES, Duplicate, ProducerState
from tests.ingest.batches import header_of, make_batch

PRODUCER = 7


def header(sequence: int, count: int = 1, epoch: int = 0, base_offset: int = 0) -> BatchHeader:
    batch = make_batch(count, producer_id=PRODUCER, epoch=epoch, sequence=sequence)
    return header_of(batch)._replace(base_offset=base_offset)


def refusal(state: ProducerState, batch: BatchHeader) -> ErrorCode:
    with pytest.raises(Refused) as refused:
        state.check(batch)
    return refused.value.code


def appended(state: ProducerState, *batches: BatchHeader) -> None:
    for batch in batches:
        assert state.check(batch) is None
        state.apply(batch, 5_000)


def test_an_unknown_producer_may_begin_with_any_sequence() -> None:
    state = ProducerState()
    appended(state, header(41, 2), header(43))
    assert refusal(state, header(45)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


def test_what_was_never_seen_is_not_called_a_duplicate() -> None:
    state = ProducerState()
    appended(state, header(10), header(11))
    assert refusal(state, header(5)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


def test_a_duplicate_within_the_window_is_answered_with_its_place() -> None:
    state = ProducerState()
    for i in range(REMEMBERED_BATCHES + 2):
        appended(state, header(i * 3, 3, base_offset=100 + i * 3))
    for i in range(2, REMEMBERED_BATCHES + 2):
        assert state.check(header(i * 3, 3)) == Duplicate(100 + i * 3, 102 + i * 3, 1_000)
    assert refusal(state, header(3, 3)) is ErrorCode.DUPLICATE_SEQUENCE_NUMBER
    assert refusal(state, header(6, 2)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


def test_sequences_wrap() -> None:
    state = ProducerState()
    appended(state, header(SEQUENCES - 2, 4, base_offset=10), header(2, base_offset=14))
    assert state.check(header(SEQUENCES - 2, 4)) == Duplicate(10, 13, 1_000)
    state = ProducerState()
    appended(state, header(SEQUENCES - 1), header(0))


def test_epochs() -> None:
    state = ProducerState()
    appended(state, header(9, epoch=3))
    assert refusal(state, header(10, epoch=2)) is ErrorCode.INVALID_PRODUCER_EPOCH
    assert refusal(state, header(10, epoch=4)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    appended(state, header(0, epoch=4), header(1, epoch=4))
    assert refusal(state, header(9, epoch=3)) is ErrorCode.INVALID_PRODUCER_EPOCH


def test_a_producer_whose_batches_are_forgotten_begins_with_zero() -> None:
    state = ProducerState([ProducerEntry(PRODUCER, 2, ())])
    assert refusal(state, header(1, epoch=2)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    appended(state, header(0, epoch=2))


def test_expiry_forgets_the_idle_only() -> None:
    state = ProducerState([ProducerEntry(1, 0, (), 100), ProducerEntry(2, 0, (), 200)])
    assert state.expire(200) == 1
    assert state.get(1) is None
    assert state.get(2) is not None


def test_a_snapshot_restores_the_window() -> None:
    state = ProducerState()
    for i in range(8):
        appended(state, header(i, base_offset=i))
    restored = ProducerState(state.entries())
    assert restored.check(header(5)) == Duplicate(5, 5, 1_000)
    appended(restored, header(8))


@dataclass
class Remembering:
    """The naive model: every batch of the current epoch by its unwrapped sequence."""

    epoch: int = -1
    batches: list[tuple[int, int, int]] = field(default_factory=list)  # first, last (unwrapped), base offset

    def judge(self, sequence: int, count: int, epoch: int) -> ErrorCode | int | None:
        """An error, the base offset of a duplicate, or None to append."""
        if self.epoch == -1:
            return None
        if epoch < self.epoch:
            return ErrorCode.INVALID_PRODUCER_EPOCH
        if epoch > self.epoch:
            return None if sequence == 0 else ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
        for first, last, base in self.batches[-REMEMBERED_BATCHES:]:
            if first % SEQUENCES == sequence and last - first + 1 == count:
                return base
        following = self.batches[-1][1] + 1
        if following % SEQUENCES == sequence:
            return None
        known = set(range(self.batches[0][0], self.batches[-REMEMBERED_BATCHES:][0][0]))
        sent = {one for one in known if one % SEQUENCES == sequence}
        if any(set(range(one, one + count)) <= known for one in sent):
            return ErrorCode.DUPLICATE_SEQUENCE_NUMBER
        return ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER

    def append(self, sequence: int, count: int, epoch: int, base: int) -> None:
        first = sequence
        if epoch == self.epoch and self.batches:
            first = self.batches[-1][1] + 1
        elif epoch != self.epoch:
            self.batches = []
        self.epoch = epoch
        self.batches.append((first, first + count - 1, base))


def outcome(state: ProducerState, batch: BatchHeader) -> ErrorCode | int | None:
    """As the model says it."""
    try:
        found = state.check(batch)
    except Refused as refused:
        return refused.code
    if found is None:
        return None
    assert found.last_offset == found.base_offset + batch.last_offset_delta
    return found.base_offset


STARTS = st.sampled_from([0, 17, SEQUENCES - 6])
STEPS = st.lists(st.tuples(st.integers(-12, 3), st.integers(1, 3), st.sampled_from([0] * 12 + [-1, 1])), max_size=40)


@given(start=STARTS, steps=STEPS)
def test_agrees_with_the_model(start: int, steps: list[tuple[int, int, int]]) -> None:
    state, model, offset = ProducerState(), Remembering(), 0
    sequence, epoch = start, 1
    for back, count, bump in steps:
        tried = 0 if bump == 1 else (sequence + min(back, 0)) % SEQUENCES
        batch = header(tried, count, max(0, epoch + bump), base_offset=offset)
        expected = model.judge(tried, count, max(0, epoch + bump))
        assert outcome(state, batch) == expected
        if expected is not None:
            continue
        state.apply(batch, 0)
        model.append(tried, count, max(0, epoch + bump), offset)
        offset += count
        sequence, epoch = (tried + count) % SEQUENCES, max(0, epoch + bump)
