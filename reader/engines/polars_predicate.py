"""What a Polars predicate says of partition, offset and timestamp, as conditions.

Polars evaluates the predicate itself afterwards, so whatever is not understood here is left out: it costs reading, not
truth. Only terms that are joined with and are looked at.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from reader.engines.wanted import Condition, time_condition

_COMPARISONS = {"Eq": "==", "Lt": "<", "LtEq": "<=", "Gt": ">", "GtEq": ">="}
_TURNED = {"==": "==", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_MICROSECONDS = {"Milliseconds": 1000, "Microseconds": 1}
_LIMITS = {"partition": 1 << 31, "offset": 1 << 63}  # a constant beyond is no value of the column

Tree = Mapping[str, Any]


def conditions_of(predicate: pl.Expr) -> tuple[Condition, ...]:
    """Conditions that every record for which the predicate holds fulfils."""
    try:
        tree = json.loads(predicate.meta.serialize(format="json"))
    except (pl.exceptions.ComputeError, ValueError):  # such an expression has no JSON
        return ()
    return tuple(_terms(tree))


def _terms(tree: Any) -> Iterator[Condition]:
    match tree:
        case {"BinaryExpr": {"left": left, "op": "And" | "LogicalAnd", "right": right}}:
            yield from _terms(left)
            yield from _terms(right)
        case {"BinaryExpr": {"left": left, "op": str(operator), "right": right}} if operator in _COMPARISONS:
            yield from _comparison(left, _COMPARISONS[operator], right)


def _comparison(left: Any, comparison: str, right: Any) -> Iterator[Condition]:
    if isinstance(right, dict) and "Column" in right:
        left, comparison, right = right, _TURNED[comparison], left
    match left, right:
        case {"Column": "timestamp"}, {"Literal": literal}:
            if (time := _time(literal)) is not None:
                yield time_condition(comparison, time)
        case {"Column": str(column)}, {"Literal": literal} if column in _LIMITS:
            number = _integer(literal)
            if number is not None and abs(number) < _LIMITS[column]:
                yield Condition(column, comparison, number)


def _integer(literal: Any) -> int | None:
    match literal:
        case {"Scalar": inner} | {"Dyn": inner}:
            return _integer(inner)
        case {"Int": int(value)} | {"Int64": int(value)} | {"Int32": int(value)}:
            return value
    return None


def _time(literal: Any) -> int | None:
    match literal:
        case {"Scalar": inner}:
            return _time(inner)
        case {"Datetime": [int(value), str(unit), _]} | {"DateTime": [int(value), str(unit), _]}:
            return value * _MICROSECONDS[unit] if unit in _MICROSECONDS else None
    return None
