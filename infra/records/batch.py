"""The header of a Kafka record batch (v2), read, checked and stamped in place; records are never decoded here.

Produce and Fetch need no more than this. Base offset and leader epoch lie outside the CRC, so a leader stamps them
without touching the rest; what lies inside (attributes, timestamps) costs a new CRC.

    0 base offset   8 batch length   12 leader epoch   16 magic   17 CRC-32C of all that follows it
    21 attributes   23 last offset delta   27 base timestamp   35 max timestamp
    43 producer id   51 producer epoch   53 base sequence   57 record count   61 records
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

import crc32c

from infra.error_code import ErrorCode
from infra.errors import Corrupt, Refused
from infra.store.port import Buffer

HEADER = struct.Struct(">qiibIhiqqqhii")
HEADER_BYTES = HEADER.size  # 61
PREFIX_BYTES = 12  # base offset and batch length: what the batch length does not count
CRC_START = 21  # the CRC covers everything from here on
NO_PRODUCER = -1
NO_TIMESTAMP = -1

CODEC_MASK = 0x07
LOG_APPEND_TIME = 0x08
TRANSACTIONAL = 0x10
CONTROL = 0x20

_HIGHEST_CODEC = 4  # zstd
_SEQUENCES = 1 << 31  # a sequence after 2**31 - 1 is 0 again
_BASE_OFFSET = struct.Struct(">q")
_LEADER_EPOCH = struct.Struct(">i")
_CRC = struct.Struct(">I")
_ATTRIBUTES = struct.Struct(">h")
_TIMESTAMP = struct.Struct(">q")


class BatchHeader(NamedTuple):
    """What the first 61 bytes of a record batch say."""

    base_offset: int
    batch_length: int  # bytes after the first 12
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int  # ms
    max_timestamp: int  # ms
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int

    @classmethod
    def parse(cls, batch: Buffer, position: int = 0) -> "BatchHeader":
        """The header at `position`; nothing is checked. Raises `Corrupt` when fewer than 61 bytes are left."""
        try:
            return cls._make(HEADER.unpack_from(batch, position))
        except struct.error as error:
            raise Corrupt(f"a record batch header needs 61 bytes, {len(batch) - position} are left") from error

    @property
    def size(self) -> int:
        """Bytes of the whole batch."""
        return self.batch_length + PREFIX_BYTES

    @property
    def last_offset(self) -> int:
        """Offset of the last record (inclusive)."""
        return self.base_offset + self.last_offset_delta

    @property
    def next_offset(self) -> int:
        """The offset after the last record."""
        return self.base_offset + self.last_offset_delta + 1

    @property
    def codec(self) -> int:
        """0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd."""
        return self.attributes & CODEC_MASK

    @property
    def log_append_time(self) -> bool:
        """True when every record's timestamp is the max timestamp."""
        return bool(self.attributes & LOG_APPEND_TIME)

    @property
    def is_transactional(self) -> bool:
        return bool(self.attributes & TRANSACTIONAL)

    @property
    def is_control(self) -> bool:
        return bool(self.attributes & CONTROL)

    @property
    def has_producer(self) -> bool:
        """True for batches of idempotent or transactional producers."""
        return self.producer_id > NO_PRODUCER

    @property
    def last_sequence(self) -> int:
        """Sequence of the last record; sequences wrap after 2**31 - 1. -1 without sequences (control batches)."""
        if self.base_sequence < 0:
            return -1
        return (self.base_sequence + self.last_offset_delta) % _SEQUENCES

    @property
    def lacks_max_timestamp(self) -> bool:
        """True for clients that leave the max timestamp unset: look into the records, then `stamp_max_timestamp`."""
        return self.max_timestamp < self.base_timestamp


def codec_of(batch: Buffer) -> int:
    """The compression codec of a batch, as `BatchHeader.codec`."""
    return batch[CRC_START + 1] & CODEC_MASK


def says_transactional(batch: Buffer) -> bool:
    """Whether the first batch calls itself transactional; False for bytes that are too few for a batch."""
    return len(batch) >= HEADER_BYTES and bool(_ATTRIBUTES.unpack_from(batch, CRC_START)[0] & TRANSACTIONAL)


def split_batches(records: memoryview) -> list[tuple[BatchHeader, memoryview]]:
    """The record batches a producer sent for one partition, each checked, as views of the same memory.

    Raises `Refused` with Kafka's code for the fault: CORRUPT_MESSAGE (lengths, magic, CRC), INVALID_RECORD (counts,
    producer fields, control batches, old message formats, nothing at all), UNSUPPORTED_COMPRESSION_TYPE,
    INVALID_TIMESTAMP (a producer must not claim log append time).
    """
    batches = []
    position = 0
    end = len(records)
    while position < end:
        header = _whole_batch(records, position, end)
        batch = records[position : position + header.size]
        _check_producer_batch(header)
        batches.append((header, batch))
        position += header.size
    if not batches:
        raise Refused(ErrorCode.INVALID_RECORD, "at least one record batch is needed")
    return batches


