"""Beginnings, ends and steps of queries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import Refused
from reader.engines.offsets import limited, missing, resolve
from reader.replay.plan import Span

_THERE = {0: Span(5, 20), 1: Span(0, 7)}


def test_places_become_offsets() -> None:
    assert resolve("startingOffsets", "earliest", _THERE) == {0: 5, 1: 0}
    assert resolve("startingOffsets", "latest", _THERE) == {0: 20, 1: 7}
    assert resolve("startingOffsets", {0: 11, 1: "latest"}, _THERE) == {0: 11, 1: 7}
    with pytest.raises(Refused, match="startingOffsets has to name every partition that is read: 0, 1"):
        resolve("startingOffsets", {0: 11}, _THERE)


def test_what_is_gone_is_told() -> None:
    assert missing({0: 5, 1: 7}, _THERE) == []
    assert missing({0: 4, 1: 3}, _THERE) == [0]
    assert missing({0: 9, 1: 8}, _THERE) == [1]
    assert missing({0: 9, 2: 0}, _THERE) == [2]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=5), st.integers(1, 80))
def test_a_step_is_as_long_as_it_may_be(pairs: list[tuple[int, int]], most: int) -> None:
    start = {partition: first for partition, (first, _) in enumerate(pairs)}
    end = {partition: first + more for partition, (first, more) in enumerate(pairs)}
    reached = limited(start, end, most)
    assert all(start[one] <= reached[one] <= end[one] for one in end)
    assert sum(reached[one] - start[one] for one in end) == min(most, sum(more for _, more in pairs))
