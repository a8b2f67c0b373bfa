"""Where each record batch of a batch segment lies in the object: the part of its footer that fetches live on.

A batch segment stores the batches as they are, so with this index a fetch is one ranged GET and slices of it: no
Parquet reader. Pure: it plans, others read.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from infra.errors import Corrupt
from infra.records.batch import HEADER_BYTES
from infra.records.compression import ZSTD, compress, decompress
from infra.segment.extent import Extent
from infra.store.port import Buffer

Int64s = npt.NDArray[np.int64]

_COLUMNS = 5
_STORED = np.dtype("<i8")


class BatchSpan(NamedTuple):
    """One record batch in the object."""

    position: int  # byte of the object
    size: int  # bytes
    base_offset: int
    last_offset: int
    max_timestamp: int  # ms


@dataclass(frozen=True, slots=True)
class SegmentIndex:
    """One entry a row, in the order of rows: an extent is a run of them."""

    base_offsets: Int64s
    last_offsets: Int64s
    max_timestamps: Int64s  # ms
    positions: Int64s  # first byte of the batch in the object
    sizes: Int64s  # bytes

    def __len__(self) -> int:
        return len(self.sizes)

    def plan(self, extent: Extent, offset: int, max_bytes: int, upto: int, at_least_one: bool) -> list[BatchSpan]:
        """Whole batches of the extent in order, the first one containing `offset` (or the first above it), all below
        `upto`, at most max_bytes in all, but one at least when asked. One GET from the first's position to the last's
        end brings them all. Raises `Corrupt` when the extent is not in this segment."""
        first, end = self._rows(extent)
        begin = first + int(np.searchsorted(self.last_offsets[first:end], offset, "left"))
        end = first + int(np.searchsorted(self.last_offsets[first:end], upto, "left"))
        if begin >= end:
            return []
        fitting = int(np.searchsorted(np.cumsum(self.sizes[begin:end]), max_bytes, "right"))
        if fitting == 0 and at_least_one:
            fitting = 1
        return self._spans(begin, begin + fitting)

    def spans(self, extent: Extent) -> list[BatchSpan]:
        """All batches of the extent. Raises `Corrupt` as `plan`."""
        return self._spans(*self._rows(extent))

    def check(self, extent: Extent) -> None:
        """Raise `Corrupt` when the extent is not in this segment."""
        self._rows(extent)

    def first_batch_with_timestamp(self, extent: Extent, timestamp: int, offset: int = 0) -> BatchSpan | None:
        """The first batch that reaches `offset` or beyond and has a record at or after `timestamp` (ms); None when
        there is none. Raises `Corrupt` as `plan`."""
        first, end = self._rows(extent)
        first += int(np.searchsorted(self.last_offsets[first:end], offset, "left"))
        late = np.flatnonzero(self.max_timestamps[first:end] >= timestamp)
        if not late.size:
            return None
        [span] = self._spans(first + int(late[0]), first + int(late[0]) + 1)
        return span

    def batch_with_max_timestamp(self, extent: Extent) -> BatchSpan:
        """The first batch that holds the extent's greatest timestamp. Raises `Corrupt` as `plan`."""
        first, end = self._rows(extent)
        row = first + int(np.argmax(self.max_timestamps[first:end]))
        [span] = self._spans(row, row + 1)
        return span

    def encode(self) -> Buffer:
        """Compressed bytes; neighbours are near each other, so differences are stored."""
        table = np.empty((_COLUMNS, len(self)), _STORED)
        table[0] = np.diff(self.base_offsets, prepend=0)
        table[1] = self.last_offsets - self.base_offsets
        table[2] = np.diff(self.max_timestamps, prepend=0)
        table[3] = np.diff(self.positions, prepend=0)
        table[4] = self.sizes
        # Byte planes: the high bytes of small numbers are runs of zeros.
        return compress(ZSTD, table.view(np.uint8).reshape(_COLUMNS, -1, 8).transpose(0, 2, 1).tobytes())

    @classmethod
    def decode(cls, data: Buffer, rows: int) -> "SegmentIndex":
        """What `encode` wrote, for a segment of so many rows. Raises `Corrupt`."""
        size = _COLUMNS * rows * 8
        plain = decompress(ZSTD, data, size)
        if len(plain) != size:
            raise Corrupt(f"an index of {rows} batches has {size} bytes, not {len(plain)}")
        planes = np.frombuffer(plain, np.uint8).reshape(_COLUMNS, 8, rows)
        table = np.ascontiguousarray(planes.transpose(0, 2, 1)).view(_STORED).reshape(_COLUMNS, rows)
        bases = np.cumsum(table[0], dtype=np.int64)
        index = cls(
            bases,
            bases + table[1],
            np.cumsum(table[2], dtype=np.int64),
            np.cumsum(table[3], dtype=np.int64),
            table[4].astype(np.int64),
        )
        index._check()
        return index

    def _check(self) -> None:
        ends = self.positions + self.sizes
        if (
            (self.sizes < HEADER_BYTES).any()
            or (self.positions < 0).any()
            or (ends[:-1] > self.positions[1:]).any()
            or (self.last_offsets < self.base_offsets).any()
        ):
            raise Corrupt("an index names batches that cannot be")

    def _rows(self, extent: Extent) -> tuple[int, int]:
        first, end = extent.first_row, extent.first_row + extent.batches
        if (
            not 0 <= first < end <= len(self)
            or self.base_offsets[first] != extent.base_offset
            or self.last_offsets[end - 1] != extent.last_offset
        ):
            raise Corrupt(
                f"{extent.segment} does not hold offsets {extent.base_offset} to {extent.last_offset} of "
                f"{extent.partition} at rows {first} to {end}"
            )
        return first, end

    def _spans(self, begin: int, end: int) -> list[BatchSpan]:
        columns = (self.positions, self.sizes, self.base_offsets, self.last_offsets, self.max_timestamps)
        return [BatchSpan._make(row) for row in zip(*(column[begin:end].tolist() for column in columns), strict=True)]
