"""Zigzag varints (a record's numbers), many at once: numpy over positions, never a loop over the numbers themselves.

Nothing here knows records. Readers pad their bytes with `PADDING` zeros, so that a number which is cut off ends there.
"""

import numpy as np
from numpy.typing import NDArray

from infra.errors import Corrupt

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

PADDING = 64
"""More than four numbers of the greatest length: as many as are read before a position is checked."""

_LAST_SHIFT = 63  # of the tenth byte, of which one bit is left


def read_varints(data: Bytes, at: Ints) -> tuple[Ints, Ints]:
    """The numbers that begin at the positions `at`, and the positions behind them.

    Raises `Corrupt` when one is longer than ten bytes or has more than 64 bits.
    """
    byte = data[at]
    after = at + 1
    value = (byte & 0x7F).astype(np.int64)
    more = byte >= 0x80
    shift = 7
    left = int(np.count_nonzero(more))
    while left:
        if left * 4 > len(at):
            byte = data[after] * more
            value |= (byte & 0x7F).astype(np.int64) << shift
            after += more
            more = byte >= 0x80
            left = int(np.count_nonzero(more))
        else:
            return _read_few(data, value, after, np.flatnonzero(more), shift)
        shift = _next_shift(shift, left, byte)
    return _unzigzag(value), after


def _read_few(data: Bytes, value: Ints, after: Ints, more: Ints, shift: int) -> tuple[Ints, Ints]:
    while len(more):
        byte = data[after[more]]
        value[more] |= (byte & 0x7F).astype(np.int64) << shift
        after[more] += 1
        more = more[byte >= 0x80]
        shift = _next_shift(shift, len(more), byte)
    return _unzigzag(value), after


def _next_shift(shift: int, left: int, byte: Bytes) -> int:
    if shift == _LAST_SHIFT and (left or byte.max() > 1):
        raise Corrupt("a varint is longer than ten bytes or has more than 64 bits")
    return shift + 7


def _unzigzag(value: Ints) -> Ints:
    bits = value.view(np.uint64)
    return (bits >> np.uint64(1)).view(np.int64) ^ -(value & 1)


def zigzag(value: Ints) -> NDArray[np.uint64]:
    """Small numbers of either sign as small unsigned ones."""
    return ((value << 1) ^ (value >> 63)).view(np.uint64)


def varint_sizes(bits: NDArray[np.uint64]) -> Ints:
    """Bytes that each number takes, 1 to 10."""
    sizes = np.ones(len(bits), np.int64)
    greatest = int(bits.max(initial=0))
    bound = 1 << 7
    while greatest >= bound:
        sizes += bits >= np.uint64(bound)
        bound <<= 7
    return sizes


def write_varints(out: Bytes, at: Ints, bits: NDArray[np.uint64], sizes: Ints) -> Ints:
    """Write the numbers (as `zigzag` made them) at the positions `at`; gives the positions behind them."""
    greatest = int(sizes.max(initial=1))
    if greatest == 1:
        out[at] = bits.astype(np.uint8)
        return at + 1
    for index in range(greatest):
        byte = ((bits >> np.uint64(7 * index)) & np.uint64(0x7F)).astype(np.uint8)
        byte |= (sizes > index + 1).astype(np.uint8) << 7
        if index == 0:
            out[at] = byte
        else:
            reach = np.flatnonzero(sizes > index)
            out[at[reach] + index] = byte[reach]
    return at + sizes
