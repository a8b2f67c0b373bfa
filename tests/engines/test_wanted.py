"""Conditions: the records that pass, and what can be left unread because of them."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reader.engines.wanted import COMPARISONS, Condition, Wanted, time_condition, time_set
from reader.replay.plan import Span
from reader.replay.request import BYTES

_COMPARE = {
    "==": lambda left, right: left == right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "in": lambda left, right: left in right,
}

_ROWS = [
    {
        "partition": at % 3,
        "offset": at,
        "timestamp": 20 - at,
        "key": None if at == 5 else b"%d" % at,
        "value": b"",
        "headers": [],
    }
    for at in range(10)
]


def _passing(wanted: Wanted) -> list[int]:
    table = pa.Table.from_pylist(_ROWS, BYTES)
    expression = wanted.selection().filter
    return (table if expression is None else table.filter(expression))["offset"].to_pylist()


def _holds(row: dict[str, Any], condition: Condition) -> bool:
    found = row[condition.column]
    return found is not None and bool(_COMPARE[condition.comparison](found, condition.value))


_NUMBERS = st.integers(-3, 23)


@st.composite
def _conditions(draw: st.DrawFn) -> Condition:
    column = draw(st.sampled_from(["partition", "offset", "timestamp", "key"]))
    comparison = draw(st.sampled_from(COMPARISONS))
    values = st.integers(0, 12).map(lambda number: b"%d" % number) if column == "key" else _NUMBERS
    return Condition(column, comparison, draw(st.lists(values).map(tuple) if comparison == "in" else values))


@given(st.lists(_conditions(), max_size=3))
def test_records_pass_that_fulfil_all_conditions(conditions: list[Condition]) -> None:
    wanted = Wanted(None, tuple(conditions))
    expected = [row for row in _ROWS if all(_holds(row, one) for one in conditions)]
    assert _passing(wanted) == [row["offset"] for row in expected]
    left = wanted.narrowed({0: Span(0, 10), 1: Span(0, 10), 2: Span(0, 10)})
    for row in expected:
        span = left[row["partition"]]
        assert span.start <= row["offset"] < span.end
        assert wanted.start_ms() is None or row["timestamp"] >= wanted.start_ms()


@pytest.mark.parametrize("comparison", ["==", "<", "<=", ">", ">="])
@given(st.integers(-3000, 25_000))
def test_microseconds_are_compared_exactly(comparison: str, microseconds: int) -> None:
    condition = time_condition(comparison, microseconds)
    for row in _ROWS:
        exact = bool(_COMPARE[comparison](row["timestamp"] * 1000, microseconds))
        assert _holds(row, condition) == exact


def test_of_several_times_those_between_milliseconds_are_no_record() -> None:
    assert time_set([11_000, 12_001, 13_000]) == Condition("timestamp", "in", (11, 13))
