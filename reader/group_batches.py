"""Turns a row group into record batches, and cuts what a fetch asks for out of them. No I/O.

Batches come uncompressed: compressing them costs more of the node than sending them, and keys, values, headers and
timestamps are the producer's to the byte all the same.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from infra.cluster.manifest_record import RowGroup
from infra.records.batch import BatchHeader
from infra.records.columns import RECORDS
from infra.records.encode_columns import encode_columns
from infra.segment.record_footer import RecordFooter
from infra.segment.record_rows import read_rows
from infra.store.port import Buffer
from reader.fetch_plan import GroupRead

CODEC = 0
"""None; lz4 would be 3."""

BATCH_BYTES = 256 << 10
"""Of one batch, about: a fetch is answered with whole batches, so they must be small beside 1 MiB, what a consumer asks
of a partition at once."""

_BATCH_OVERHEAD_BYTES = 200


PLACE_COLUMNS = ("offset", "timestamp")
Places = tuple[NDArray[np.int64], NDArray[np.int64]]  # offsets and timestamps (ms) of records, by offset


@dataclass(frozen=True, slots=True)
class GroupBatches:
    """The record batches of a row group: without a gap from its base offset to its last offset."""

    batches: tuple[memoryview, ...]
    last_offsets: tuple[int, ...]
    size: int  # bytes of memory

    def between(self, offset: int, upto: int) -> Iterator[memoryview]:
        """From the batch that contains `offset` on, or the first when it lies before; all below `upto`."""
        for number in range(bisect_left(self.last_offsets, offset), bisect_left(self.last_offsets, upto)):
            yield self.batches[number]


def batches_of(footer: RecordFooter, read: GroupRead, data: Buffer) -> GroupBatches:
    """Decode a row group from its bytes and encode its rows. Raises `Corrupt` naming the segment."""
    group = read.group
    rows = read_rows(footer, read.number, group, data) if group.size else RECORDS.empty_table()
    encoded = encode_columns(
        rows,
        base_offset=group.base_offset,
        last_offset=group.last_offset,
        leader_epoch=read.leader_epoch,
        codec=CODEC,
        target_bytes=BATCH_BYTES,
    )
    batches = tuple(memoryview(batch) for batch in encoded)
    lasts = tuple(BatchHeader.parse(batch).last_offset for batch in batches)
    return GroupBatches(batches, lasts, sum(len(batch) + _BATCH_OVERHEAD_BYTES for batch in batches))


def places_of(footer: RecordFooter, number: int, group: RowGroup, data: Buffer) -> Places:
    """Where the records of a row group lie, from the bytes of `PLACE_COLUMNS`. Raises `Corrupt` naming the segment."""
    rows = read_rows(footer, number, group, data, PLACE_COLUMNS)
    return rows["offset"].to_numpy(), rows["timestamp"].cast(pa.int64()).to_numpy()
