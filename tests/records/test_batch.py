import struct

import crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.record import MemoryRecords
from kafka.record.default_records import DefaultRecordBatchBuilder

from infra.error_code import ErrorCode
from infra.errors import Corrupt, Refused
from infra.records.batch import (
    BatchHeader,
    check_timestamp,
    codec_of,
    split_batches,
    stamp,
    stamp_log_append_time,
    stamp_max_timestamp,
    walk_batches,
)


def foreign_batch(
    count: int = 3, codec: int = 0, transactional: bool = False, producer: tuple[int, int, int] = (-1, -1, -1)
) -> bytearray:
    """A batch as kafka-python writes it."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=codec,
        is_transactional=transactional,
        producer_id=producer[0],
        producer_epoch=producer[1],
        base_sequence=producer[2],
        batch_size=1 << 20,
    )
    for offset in range(count):
        builder.append(offset, timestamp=1000 + offset, key=b"k", value=b"value %d" % offset, headers=[])
    return bytearray(builder.build())


def edited(batch: bytearray, form: str, position: int, value: int) -> memoryview:
    """The batch with one field changed and the CRC made right again."""
    struct.pack_into(form, batch, position, value)
    struct.pack_into(">I", batch, 17, crc32c.crc32c(memoryview(batch)[21:]))
    return memoryview(batch)


def test_header_says_what_the_producer_wrote() -> None:
    batch = foreign_batch(5, transactional=True, producer=(77, 3, 2**31 - 3))
    [(header, view)] = split_batches(memoryview(batch))
    assert (header.base_offset, header.last_offset, header.next_offset) == (0, 4, 5)
    assert (header.record_count, header.size, header.codec, codec_of(view)) == (5, len(batch), 0, 0)
    assert (header.base_timestamp, header.max_timestamp) == (1000, 1004)
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (77, 3, 2**31 - 3)
    assert header.last_sequence == 1
    assert header.is_transactional
    assert not header.is_control
    assert not header.log_append_time
    assert header.has_producer
    assert header == BatchHeader.parse(batch)


def test_batches_are_views_and_stamping_keeps_the_crc() -> None:
    one, two = foreign_batch(2), foreign_batch(4)
    memory = bytearray(one + two)
    split = split_batches(memoryview(memory))
    assert [header.record_count for header, _ in split] == [2, 4]
    stamp(split[0][1], 100, 7)
    stamp(split[1][1], 102, 7)
    [(first, _), (second, _)] = walk_batches(memoryview(memory))
    assert (first.base_offset, second.base_offset, second.last_offset, second.leader_epoch) == (100, 102, 105, 7)
    records = MemoryRecords(bytes(memory))
    offsets = []
    while (batch := records.next_batch()) is not None:
        assert batch.validate_crc()
        offsets += [record.offset for record in batch]
    assert offsets == list(range(100, 106))


def test_log_append_time_is_stamped_with_a_new_crc() -> None:
    batch = foreign_batch()
    stamp_log_append_time(memoryview(batch), 5_000_000)
    foreign = MemoryRecords(bytes(batch)).next_batch()
    assert foreign.validate_crc()
    assert {(record.timestamp, record.timestamp_type) for record in foreign} == {(5_000_000, 1)}
    with pytest.raises(Refused) as refused:
        split_batches(memoryview(batch))
    assert refused.value.code == ErrorCode.INVALID_TIMESTAMP


def test_unset_max_timestamp_is_seen_and_mended() -> None:
    batch = foreign_batch()
    view = edited(batch, ">q", 35, -1)
    assert BatchHeader.parse(view).lacks_max_timestamp
    stamp_max_timestamp(view, 1002)
    [(header, _)] = split_batches(view)
    assert header.max_timestamp == 1002
    assert not header.lacks_max_timestamp


@pytest.mark.parametrize(
    ("form", "position", "value", "code"),
    [
        (">b", 16, 1, ErrorCode.INVALID_RECORD),
        (">b", 16, 0, ErrorCode.INVALID_RECORD),
        (">b", 16, 3, ErrorCode.CORRUPT_MESSAGE),
        (">i", 8, 48, ErrorCode.CORRUPT_MESSAGE),
        (">i", 8, -1, ErrorCode.CORRUPT_MESSAGE),
        (">i", 8, 2**31 - 1, ErrorCode.CORRUPT_MESSAGE),
        (">h", 21, 5, ErrorCode.UNSUPPORTED_COMPRESSION_TYPE),
        (">h", 21, 0x30, ErrorCode.INVALID_RECORD),
        (">h", 21, 0x10, ErrorCode.INVALID_RECORD),
        (">i", 23, 1, ErrorCode.INVALID_RECORD),
        (">i", 23, -1, ErrorCode.INVALID_RECORD),
        (">i", 57, 0, ErrorCode.INVALID_RECORD),
        (">i", 57, 2**31 - 1, ErrorCode.INVALID_RECORD),
        (">q", 43, 9, ErrorCode.INVALID_RECORD),
        (">q", 43, -5, ErrorCode.INVALID_RECORD),
    ],
)
def test_a_wrong_field_is_refused_with_its_code(form: str, position: int, value: int, code: ErrorCode) -> None:
    with pytest.raises(Refused) as refused:
        split_batches(edited(foreign_batch(), form, position, value))
    assert refused.value.code == code


def test_any_changed_byte_under_the_crc_is_refused() -> None:
    whole = foreign_batch()
    for position in range(17, len(whole)):
        batch = bytearray(whole)
        batch[position] ^= 0x40
        with pytest.raises(Refused):
            split_batches(memoryview(batch))
        with pytest.raises(Corrupt):
            list(walk_batches(memoryview(batch)))


def test_truncated_and_empty_records_are_refused() -> None:
    whole = foreign_batch() + foreign_batch()
    for size in range(len(whole)):
        if size != len(whole) // 2:
            with pytest.raises(Refused):
                split_batches(memoryview(whole[:size]))


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(noise: bytes) -> None:
    with pytest.raises(Refused):
        split_batches(memoryview(noise))


def test_timestamps_too_far_away_are_refused() -> None:
    header = BatchHeader.parse(foreign_batch())
    check_timestamp(header, now_ms=2000, before_max_ms=998, after_max_ms=0)
    check_timestamp(header, now_ms=902, before_max_ms=0, after_max_ms=100)
    check_timestamp(header._replace(max_timestamp=-1), now_ms=10**12, before_max_ms=0, after_max_ms=0)
    for now in (2001, 901):
        with pytest.raises(Refused) as refused:
            check_timestamp(header, now_ms=now, before_max_ms=998, after_max_ms=100)
        assert refused.value.code == ErrorCode.INVALID_TIMESTAMP
