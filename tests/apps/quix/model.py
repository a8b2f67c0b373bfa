"""What the application's output must be, made from its input by plain loops; nothing of Kafka in here."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple


class Number(NamedTuple):
    """One record of the input."""

    key: str
    number: int  # unique
    value: int


class Line(NamedTuple):
    """One record of the output."""

    key: str
    number: int
    count: int
    total: int


def expected(numbers: Sequence[Number]) -> list[Line]:
    """The output of one partition of the input."""
    lines: list[Line] = []
    count: dict[str, int] = {}
    total: dict[str, int] = {}
    for key, number, value in numbers:
        count[key] = count.get(key, 0) + 1
        total[key] = total.get(key, 0) + value
        lines.append(Line(key, number, count[key], total[key]))
    return lines


def compare(wanted: Mapping[int, Sequence[Line]], found: Mapping[int, Sequence[Line]]) -> Iterator[str]:
    """What is wrong with the output, a sentence a partition: it must be exactly what is wanted, in that order."""
    for partition in sorted({*wanted, *found}):
        rows = zip_longest(wanted.get(partition, ()), found.get(partition, ()))
        for at, (right, line) in enumerate(rows):
            if right != line:
                yield f"partition {partition}, line {at}: {line} instead of {right}"
                break
