"""Reads the records of one batch, one by one: for internal topics, lookups by time, tools and tests.

Plain and careful rather than fast: no length in a batch is believed before it was held against the bytes that are
there. Not for the produce and fetch path, and not for compaction.
"""

from infra.errors import Corrupt
from infra.records.batch import HEADER_BYTES, BatchHeader
from infra.records.compression import MAX_OUTPUT_BYTES, decompress
from infra.records.record import Header, Record
from infra.store.port import Buffer

SMALLEST_RECORD = 7  # length, attributes, two deltas, two lengths, count of headers
SMALLEST_HEADER = 2
_HIGHEST_OFFSET = (1 << 63) - 1


def decode_batch(batch: Buffer, limit: int = MAX_OUTPUT_BYTES) -> list[Record]:
    """All records of the batch, with offsets and timestamps as consumers see them.

    The CRC is not checked. Timestamps wrap at 64 bits, as they do in clients. Raises `Corrupt` when the records are
    not what lengths and counts say, their offsets do not ascend within the batch, or they are more than `limit` bytes
    when decompressed.
    """
    header = BatchHeader.parse(batch)
    if header.magic != 2 or header.size != len(batch):
        raise Corrupt(f"{len(batch)} bytes are not one record batch of format 2")
    data = memoryview(decompress(header.codec, memoryview(batch)[HEADER_BYTES:], limit)).toreadonly()
    if not 0 <= header.record_count <= len(data) // SMALLEST_RECORD:
        raise Corrupt(f"{len(data)} bytes cannot hold {header.record_count} records")
    records: list[Record] = []
    at = 0
    lowest, highest = header.base_offset, min(header.last_offset, _HIGHEST_OFFSET)
    for _ in range(header.record_count):
        record, at = _read_record(data, at, header)
        if not lowest <= record.offset <= highest:
            raise Corrupt(f"offset {record.offset} is not between {lowest} and {highest}")
        lowest = record.offset + 1
        records.append(record)
    if at != len(data):
        raise Corrupt(f"{len(data) - at} bytes are left behind the last record")
    return records


def _read_record(data: memoryview, at: int, header: BatchHeader) -> tuple[Record, int]:
    length, at = _read_varint(data, at)
    end = at + length
    if length < 0 or end > len(data):
        raise Corrupt(f"a record of {length} bytes does not fit {len(data) - at}")
    body = data[:end]
    timestamp, at = _read_varint(body, at + 1)  # a record's attributes are not used
    offset, at = _read_varint(body, at)
    key, at = _read_bytes(body, at)
    value, at = _read_bytes(body, at)
    headers, at = _read_headers(body, at)
    if at != end:
        raise Corrupt(f"{end - at} bytes are left in a record")
    timestamp = header.max_timestamp if header.log_append_time else _wrapped(header.base_timestamp + timestamp)
    return Record(header.base_offset + offset, timestamp, key, value, headers), end


def _read_headers(body: memoryview, at: int) -> tuple[tuple[Header, ...], int]:
    count, at = _read_varint(body, at)
    if count == 0:
        return (), at
    if not 0 <= count <= (len(body) - at) // SMALLEST_HEADER:
        raise Corrupt(f"{len(body) - at} bytes cannot hold {count} headers")
    headers = []
    for _ in range(count):
        name, at = _read_bytes(body, at)
        value, at = _read_bytes(body, at)
        if name is None:
            raise Corrupt("a header has no name")
        headers.append((name, value))
    return tuple(headers), at


def _read_bytes(body: memoryview, at: int) -> tuple[bytes | None, int]:
    length, at = _read_varint(body, at)
    if length == -1:
        return None, at
    if not 0 <= length <= len(body) - at:
        raise Corrupt(f"a field of {length} bytes does not fit {len(body) - at}")
    return bytes(body[at : at + length]), at + length


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
    """A zigzag varint of at most ten bytes (64 bits)."""
    value = 0
    shift = 0
    try:
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > 63:
                raise Corrupt("a varint is longer than ten bytes")
    except IndexError:
        raise Corrupt("a record ends in the middle of a number") from None
    if value >> 64:
        raise Corrupt("a varint has more than 64 bits")
    return (value >> 1) ^ -(value & 1), at


def _wrapped(timestamp: int) -> int:
    return (timestamp + (1 << 63)) % (1 << 64) - (1 << 63)
