"""Builds a batch segment in memory: many partitions, one row a record batch, the batches as their producers sent them.

Parquet for every analytics engine, and an object that fetches slice without a Parquet reader: `records` is stored
plain and uncompressed, so each batch stands whole in the object, and its place goes into the footer's index.

For a thread: pyarrow writes with the GIL released and straight from the batches' own memory, so their bytes are copied
once, into the body. Must not know of stores, partitions' state or what a record is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from infra.errors import Corrupt
from infra.partition import PartitionId, SessionId
from infra.records.batch import HEADER_BYTES, PREFIX_BYTES, crc_of
from infra.records.header_table import HEADERS
from infra.segment.extent import AbortedTransaction, Extent, FlushedExtent, ProducerEntry
from infra.segment.footer import SegmentFooter, footer_metadata, format_of
from infra.segment.holders import Holders
from infra.segment.segment_index import Int64s, SegmentIndex
from infra.store.port import Buffer

ROW_GROUP_BYTES = 32 << 20
"""What an engine reads at once; fetches do not care."""

SCHEMA = pa.schema(
    [
        pa.field("topic_id", pa.string(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("base_offset", pa.int64(), nullable=False),
        pa.field("last_offset", pa.int64(), nullable=False),
        pa.field("record_count", pa.int32(), nullable=False),
        pa.field("leader_epoch", pa.int32(), nullable=False),
        pa.field("max_timestamp", pa.timestamp("ms", "UTC"), nullable=False),
        pa.field("producer_id", pa.int64(), nullable=False),
        pa.field("producer_epoch", pa.int16(), nullable=False),
        pa.field("base_sequence", pa.int32(), nullable=False),
        pa.field("attributes", pa.int16(), nullable=False),
        pa.field("records", pa.binary_view(), nullable=False),
    ]
)
_SMALL_COLUMNS = SCHEMA.names[:-1]
_VIEW = np.dtype([("size", "<i4"), ("prefix", "V4"), ("buffer", "<i4"), ("offset", "<i4")])
_LENGTH_BYTES = 4  # Parquet's plain encoding writes each value's length before it
_SEARCH_BYTES = 4096  # page headers are tens of bytes
# The body's memory is taken once, ample for what is not batches; what stays untouched costs nothing.
_SPARE_BYTES, _SPARE_A_BATCH, _SPARE_AN_EXTENT, _SPARE_A_PRODUCER = 1 << 20, 512, 1024, 1024


@dataclass(frozen=True, slots=True)
class SegmentPart:
    """Contiguous record batches of one partition at one leader epoch, stamped; and the producers they changed."""

    partition: PartitionId
    leader_epoch: int
    batches: Sequence[Buffer]
    producers: tuple[ProducerEntry, ...] = ()
    aborted: tuple[AbortedTransaction, ...] = ()  # whose markers are among the batches


@dataclass(frozen=True, slots=True)
class BuiltSegment:
    """An object to PUT, and what to publish once it is there."""

    body: memoryview
    flushed: tuple[FlushedExtent, ...]  # in the order of rows, not of the parts given
    footer: SegmentFooter


def build_batch_segment(
    key: str,
    cluster_id: str,
    session: SessionId,
    parts: Sequence[SegmentPart],
    *,
    holders: Holders | None = None,
    row_group_bytes: int = ROW_GROUP_BYTES,
) -> BuiltSegment:
    """One segment of all parts, rows sorted by topic id, partition and offset; the same input gives the same bytes.
    `holders` of the segments before it in its session, when this one is to tell of them.

    Blocks: for a thread. Raises `ValueError` when there is nothing to write or a part's batches are not contiguous,
    not stamped with its leader epoch, or not one batch each.
    """
    ordered = sorted((part for part in parts), key=_first_offset)
    batches = [batch for part in ordered for batch in part.batches]
    headers = _headers(batches)
    flushed = tuple(_extents(key, ordered, headers))
    producers = sum(len(part.producers) + len(part.aborted) for part in ordered)
    told = None if holders is None else holders.encode()
    spare = _SPARE_BYTES + _SPARE_A_BATCH * len(batches) + _SPARE_AN_EXTENT * len(parts) + _SPARE_A_PRODUCER * producers
    spare += len(told or "")
    memory = pa.allocate_buffer(sum(map(len, batches)) + spare)
    body = memoryview(memory).cast("B")  # pyarrow's own view is one of signed bytes
    sink = pa.FixedSizeBufferWriter(memory)
    writer = pq.ParquetWriter(
        sink,
        SCHEMA,
        compression=dict.fromkeys(_SMALL_COLUMNS, "zstd") | {"records": "none"},
        use_dictionary=False,
        write_statistics=_SMALL_COLUMNS,
        store_schema=False,  # readers are to see plain binary
    )
    positions = np.empty(len(batches), np.int64)
    table = _table(ordered, headers, batches)
    at = 0
    for begin, end in _row_groups(batches, row_group_bytes):
        writer.write_table(table.slice(begin, end - begin), row_group_size=end - begin)
        at = _locate(body[: sink.tell()], at, batches[begin:end], positions[begin:end])
    footer = SegmentFooter(format_of(flushed), cluster_id, session, flushed, _index(headers, positions, batches), told)
    writer.add_key_value_metadata(footer_metadata(footer))
    writer.close()
    return BuiltSegment(body[: sink.tell()], flushed, footer)


def _first_offset(part: SegmentPart) -> tuple[str, int, int]:
    if not part.batches:
        raise ValueError(f"nothing to write of {part.partition}")
    return str(part.partition.topic_id), part.partition.partition, int.from_bytes(part.batches[0][:8], "big")


def _headers(batches: Sequence[Buffer]) -> npt.NDArray[np.void]:
    if not batches:
        raise ValueError("a segment without batches")
    if min(map(len, batches)) < HEADER_BYTES:
        raise ValueError("a record batch has 61 bytes at least")
    headers = np.frombuffer(b"".join([batch[:HEADER_BYTES] for batch in batches]), HEADERS)
    sizes = np.fromiter(map(len, batches), np.int64, len(batches))
    if (headers["batch_length"] + PREFIX_BYTES != sizes).any() or (headers["magic"] != 2).any():
        raise ValueError("every row is exactly one record batch of format 2")
    return headers


def _extents(key: str, parts: Sequence[SegmentPart], headers: npt.NDArray[np.void]) -> Iterator[FlushedExtent]:
    row = 0
    for part in parts:
        rows = headers[row : row + len(part.batches)]
        bases = rows["base_offset"].astype(np.int64)
        ends = bases + rows["last_offset_delta"]
        if (bases[1:] != ends[:-1] + 1).any() or (rows["leader_epoch"] != part.leader_epoch).any():
            raise ValueError(f"batches of {part.partition} are not contiguous at leader epoch {part.leader_epoch}")
        extent = Extent(
            partition=part.partition,
            segment=key,
            base_offset=int(bases[0]),
            last_offset=int(ends[-1]),
            leader_epoch=part.leader_epoch,
            batches=len(rows),
            records=int(rows["record_count"].sum(dtype=np.int64)),
            size=sum(map(len, part.batches)),
            max_timestamp=int(rows["max_timestamp"].max()),
            first_row=row,
            aborted=part.aborted,
        )
        yield FlushedExtent(extent, part.producers)
        row += len(rows)


def _table(parts: Sequence[SegmentPart], headers: npt.NDArray[np.void], batches: Sequence[Buffer]) -> pa.Table:
    counts = [len(part.batches) for part in parts]
    bases = headers["base_offset"].astype(np.int64)
    numbers = {
        "partition": np.repeat(np.array([part.partition.partition for part in parts], np.int32), counts),
        "base_offset": bases,
        "last_offset": bases + headers["last_offset_delta"],
    }
    columns = {
        "topic_id": pa.array([str(part.partition.topic_id) for part in parts for _ in part.batches]),
        "records": _views(batches),
    }
    for field in SCHEMA:
        if field.name not in columns:
            values = numbers[field.name] if field.name in numbers else headers[field.name]
            columns[field.name] = _number_column(field.type, values)
    return pa.table([columns[field.name] for field in SCHEMA], schema=SCHEMA)


def _number_column(kind: pa.DataType, values: npt.NDArray[np.signedinteger[Any]]) -> pa.Array:
    """A column of a type as wide as the values. `pa.array` would import as much as a start takes a twentieth of."""
    native = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    return pa.Array.from_buffers(kind, len(native), [None, pa.py_buffer(native)])


def _views(batches: Sequence[Buffer]) -> pa.Array:
    """A binary array whose values are the batches where they lie: Arrow's view layout, one buffer a batch."""
    views = np.zeros(len(batches), _VIEW)
    views["size"] = np.fromiter(map(len, batches), np.int32, len(batches))
    views["prefix"] = np.frombuffer(b"".join([batch[:4] for batch in batches]), "V4")
    views["buffer"] = np.arange(len(batches))
    buffers = [None, pa.py_buffer(views), *map(pa.py_buffer, batches)]
    return pa.Array.from_buffers(pa.binary_view(), len(batches), buffers)


