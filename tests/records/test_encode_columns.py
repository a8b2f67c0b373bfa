"""Encoding columns, read back by the plain reader and by the readers of two Kafka clients."""

import struct
from typing import Any

import pyarrow as pa
import pytest
from aiokafka.record.memory_records import MemoryRecords as AioMemoryRecords
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.record import MemoryRecords

from infra.records.batch import BatchHeader, crc_of
from infra.records.columns import RECORDS
from infra.records.decode import decode_batch
from infra.records.decode_columns import decode_columns
from infra.records.encode_columns import encode_columns
from infra.records.record import Record
from infra.store.port import Buffer
from tests.records.loose_writer import CODECS, headers, maybe_bytes, plain_rows, row_of, timestamps
from tests.records.test_decode_columns import calls

gaps = st.just(1) | st.integers(1, 1 << 20) | st.sampled_from((1 << 31, (1 << 31) + 1, 1 << 33))
row_lists = st.lists(st.tuples(gaps, timestamps, maybe_bytes, maybe_bytes, headers), max_size=15)


def as_records(rows: list[Any], base_offset: int) -> list[Record]:
    records = []
    offset = base_offset - 1
    for gap, timestamp, key, value, heads in rows:
        offset += gap
        records.append(Record(offset, timestamp, key, value, heads))
    return records


def columns_of(records: list[Record], chunk: int = 1 << 30) -> pa.Table:
    """Records as columns, the plain way, in chunks of so many rows that are slices of more."""
    rows = [row_of(record) for record in records]
    table = pa.Table.from_pylist([*rows[:1], *rows, *rows[-1:]], RECORDS).slice(1 if rows else 0, len(rows))
    parts = [table.slice(begin, chunk) for begin in range(0, len(rows), chunk)]
    return pa.concat_tables(parts) if parts else table


def check_cover(batches: list[Buffer], base_offset: int, last_offset: int) -> None:
    """The batches lie one behind the other in that range, and each header is right."""
    for batch in batches:
        header = BatchHeader.parse(batch)
        assert header.base_offset == base_offset
        assert header.crc == crc_of(batch)
        assert (header.magic, header.leader_epoch, header.size) == (2, 5, len(batch))
        assert (header.producer_id, header.producer_epoch, header.base_sequence) == (-1, -1, -1)
        assert 0 <= header.last_offset_delta < 1 << 31
        assert header.max_timestamp == max((record.timestamp for record in decode_batch(batch)), default=-1)
        base_offset = header.next_offset
    assert base_offset == last_offset + 1


@given(row_lists, st.integers(0, 1 << 60), gaps, CODECS, st.integers(1, 1200), st.integers(1, 16))
@settings(max_examples=200, deadline=None)
def test_the_plain_reader_gives_back_what_the_columns_hold(
    rows: list[Any], base_offset: int, room: int, codec: int, target_bytes: int, chunk: int
) -> None:
    records = as_records(rows, base_offset)
    last_offset = (records[-1].offset if records else base_offset) + room - 1
    batches = encode_columns(
        columns_of(records, chunk), base_offset=base_offset, last_offset=last_offset, leader_epoch=5, codec=codec,
        target_bytes=target_bytes,
    )  # fmt: skip
    check_cover(batches, base_offset, last_offset)
    assert [record for batch in batches for record in decode_batch(batch)] == records
    assert plain_rows(decode_columns(batches)) == [row_of(record) for record in records]


@pytest.mark.parametrize("codec", range(5))
@pytest.mark.parametrize("reader", [MemoryRecords, AioMemoryRecords])
def test_kafka_clients_read_the_batches(codec: int, reader: Any) -> None:
    heads = ((b"trace", b"abc"), (b"empty", b""))
    records = [Record(n, 1000 + n % 7, b"k%d" % n if n % 3 else None, b"v" * n, heads * (n % 3)) for n in range(300)]
    batches = encode_columns(
        columns_of(records), base_offset=0, last_offset=299, leader_epoch=5, codec=codec, target_bytes=8192
    )
    assert len(batches) > 3
    theirs = reader(b"".join(batches))
    read = []
    while (batch := theirs.next_batch()) is not None:
        assert batch.validate_crc()
        read += [
            Record(
                record.offset, record.timestamp, record.key, record.value,
                tuple((name.encode(), value) for name, value in record.headers),
            )
            for record in batch
        ]  # fmt: skip
    assert read == records


