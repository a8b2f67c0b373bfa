"""Finds fields that stand one behind the other, each a length and its bytes: records in a batch, headers in a record.

Where a field begins is known only once the one before it was read. So many rows of fields (lanes) are walked side by
side, one field of each lane a turn; when few lanes are left, a turn costs more than reading their fields one by one,
which then is what happens. No length is believed before it was held against the end of its lane.
"""

import numpy as np

from infra.errors import Corrupt
from infra.records.varints import Bytes, Ints, read_varints

WIDTH = 160  # measured: from so many lanes on or fewer, a turn over all is cheaper than a step in each
_NULL = -1
_LONGEST = 10  # bytes of a length


class Fields:
    """Position and length (-1: null) of each field, lane by lane."""

    def __init__(self, count: int) -> None:
        self.at: Ints = np.empty(count, np.int64)
        self.length: Ints = np.empty(count, np.int64)


def walk_fields(data: Bytes, at: Ints, end: Ints, count: Ints) -> Fields:
    """The `count[i]` fields that fill the bytes from `at[i]` to `end[i]`, for every lane i.

    `data` has `varints.PADDING` more bytes than any end. Raises `Corrupt` when fields do not fill a lane exactly.
    """
    fields = Fields(int(count.sum()))
    first = np.cumsum(count) - count
    order = np.argsort(-count, kind="stable")
    counts = count[order]
    at, end, first = at[order], end[order], first[order]
    turns = int(counts[WIDTH - 1]) if len(counts) >= WIDTH else 0
    _walk_abreast(data, at, end, first, counts, turns, fields)
    longer = int(np.searchsorted(-counts, -turns, side="left"))
    if (at[longer:] != end[longer:]).any():
        raise Corrupt("bytes are left behind the last field")
    _walk_singly(data, at[:longer], end[:longer], first[:longer] + turns, counts[:longer] - turns, fields)
    return fields


def _walk_abreast(data: Bytes, at: Ints, end: Ints, first: Ints, counts: Ints, turns: int, fields: Fields) -> None:
    """Walk `turns` fields of the lanes that have so many, and move `at` on; lanes with more fields come first."""
    lanes = np.searchsorted(-counts, -np.arange(turns), side="left").tolist()  # that have a field in this turn
    for turn, active in enumerate(lanes):
        length, after = read_varints(data, at[:active])
        target = first[:active] + turn
        fields.at[target] = after
        fields.length[target] = length
        after += np.maximum(length, 0)
        if length.min() < _NULL or (length > end[:active]).any() or (after > end[:active]).any():
            raise Corrupt("a field does not fit")
        at[:active] = after


def _walk_singly(data: Bytes, at: Ints, end: Ints, first: Ints, counts: Ints, fields: Fields) -> None:
    starts = [0] * int(counts.sum())
    try:
        _find_starts(data.data, at.tolist(), end.tolist(), counts.tolist(), starts)
    except IndexError:
        raise Corrupt("a field does not fit") from None
    target = np.arange(len(starts)) + np.repeat(first - counts.cumsum() + counts, counts)
    fields.length[target], fields.at[target] = read_varints(data, np.array(starts, np.int64))


def _find_starts(raw: memoryview, at: list[int], end: list[int], counts: list[int], starts: list[int]) -> None:
    """Fill in where each field begins: the one loop over records in Python, so it does nothing else.

    A step is never 0, so whoever ends where the lane does was never beyond it.
    """
    steps = _STEPS
    begin = 0
    for here, last, count in zip(at, end, counts, strict=True):
        for index in range(begin, begin + count):
            starts[index] = here
            here += steps[raw[here]][raw[here + 1]] or _long_step(raw, here)
        if here != last:
            raise Corrupt("bytes are left behind the last field")
        begin += count


def _long_step(raw: memoryview, at: int) -> int:
    """Bytes of a length that `_STEPS` does not know, and of its field."""
    bits = shift = 0
    for size in range(1, _LONGEST + 1):
        byte = raw[at + size - 1]
        bits |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            if bits & 1 and bits != 1:
                raise Corrupt("a length is negative")
            return size + (0 if bits & 1 else bits >> 1)
    raise Corrupt("a length is longer than ten bytes")


def _step(low: int, high: int) -> int:
    bits, size = (low, 1) if low < 0x80 else (low - 0x80 + (high << 7), 2)
    if bits == 1:
        return size
    return 0 if bits & 1 or (size == 2 and high >= 0x80) else size + (bits >> 1)


_STEPS = tuple(tuple(_step(low, high) for high in range(256)) for low in range(256))
"""By its first two bytes, the bytes of a length and its field; 0 when that takes a closer look."""
