"""Builds one record batch from records: for coordinators, tools and tests. Plain Python, one record at a time."""

from collections.abc import Iterable, Sequence

from infra.records.batch import (
    CONTROL,
    CRC_START,
    HEADER,
    HEADER_BYTES,
    LOG_APPEND_TIME,
    PREFIX_BYTES,
    TRANSACTIONAL,
    crc_of,
)
from infra.records.compression import compress
from infra.records.record import Record

_U64 = (1 << 64) - 1


def encode_batch(
    records: Sequence[Record],
    *,
    codec: int = 0,
    producer_id: int = -1,
    producer_epoch: int = -1,
    base_sequence: int = -1,
    transactional: bool = False,
    control: bool = False,
    log_append_time: bool = False,
    leader_epoch: int = -1,
    base_offset: int | None = None,
    last_offset: int | None = None,
) -> bytearray:
    """A writable batch of records whose offsets ascend; it begins at the first one's offset.

    `base_offset` and `last_offset` widen it, as cleaning needs. An empty batch needs both. With `log_append_time` all
    records must have one timestamp.
    """
    base = records[0].offset if base_offset is None else base_offset
    last = records[-1].offset if last_offset is None else last_offset
    base_timestamp = records[0].timestamp if records else -1
    body = bytearray()
    for record in records:
        _add_record(body, record, record.offset - base, record.timestamp - base_timestamp)
    attributes = codec | (TRANSACTIONAL if transactional else 0) | (CONTROL if control else 0)
    attributes |= LOG_APPEND_TIME if log_append_time else 0
    batch = bytearray(HEADER_BYTES)
    batch += compress(codec, body)
    HEADER.pack_into(
        batch,
        0,
        base,
        len(batch) - PREFIX_BYTES,
        leader_epoch,
        2,
        0,
        attributes,
        last - base,
        base_timestamp,
        max((record.timestamp for record in records), default=-1),
        producer_id,
        producer_epoch,
        base_sequence,
        len(records),
    )
    batch[CRC_START - 4 : CRC_START] = crc_of(batch).to_bytes(4, "big")
    return batch


def batch_of(pairs: Iterable[tuple[bytes | None, bytes | None]], timestamp: int, *, codec: int = 0) -> bytearray:
    """A batch of (key, value) pairs that all bear one timestamp (ms), offsets from 0: ready for a leader to stamp."""
    records = [Record(offset, timestamp, key, value) for offset, (key, value) in enumerate(pairs)]
    return encode_batch(records, codec=codec)


def _add_record(body: bytearray, record: Record, offset_delta: int, timestamp_delta: int) -> None:
    fields = bytearray(1)  # attributes
    _add_varint(fields, timestamp_delta)
    _add_varint(fields, offset_delta)
    _add_bytes(fields, record.key)
    _add_bytes(fields, record.value)
    _add_varint(fields, len(record.headers))
    for name, value in record.headers:
        _add_bytes(fields, name)
        _add_bytes(fields, value)
    _add_varint(body, len(fields))
    body += fields


def _add_bytes(fields: bytearray, value: bytes | None) -> None:
    if value is None:
        _add_varint(fields, -1)
    else:
        _add_varint(fields, len(value))
        fields += value


def _add_varint(fields: bytearray, value: int) -> None:
    left = ((value << 1) ^ (value >> 63)) & _U64
    while left > 0x7F:
        fields.append((left & 0x7F) | 0x80)
        left >>= 7
    fields.append(left)
