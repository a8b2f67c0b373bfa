"""Which segment was the last to hold each partition: against a plain list of all that was noted."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from infra.partition import PartitionId
from infra.segment.holders import Holder
from ingest.last_holders import LastHolders

PARTITIONS = [PartitionId(UUID(int=1), number) for number in range(6)]


@given(st.lists(st.sets(st.sampled_from(PARTITIONS), min_size=1)), st.integers(0, 50), st.integers(1, 6))
def test_absence_says_that_there_is_nothing_since(flushes: list[set[PartitionId]], first: int, most: int) -> None:
    last = LastHolders(first, most)
    held: dict[PartitionId, Holder] = {}
    for number, partitions in enumerate(flushes):
        last.note(first + number, [(one, number // 3, number * 10) for one in sorted(partitions)])
        held.update(dict.fromkeys(partitions, Holder(first + number, number // 3, number * 10)))
        told = last.holders()
        assert len(told.last) <= most
        assert told.last.items() <= held.items()
        assert all(held[one].sequence < told.since for one in held.keys() - told.last.keys())
        assert told.since <= first + number + 1
    if most == len(PARTITIONS):
        assert last.holders().last == held
        assert last.holders().since == first