def test_batches_are_about_as_large_as_asked_for() -> None:
    records = [Record(n, n, b"key", bytes(100)) for n in range(5000)]
    for target in (1000, 30_000, 200_000):
        batches = encode_columns(
            columns_of(records), base_offset=0, last_offset=4999, leader_epoch=5, target_bytes=target
        )
        assert all(target * 0.85 < len(batch) < target * 1.07 for batch in batches[:-1])
    [batch, *others] = encode_columns(
        columns_of(records[:9]), base_offset=0, last_offset=8, leader_epoch=5, target_bytes=1
    )
    assert len(others) == 8
    assert decode_batch(batch) == records[:1]


def test_without_rows_one_empty_batch_covers_the_range() -> None:
    for codec in range(5):
        [batch] = encode_columns(RECORDS.empty_table(), base_offset=4, last_offset=9, leader_epoch=5, codec=codec)
        assert len(batch) == 61
        check_cover([batch], 4, 9)
    batches = encode_columns(RECORDS.empty_table(), base_offset=4, last_offset=3 << 31, leader_epoch=5)
    assert len(batches) == 3
    check_cover(batches, 4, 3 << 31)


def test_a_record_batch_of_arrow_will_do() -> None:
    records = [Record(3, 1, None, b""), Record(8, -1, b"", None)]
    [arrow] = columns_of(records).combine_chunks().to_batches()
    [batch] = encode_columns(arrow, base_offset=2, last_offset=9, leader_epoch=5)
    assert decode_batch(batch) == records


def test_other_binary_types_are_taken_as_binary() -> None:
    records = [Record(0, 1, b"k", b"v", ((b"h", b"x"),))]
    table = columns_of(records)
    table = table.set_column(3, "value", table.column("value").cast(pa.large_binary()))
    [batch] = encode_columns(table, base_offset=0, last_offset=0, leader_epoch=5)
    assert decode_batch(batch) == records


def test_rows_outside_the_range_are_refused() -> None:
    table = columns_of([Record(3, 1, None, b""), Record(8, 1, b"", None)])
    for base, last in ((4, 9), (0, 7), (9, 20), (0, 2)):
        with pytest.raises(ValueError, match="rows"):
            encode_columns(table, base_offset=base, last_offset=last, leader_epoch=5)


@pytest.mark.parametrize("heads", [(), ((b"trace", b"abc"), (b"span", None))])
def test_python_is_called_as_often_for_10_records_as_for_10_000(heads: tuple[tuple[bytes, bytes | None], ...]) -> None:
    def columns(count: int) -> pa.Table:
        step = 10_000 // count
        return columns_of([Record(n * step, n * step, b"k", b"value" * 3, heads) for n in range(count)])

    def encode(table: pa.Table) -> None:
        encode_columns(table, base_offset=0, last_offset=9_999, leader_epoch=5, target_bytes=1 << 24)

    few, many = columns(10), columns(10_000)
    assert calls(lambda: encode(few)) == calls(lambda: encode(many))


def test_the_timestamps_of_one_batch_may_be_as_far_apart_as_they_can() -> None:
    ends = (-(1 << 63), (1 << 63) - 1)
    for first, second in (ends, ends[::-1], (-1, ends[0]), (ends[1], -1), (0, ends[0]), (-1, ends[1])):
        records = [Record(0, first, None, None), Record(1, second, None, None)]
        [batch] = encode_columns(columns_of(records), base_offset=0, last_offset=1, leader_epoch=5)
        assert decode_batch(batch) == records
        assert struct.unpack_from(">q", batch, 35)[0] == max(first, second)