def _row_groups(batches: Sequence[Buffer], row_group_bytes: int) -> Iterator[tuple[int, int]]:
    begin = size = 0
    for row, batch in enumerate(batches):
        if size and size + len(batch) > row_group_bytes:
            yield begin, row
            begin, size = row, 0
        size += len(batch)
    yield begin, len(batches)


def _locate(body: memoryview, at: int, batches: Sequence[Buffer], positions: Int64s) -> int:
    """Fill in where each batch of a row group lies in the body, from byte `at` on; answers the byte after the last.

    They lie one behind the other, except where a page begins.
    """
    for row, batch in enumerate(batches):
        sign = len(batch).to_bytes(_LENGTH_BYTES, "little") + bytes(batch[:HEADER_BYTES])
        found = at if body[at : at + len(sign)] == sign else _find(body, at, sign)
        begin = found + _LENGTH_BYTES
        at = begin + len(batch)
        if crc_of(body[begin:at]) != int.from_bytes(batch[17:21], "big"):
            raise Corrupt(f"a record batch of {len(batch)} bytes is not whole in the segment")
        positions[row] = begin
    return at


def _find(body: memoryview, at: int, sign: bytes) -> int:
    window = _SEARCH_BYTES
    while True:
        found = bytes(body[at : at + window]).find(sign)
        if found >= 0:
            return at + found
        if at + window >= len(body):
            raise Corrupt("a record batch is not in the segment as it was written")
        window *= 4


def _index(headers: npt.NDArray[np.void], positions: Int64s, batches: Sequence[Buffer]) -> SegmentIndex:
    bases = headers["base_offset"].astype(np.int64)
    return SegmentIndex(
        bases,
        bases + headers["last_offset_delta"],
        headers["max_timestamp"].astype(np.int64),
        positions,
        np.fromiter(map(len, batches), np.int64, len(batches)),
    )
