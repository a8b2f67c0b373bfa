"""Writes record batches that are right but odd: numbers longer than needed, deltas of any size, any attributes."""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from infra.records.batch import CONTROL, HEADER, HEADER_BYTES, LOG_APPEND_TIME, crc_of
from infra.records.columns import RECORDS
from infra.records.compression import compress
from infra.records.record import Record

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
CODECS = st.sampled_from((0, 0, 0, 1, 2, 3, 4))
maybe_bytes = st.none() | st.binary(max_size=300)
names = st.binary(max_size=8)
headers = st.just(()) | st.lists(st.tuples(names, st.none() | st.binary(max_size=20)), max_size=4).map(tuple)
timestamps = st.integers(0, 1 << 42) | st.sampled_from((-1, -(1 << 63), (1 << 63) - 1)) | INT64


@dataclass(frozen=True)
class LooseRecord:
    """One record as the wire has it; `widths` are the least bytes of its numbers, in turn."""

    gap: int
    timestamp_delta: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[bytes, bytes | None], ...]
    widths: tuple[int, ...] = (1,)


@dataclass(frozen=True)
class LooseBatch:
    """What `batch_bytes` writes."""

    records: Sequence[LooseRecord]
    base_timestamp: int = 1000
    max_timestamp: int = 5000
    codec: int = 0
    attributes: int = 0
    room: int = 0  # offsets behind the last record

    @property
    def last_offset_delta(self) -> int:
        return sum(record.gap + 1 for record in self.records) + self.room - 1

    @property
    def is_control(self) -> bool:
        return bool(self.attributes & CONTROL)


loose_records = st.builds(
    LooseRecord,
    gap=st.just(0) | st.integers(0, 1 << 20),
    timestamp_delta=st.integers(0, 100) | st.integers(-(1 << 40), 1 << 40) | INT64,
    key=maybe_bytes,
    value=maybe_bytes,
    headers=headers,
    widths=st.just((1,)) | st.lists(st.integers(1, 10), min_size=1, max_size=6).map(tuple),
)
loose_batches = st.builds(
    LooseBatch,
    records=st.lists(loose_records, max_size=12),
    base_timestamp=timestamps,
    max_timestamp=timestamps,
    codec=CODECS,
    attributes=st.sampled_from((0, 0, 0, 0x10, LOG_APPEND_TIME, CONTROL | 0x10)),
    room=st.integers(1, 5),
)


def batch_bytes(batch: LooseBatch, base_offset: int = 0) -> bytearray:
    """The batch with its CRC right."""
    body = bytearray()
    delta = -1
    for record in batch.records:
        delta += record.gap + 1
        body += _record(record, delta)
    out = bytearray(HEADER_BYTES)
    out += compress(batch.codec, body)
    attributes = batch.codec | batch.attributes
    HEADER.pack_into(
        out, 0, base_offset, len(out) - 12, 1, 2, 0, attributes, batch.last_offset_delta, batch.base_timestamp,
        batch.max_timestamp, -1, -1, -1, len(batch.records),
    )  # fmt: skip
    struct.pack_into(">I", out, 17, crc_of(out))
    return out


def in_order(batches: Iterable[LooseBatch]) -> list[bytearray]:
    """The batches one behind the other in a log."""
    base = 7
    written = []
    for batch in batches:
        written.append(batch_bytes(batch, base))
        base += batch.last_offset_delta + 1
    return written


def table_of(records: Iterable[Record]) -> pa.Table:
    """Records as columns, the plain way."""
    return pa.Table.from_pylist([row_of(record) for record in records], RECORDS)


def row_of(record: Record) -> dict[str, Any]:
    """A record as a row of `plain_rows`."""
    pairs = [{"key": name, "value": value} for name, value in record.headers]
    return {
        "offset": record.offset, "timestamp": record.timestamp, "key": record.key, "value": record.value,
        "headers": pairs,
    }  # fmt: skip


def plain_rows(table: pa.Table) -> list[dict[str, Any]]:
    """The rows of a `RECORDS` table, timestamps as the numbers they are."""
    numbers = pa.chunked_array([chunk.view(pa.int64()) for chunk in table.column("timestamp").chunks], pa.int64())
    rows: list[dict[str, Any]] = table.set_column(1, "timestamp", numbers).to_pylist()
    return rows


def varint(value: int, width: int = 1) -> bytes:
    """A zigzag varint of at least `width` bytes."""
    bits = (value << 1) ^ (value >> 63)
    out = bytearray()
    while bits > 0x7F or len(out) + 1 < width:
        out.append(bits & 0x7F | 0x80)
        bits >>= 7
    out.append(bits)
    return bytes(out)


def _record(record: LooseRecord, offset_delta: int) -> bytes:
    numbers = 0

    def number(value: int) -> bytes:
        nonlocal numbers
        numbers += 1
        return varint(value, record.widths[numbers % len(record.widths)])

    def content(data: bytes | None) -> bytes:
        return number(-1) if data is None else number(len(data)) + data

    body = b"\x00" + number(record.timestamp_delta) + number(offset_delta) + content(record.key)
    body += content(record.value) + number(len(record.headers))
    for name, value in record.headers:
        body += content(name) + content(value)
    return number(len(body)) + body
