"""The tail: reading by offset, and trimming by a budget that all partitions of a node share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.records.batch import BatchHeader, stamp
from ingest.tail import BATCH_OVERHEAD_BYTES, Tail, TailBatch, TailBudget
from tests.ingest.batches import make_batch


def add(tail: Tail, count: int, size: int = 10) -> TailBatch:
    batch = make_batch(count, payload=bytes(size))
    stamp(batch, tail.end_offset, 1)
    added = TailBatch(BatchHeader.parse(batch), batch, 0, 0)
    tail.append(added)
    return added


def offsets(found: list[memoryview]) -> list[int]:
    return [BatchHeader.parse(batch).base_offset for batch in found]


@given(
    counts=st.lists(st.integers(1, 4), max_size=100),
    trimmed=st.integers(0, 100),
    offset=st.integers(0, 30),
    upto=st.integers(0, 300),
    max_batches=st.integers(0, 12),
    at_least_one=st.booleans(),
)
def test_reads_like_a_plain_list(
    counts: list[int], trimmed: int, offset: int, upto: int, max_batches: int, at_least_one: bool
) -> None:
    tail = Tail(7)
    batches = [add(tail, count) for count in counts]
    for _ in range(min(trimmed, len(batches))):
        batches.pop(0)
        tail.trim_first()
    assert tail.start_offset == (batches[0].header.base_offset if batches else tail.end_offset)
    offset = min(tail.start_offset + offset, tail.end_offset)
    size = batches[0].header.size if batches else 0
    there = [b for b in batches if b.header.next_offset > offset and b.header.next_offset <= upto]
    most = max_batches or int(at_least_one)
    wanted = [batch.header.base_offset for batch in there[:most]]
    assert offsets(tail.read(offset, max_batches * size, upto, at_least_one)) == wanted
    assert tail.count_bytes(offset, upto, max_batches * size) == min(len(there), max_batches) * size
    assert [b.header.base_offset for b in tail.slice(offset, upto, max_batches * size)] == [
        b.header.base_offset for b in there[: max(max_batches, 1)]
    ]
    first = tail.first_from(offset)
    assert (first.header.last_offset >= offset) if first else offset == tail.end_offset


def test_a_large_first_batch_is_given_only_when_asked() -> None:
    tail = Tail(0)
    add(tail, 1, size=1000)
    assert tail.read(0, 10, 1, False) == []
    assert len(tail.read(0, 10, 1, True)) == 1


def test_a_gap_is_refused() -> None:
    tail, other = Tail(0), Tail(5)
    batch = add(other, 1)
    with pytest.raises(ValueError):
        tail.append(batch)


def test_the_oldest_published_goes_first_across_partitions() -> None:
    cost = make_batch(payload=bytes(10)).nbytes + BATCH_OVERHEAD_BYTES
    budget = TailBudget(3 * cost)
    a, b = Tail(0), Tail(0)
    for tail in (a, b):
        for _ in range(3):
            add(tail, 1)
    budget.published(a, 2, 2 * cost)
    budget.published(b, 2, 2 * cost)
    assert (a.start_offset, b.start_offset) == (1, 0)
    budget.published(b, 3, cost)
    assert (a.start_offset, b.start_offset) == (2, 0)
    budget.published(a, 3, cost)
    assert (a.start_offset, b.start_offset) == (2, 1)
    assert budget.held_bytes == 3 * cost


def test_a_closed_tail_gives_its_bytes_back() -> None:
    cost = make_batch(payload=bytes(10)).nbytes + BATCH_OVERHEAD_BYTES
    budget = TailBudget(2 * cost)
    a, b = Tail(0), Tail(0)
    add(a, 1)
    add(b, 1)
    add(b, 1)
    budget.published(a, 1, cost)
    budget.closed(a)
    budget.published(b, 2, 2 * cost)
    assert (a.start_offset, b.start_offset) == (0, 0)
    assert budget.held_bytes == 2 * cost


def test_what_is_not_published_is_never_trimmed() -> None:
    budget = TailBudget(0)
    tail = Tail(0)
    batches = [add(tail, 1) for _ in range(3)]
    budget.published(tail, 2, sum(batch.cost for batch in batches[:2]))
    assert tail.start_offset == 2
