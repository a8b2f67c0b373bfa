"""Which records and columns an engine wants, in a form that every engine's own filters can be turned into.

Conditions are joined with and. They decide three times: which pieces of work there are, which row groups of them are
read, and which records come out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from reader.replay.plan import Span
from reader.replay.request import BYTES, all_of
from reader.replay.selection import Selection

COMPARISONS = ("==", "<", "<=", ">", ">=", "in")
CONDITION_COLUMNS = ("partition", "offset", "timestamp", "key")

_FARTHEST = (1 << 63) - 1


class Condition(NamedTuple):
    """What a column has to be. Times are milliseconds since the epoch; for `in` the value is a tuple."""

    column: str
    comparison: str
    value: Any


@dataclass(frozen=True, slots=True)
class Wanted:
    """Columns (None: all of `BYTES`) of the records that fulfil all conditions."""

    columns: tuple[str, ...] | None = None
    conditions: tuple[Condition, ...] = ()

    def selection(self) -> Selection:
        """As the reads take it."""
        return Selection(BYTES, self.columns, all_of([_expression(one) for one in self.conditions]))

    def start_ms(self) -> int | None:
        """No record that is wanted is older than that."""
        least = [low for low, _ in self._bounds("timestamp") if low > -_FARTHEST]
        return max(least, default=None)

    def narrowed(self, spans: Mapping[int, Span]) -> dict[int, Span]:
        """What is left of spans by partition when conditions on partition and offset are kept; none that is empty."""
        low = max((bound for bound, _ in self._bounds("offset")), default=-_FARTHEST)
        high = min((bound for _, bound in self._bounds("offset")), default=_FARTHEST)
        on_partition = [one for one in self.conditions if one.column == "partition"]
        left = {}
        for partition, span in spans.items():
            within = Span(max(span.start, low), min(span.end, high + 1))
            if within and all(_holds(one, partition) for one in on_partition):
                left[partition] = within
        return left

    def _bounds(self, column: str) -> list[tuple[int, int]]:
        return [_range(one) for one in self.conditions if one.column == column]


def time_condition(comparison: str, microseconds: int) -> Condition:
    """A time of microseconds compared with timestamps, which have milliseconds: the same records, exactly."""
    down, rest = divmod(microseconds, 1000)
    if comparison == "==":
        return Condition("timestamp", "in", () if rest else (down,))
    up = down + 1 if rest else down
    return Condition("timestamp", comparison, up if comparison in (">=", "<") else down)


def time_set(microseconds: Iterable[int]) -> Condition:
    """One of several times of microseconds."""
    return Condition("timestamp", "in", tuple(one // 1000 for one in microseconds if one % 1000 == 0))


def _range(condition: Condition) -> tuple[int, int]:
    """Least and greatest integer that a condition allows, inclusive."""
    value = condition.value
    match condition.comparison:
        case "==":
            return value, value
        case "in":
            return min(value, default=_FARTHEST), max(value, default=-_FARTHEST)
        case ">=":
            return value, _FARTHEST
        case ">":
            return value + 1, _FARTHEST
        case "<=":
            return -_FARTHEST, value
        case _:
            return -_FARTHEST, value - 1


def _holds(condition: Condition, number: int) -> bool:
    if condition.comparison == "in":
        return number in condition.value
    least, most = _range(condition)
    return least <= number <= most


def _expression(condition: Condition) -> Any:
    kind = BYTES.field(condition.column).type
    field = pc.field(condition.column)
    if condition.comparison == "in":
        return field.isin(pa.array(condition.value, kind))
    value = pa.scalar(condition.value, kind)
    match condition.comparison:
        case "==":
            return field == value
        case ">=":
            return field >= value
        case ">":
            return field > value
        case "<=":
            return field <= value
        case _:
            return field < value
