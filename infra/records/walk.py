"""Finds fields that stand one behind the other, each a length and its bytes: records in a batch, headers in a record.

Where a field begins is known only once the one before it was read. So many rows of fields (lanes) are walked side by
side, one field of each lane a turn; when few lanes are left, a turn costs more than reading their fields one by one,
which then is what happens. No length is believed before it was held against the end of its lane.
"""

import numpy as np

from infra.errors import Corrupt
from infra.records.varints import Bytes, Ints, read_varints

WIDTH = 96  # measured: from about so many lanes on, a turn over all is cheaper than a step in each
_NULL = -1


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
    _walk_singly(data, at[:longer], end, first + turns, counts - turns, fields)
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
    raw = data.data
    found_at, found_length = fields.at.data, fields.length.data
    for here, last, begin, count in zip(at.tolist(), end.tolist(), first.tolist(), counts.tolist(), strict=False):
        for index in range(begin, begin + count):
            byte = bits = raw[here]
            here += 1
            shift = 7
            while byte >= 0x80:
                byte = raw[here]
                here += 1
                bits += (byte - 1) << shift  # takes away the mark of the byte before
                shift += 7
                if shift > 70:
                    raise Corrupt("a length is longer than ten bytes")
            length = (bits >> 1) ^ -(bits & 1)
            found_at[index] = here
            if length >= 0:
                here += length
            elif length < _NULL:
                raise Corrupt("a length is negative")
            if here > last:
                raise Corrupt("a field does not fit")
            found_length[index] = length
        if here != last:
            raise Corrupt("bytes are left behind the last field")
