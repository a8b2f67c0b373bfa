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
from infra.records.compression import NONE, compress
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
    inner = np.flatnonzero(np.diff((sizes - 1) // target_bytes)) + 1
    begins = [0, *inner.tolist()]
    ends = [*begins[1:], len(offsets)]
    lasts = [*(offsets[inner] - 1).tolist(), last_offset]
    for begin, end, last in zip(begins, ends, lasts, strict=True):
        if last - base <= _WIDEST:
            yield _Cut(begin, end, base, last)
        else:
            yield from _narrow_cuts(offsets, begin, end, base, last)
        base = last + 1


def _narrow_cuts(offsets: Ints, begin: int, end: int, base: int, last: int) -> Iterator[_Cut]:
    """The same rows and offsets in batches that span no more than a batch can."""
    while base <= last:
        middle = begin + int(np.searchsorted(offsets[begin:end], min(base + _WIDEST, last), side="right"))
        until = min(int(offsets[middle]) - 1 if middle < end else last, base + _WIDEST)
        yield _Cut(begin, middle, base, until)
        begin, base = middle, until + 1


def _groups(cuts: list[_Cut], sizes: Ints) -> Iterator[list[_Cut]]:
    """Neighbouring batches that are small enough to be joined at once."""
    before = np.concatenate(([0], sizes))
    begins = before[[cut.begin for cut in cuts]].tolist()
    ends = before[[cut.end for cut in cuts]].tolist()
    group: list[_Cut] = []
    group_begin = 0
    for cut, begin, end in zip(cuts, begins, ends, strict=True):
        if group and end - group_begin > _JOIN_BYTES:
            yield group
            group, group_begin = [], begin
        group.append(cut)
    if group:
        yield group


def _encode_group(table: pa.Table, cuts: list[_Cut], leader_epoch: int, codec: int) -> Iterator[Buffer]:
    begin, end = cuts[0].begin, cuts[-1].end
    filled = [cut for cut in cuts if cut.begin < cut.end]
    if filled:
        [piece] = table.slice(begin, end - begin).combine_chunks().to_batches()
        times = piece.column("timestamp").view(pa.int64()).to_numpy()
        bases, greatest = _spans(times, [cut.begin - begin for cut in filled])
        counts = [cut.end - cut.begin for cut in filled]
        offset_deltas = piece.column("offset").to_numpy() - np.repeat([cut.base for cut in filled], counts)
        data, starts = encode_rows(piece, offset_deltas, times - np.repeat(bases, counts))
        spans = zip(bases.tolist(), greatest.tolist(), strict=True)
    for cut in cuts:
        if cut.begin == cut.end:
            yield _batch(cut, b"", (NO_TIMESTAMP, NO_TIMESTAMP), leader_epoch, NONE)
        else:
            records = compress(codec, data[starts[cut.begin - begin] : starts[cut.end - begin]])
            yield _batch(cut, records, next(spans), leader_epoch, codec)


def _spans(timestamps: Ints, begins: list[int]) -> tuple[Ints, Ints]:
    """Base and max timestamp of each batch: the base is the first row's, or 0 when another is too far from it."""
    first = timestamps[begins]
    least, greatest = np.minimum.reduceat(timestamps, begins), np.maximum.reduceat(timestamps, begins)
    too_far = (greatest - first < 0) | (first - least < 0)  # more than 63 bits: it wrapped
    return np.where(too_far, 0, first), greatest


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