def walk_batches(records: memoryview, *, check_crc: bool = True) -> Iterator[tuple[BatchHeader, memoryview]]:
    """The whole batches in bytes of our own (a tail, a segment, a coordinator's append). Raises `Corrupt`."""
    position = 0
    end = len(records)
    while position < end:
        try:
            header = _whole_batch(records, position, end, check_crc)
        except Refused as error:
            raise Corrupt(f"{error.message} (at byte {position})") from error
        yield header, records[position : position + header.size]
        position += header.size


def crc_of(batch: Buffer) -> int:
    """The CRC-32C that the batch's header should carry."""
    return int(crc32c.crc32c(memoryview(batch)[CRC_START:]))


def crc_holds(batch: Buffer) -> bool:
    """Whether the batch's header carries the CRC-32C of its bytes."""
    return bool(_CRC.unpack_from(batch, CRC_START - _CRC.size)[0] == crc_of(batch))


def check_timestamp(header: BatchHeader, now_ms: int, before_max_ms: int, after_max_ms: int) -> None:
    """Refuse (INVALID_TIMESTAMP) a batch whose max timestamp is too far from now, by the topic's limits."""
    timestamp = header.max_timestamp
    if timestamp != NO_TIMESTAMP and not -before_max_ms <= timestamp - now_ms <= after_max_ms:
        raise Refused(
            ErrorCode.INVALID_TIMESTAMP,
            f"timestamp {timestamp} must lie between {now_ms - before_max_ms} and {now_ms + after_max_ms}",
        )


def stamp(batch: memoryview, base_offset: int, leader_epoch: int) -> None:
    """Write what the leader decides; the CRC does not cover it."""
    _BASE_OFFSET.pack_into(batch, 0, base_offset)
    _LEADER_EPOCH.pack_into(batch, 12, leader_epoch)


def stamp_log_append_time(batch: memoryview, now_ms: int) -> None:
    """Give every record of the batch the timestamp `now_ms`, as message.timestamp.type=LogAppendTime wants it."""
    attributes = _ATTRIBUTES.unpack_from(batch, CRC_START)[0]
    _ATTRIBUTES.pack_into(batch, CRC_START, attributes | LOG_APPEND_TIME)
    stamp_max_timestamp(batch, now_ms)


def stamp_max_timestamp(batch: memoryview, max_timestamp: int) -> None:
    """Write the greatest timestamp (ms) and the CRC that goes with it."""
    _TIMESTAMP.pack_into(batch, 35, max_timestamp)
    _CRC.pack_into(batch, CRC_START - _CRC.size, crc_of(batch))


def _whole_batch(records: memoryview, position: int, end: int, check_crc: bool = True) -> BatchHeader:
    left = end - position
    if left < HEADER_BYTES:
        raise _old_format(records, position) or _corrupt(f"{left} bytes are no record batch")
    header = BatchHeader._make(HEADER.unpack_from(records, position))
    if header.magic != 2:
        raise _old_format(records, position) or _corrupt(f"magic {header.magic} is unknown")
    if not HEADER_BYTES <= header.size <= left:
        raise _corrupt(f"batch length {header.batch_length} does not fit {left} bytes")
    if check_crc:
        crc = crc32c.crc32c(records[position + CRC_START : position + header.size])
        if crc != header.crc:
            raise _corrupt(f"CRC-32C is {crc:08x}, the header says {header.crc:08x}")
    return header


def _old_format(records: memoryview, position: int) -> Refused | None:
    if len(records) - position > 16 and records[position + 16] in (0, 1):
        return Refused(ErrorCode.INVALID_RECORD, f"message format {records[position + 16]} is too old, send format 2")
    return None


def _corrupt(why: str) -> Refused:
    return Refused(ErrorCode.CORRUPT_MESSAGE, why)


def _check_producer_batch(header: BatchHeader) -> None:
    if header.record_count <= 0 or header.record_count != header.last_offset_delta + 1:
        raise _invalid(f"{header.record_count} records and last offset delta {header.last_offset_delta} do not agree")
    if header.attributes & (CONTROL | LOG_APPEND_TIME) or header.codec > _HIGHEST_CODEC:
        raise _bad_attributes(header)
    if header.has_producer:
        if header.producer_epoch < 0 or header.base_sequence < 0:
            raise _invalid(
                f"producer {header.producer_id} needs an epoch and a sequence, "
                f"not {header.producer_epoch} and {header.base_sequence}"
            )
    elif header.producer_id != NO_PRODUCER or header.is_transactional:
        raise _invalid(f"producer id {header.producer_id} is not one a transaction or a batch can have")


def _bad_attributes(header: BatchHeader) -> Refused:
    if header.is_control:
        return _invalid("clients may not write control batches")
    if header.log_append_time:
        return Refused(ErrorCode.INVALID_TIMESTAMP, "producers may not set the timestamp type to log append time")
    return Refused(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, f"compression codec {header.codec} is unknown")


def _invalid(why: str) -> Refused:
    return Refused(ErrorCode.INVALID_RECORD, why)
