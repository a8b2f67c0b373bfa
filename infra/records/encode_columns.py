"""Builds record batches from Arrow columns without Python for each record: what a fetch of old records answers with.

All numbers of many records are written by numpy into the short arrays that stand between keys and values; one Arrow
join of them with the columns is the records section of several batches at once, which is then cut and given headers.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import crc32c
import numpy as np
import pyarrow as pa

from infra.records.batch import CRC_START, HEADER, HEADER_BYTES, NO_PRODUCER, NO_TIMESTAMP, PREFIX_BYTES
from infra.records.columns import RECORDS
from infra.records.compression import compress
from infra.records.encode_rows import encode_rows, row_sizes
from infra.records.varints import Ints
from infra.store.port import Buffer

TARGET_BYTES = 1 << 20
_JOIN_BYTES = 1 << 20  # of records that are joined at once, in as many batches as that makes
_WIDEST = (1 << 31) - 1  # last offset delta of a batch


@dataclass(frozen=True, slots=True)
class _Cut:
    """One batch to be: the rows from `begin` up to `end` (exclusive), the offsets from `base` to `last`."""

    begin: int
    end: int
    base: int
    last: int


def encode_columns(
    rows: pa.Table | pa.RecordBatch,
    *,
    base_offset: int,
    last_offset: int,
    leader_epoch: int,
    codec: int = 0,
    target_bytes: int = TARGET_BYTES,
) -> list[Buffer]:
    """Record batches that together cover the offsets from `base_offset` to `last_offset` without a gap.

    `rows` are `RECORDS` with ascending offsets in that range. Each batch holds about `target_bytes` of uncompressed
    records, at least one; it ends where the next begins. Offsets that no row has make a batch wider, and an empty
    batch where they are none or more than a batch can span. Batches have no producer. Raises `ValueError` for rows
    outside the range.
    """
    table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
    if not table.schema.equals(RECORDS):
        table = table.cast(RECORDS)
    offsets = table.column("offset").to_numpy()
    if len(offsets) and not base_offset <= offsets[0] <= offsets[-1] <= last_offset:
        raise ValueError(f"rows from {offsets[0]} to {offsets[-1]} are not between {base_offset} and {last_offset}")
    sizes = row_sizes(table).cumsum()
    cuts = list(_cuts(offsets, sizes, base_offset, last_offset, target_bytes))
    batches: list[Buffer] = []
    for group in _groups(cuts, sizes):
        batches += _encode_group(table, group, leader_epoch, codec)
    return batches


def _cuts(offsets: Ints, sizes: Ints, base: int, last_offset: int, target_bytes: int) -> Iterator[_Cut]:
    """Where batches begin and end; `sizes` are the bytes up to and with each row."""
    row, count = 0, len(offsets)
    while base <= last_offset:
        before = int(sizes[row - 1]) if row else 0
        end = max(int(np.searchsorted(sizes, before + target_bytes, side="right")), row + 1)
        end = min(end, int(np.searchsorted(offsets, min(base + _WIDEST, last_offset), side="right")))
        end = max(end, row)
        last = min(int(offsets[end]) - 1 if end < count else last_offset, base + _WIDEST)
        yield _Cut(row, end, base, last)
        row, base = end, last + 1


def _groups(cuts: list[_Cut], sizes: Ints) -> Iterator[list[_Cut]]:
    """Neighbouring batches that are small enough to be joined at once."""
    group: list[_Cut] = []
    size = 0
    for cut in cuts:
        cut_size = int(sizes[cut.end - 1]) - (int(sizes[cut.begin - 1]) if cut.begin else 0) if cut.end else 0
        if group and size + cut_size > _JOIN_BYTES:
            yield group
            group, size = [], 0
        group.append(cut)
        size += cut_size
    if group:
        yield group


def _encode_group(table: pa.Table, cuts: list[_Cut], leader_epoch: int, codec: int) -> Iterator[Buffer]:
    begin, end = cuts[0].begin, cuts[-1].end
    if begin == end:
        for cut in cuts:
            yield _batch(cut, b"", (NO_TIMESTAMP, NO_TIMESTAMP), leader_epoch, 0)
        return
    [piece] = table.slice(begin, end - begin).combine_chunks().to_batches()
    times = piece.column("timestamp").view(pa.int64()).to_numpy()
    spans = [_span(times[cut.begin - begin : cut.end - begin]) for cut in cuts]
    counts = [cut.end - cut.begin for cut in cuts]
    offset_deltas = piece.column("offset").to_numpy() - np.repeat([cut.base for cut in cuts], counts)
    time_deltas = times - np.repeat(np.array([first for first, _ in spans], np.int64), counts)
    data, starts = encode_rows(piece, offset_deltas, time_deltas)
    for cut, span in zip(cuts, spans, strict=True):
        records = data[starts[cut.begin - begin] : starts[cut.end - begin]]
        if cut.begin == cut.end:
            yield _batch(cut, b"", span, leader_epoch, 0)
        else:
            yield _batch(cut, compress(codec, records), span, leader_epoch, codec)


def _span(timestamps: Ints) -> tuple[int, int]:
    """Base and max timestamp: of the first row, unless another one is too far away from it for 64 bits."""
    if len(timestamps) == 0:
        return NO_TIMESTAMP, NO_TIMESTAMP
    base, least, greatest = int(timestamps[0]), int(timestamps.min()), int(timestamps.max())
    if greatest - base >= 1 << 63 or base - least > 1 << 63:
        base = 0
    return base, greatest


def _batch(cut: _Cut, records: Buffer, span: tuple[int, int], leader_epoch: int, codec: int) -> Buffer:
    header = bytearray(HEADER_BYTES)
    HEADER.pack_into(
        header,
        0,
        cut.base,
        HEADER_BYTES - PREFIX_BYTES + len(records),
        leader_epoch,
        2,
        0,
        codec,
        cut.last - cut.base,
        *span,
        NO_PRODUCER,
        -1,
        -1,
        cut.end - cut.begin,
    )
    crc = crc32c.crc32c(records, crc32c.crc32c(memoryview(header)[CRC_START:]))
    header[CRC_START - 4 : CRC_START] = crc.to_bytes(4, "big")
    return b"".join((header, records))
