"""Compression, decoding and encoding, each way against the record builders and readers of two Kafka clients."""

import contextlib
import os
import random
import struct
from typing import Any

import cramjam
import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder as AioBuilder
from aiokafka.record.memory_records import MemoryRecords as AioMemoryRecords
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.record import MemoryRecords
from kafka.record.default_records import DefaultRecordBatchBuilder

from infra.errors import Corrupt
from infra.records.batch import BatchHeader, crc_of, split_batches
from infra.records.compression import GZIP, LZ4, NONE, SNAPPY, ZSTD, compress, decompress
from infra.records.control import Marker, decode_marker, encode_marker
from infra.records.decode import decode_batch
from infra.records.encode import batch_of, encode_batch
from infra.records.record import Record

CODECS = (NONE, GZIP, SNAPPY, LZ4, ZSTD)
SAMPLES = (b"", b"a", os.urandom(100), b"log " * 50_000, random.Random(1).randbytes(5 << 20) + bytes(5 << 20))

maybe_bytes = st.none() | st.binary(max_size=80)
names = st.text(st.characters(codec="utf-8"), max_size=8)
headers = st.lists(st.tuples(names, st.binary(max_size=20)), max_size=3)
rows = st.lists(st.tuples(st.integers(0, 1 << 42), maybe_bytes, maybe_bytes, headers), min_size=1, max_size=20)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("data", SAMPLES, ids=len)
def test_what_was_compressed_comes_back(codec: int, data: bytes) -> None:
    packed = compress(codec, data)
    assert bytes(decompress(codec, packed)) == data
    assert bytes(decompress(codec, memoryview(bytearray(packed)))) == data


@pytest.mark.parametrize("data", SAMPLES[1:], ids=len)
def test_other_implementations_are_understood_both_ways(data: bytes) -> None:
    foreign: list[tuple[int, Any]] = [(GZIP, cramjam.gzip), (LZ4, cramjam.lz4), (ZSTD, cramjam.zstd)]
    for codec, other in foreign:
        assert bytes(decompress(codec, bytes(other.compress(data)))) == data
        assert bytes(other.decompress(bytes(compress(codec, data)))) == data
    assert bytes(decompress(SNAPPY, bytes(cramjam.snappy.compress_raw(data)))) == data


def test_lz4_blocks_stand_for_themselves() -> None:
    """The flag that Java's reader asks for."""
    assert bytes(compress(LZ4, bytes(10 << 20)))[4] & 0x20


def test_joined_xerial_streams_are_one() -> None:
    assert bytes(decompress(SNAPPY, bytes(compress(SNAPPY, b"one ")) + bytes(compress(SNAPPY, b"two")))) == b"one two"


@pytest.mark.parametrize("codec", CODECS[1:])
def test_output_is_bounded(codec: int) -> None:
    bomb = compress(codec, bytes(3 << 20))
    with pytest.raises(Corrupt):
        decompress(codec, bomb, limit=(3 << 20) - 1)
    assert len(decompress(codec, bomb, limit=3 << 20)) == 3 << 20


def test_a_snappy_block_that_lies_about_its_size_allocates_nothing() -> None:
    with pytest.raises(Corrupt):
        decompress(SNAPPY, b"\xff\xff\xff\x7f" + bytes(100))


@pytest.mark.parametrize("codec", [*CODECS[1:], 5, 7])
@given(noise=st.binary(max_size=100))
@settings(max_examples=50, deadline=None)
def test_noise_is_corrupt_or_something_small(codec: int, noise: bytes) -> None:
    with contextlib.suppress(Corrupt):
        assert len(decompress(codec, noise, 10_000)) <= 10_000


@pytest.mark.parametrize("codec", CODECS)
@given(given_rows=rows)
@settings(max_examples=40, deadline=None)
def test_batches_of_kafka_python_are_read(codec: int, given_rows: list[Any]) -> None:
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=codec, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1,
        batch_size=1 << 20,
    )  # fmt: skip
    for offset, (timestamp, key, value, heads) in enumerate(given_rows):
        builder.append(offset, timestamp=timestamp, key=key, value=value, headers=heads)
    [(_, batch)] = split_batches(memoryview(bytearray(builder.build())))
    assert decode_batch(batch) == as_records(given_rows)


@pytest.mark.parametrize("codec", CODECS)
@given(given_rows=rows)
@settings(max_examples=40, deadline=None)
def test_batches_of_aiokafka_are_read(codec: int, given_rows: list[Any]) -> None:
    builder = AioBuilder(
        magic=2, compression_type=codec, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1,
        batch_size=1 << 20,
    )  # fmt: skip
    for offset, (timestamp, key, value, heads) in enumerate(given_rows):
        builder.append(offset, timestamp=timestamp, key=key, value=value, headers=heads)
    [(_, batch)] = split_batches(memoryview(bytearray(builder.build())))
    assert decode_batch(batch) == as_records(given_rows)


@pytest.mark.parametrize("codec", CODECS)
@given(given_rows=rows, transactional=st.booleans())
@settings(max_examples=40, deadline=None)
def test_our_batches_are_read_by_both(codec: int, given_rows: list[Any], transactional: bool) -> None:
    records = as_records(given_rows)
    producer = (5, 1, 9) if transactional else (-1, -1, -1)
    batch = encode_batch(
        records, codec=codec, transactional=transactional,
        producer_id=producer[0], producer_epoch=producer[1], base_sequence=producer[2],
    )  # fmt: skip
    [(header, view)] = split_batches(memoryview(batch))
    assert header.max_timestamp == max(record.timestamp for record in records)
    assert decode_batch(view) == records
    for reader in (MemoryRecords, AioMemoryRecords):
        [theirs] = _batches(reader, bytes(batch))
        assert theirs.validate_crc()
        assert theirs.is_transactional == transactional
        assert [
            Record(
                record.offset,
                record.timestamp,
                _bytes(record.key),
                _bytes(record.value),
                tuple((name.encode(), _bytes(value)) for name, value in record.headers),
            )
            for record in theirs
        ] == records


def test_a_widened_and_an_empty_batch() -> None:
    batch = encode_batch([Record(12, 5, b"k", b"v"), Record(17, 3, None, None)], base_offset=10, last_offset=19)
    header = BatchHeader.parse(batch)
    assert (header.base_offset, header.last_offset, header.record_count, header.max_timestamp) == (10, 19, 2, 5)
    assert decode_batch(batch) == [Record(12, 5, b"k", b"v"), Record(17, 3, None, None)]
    empty = encode_batch([], base_offset=4, last_offset=6)
    assert decode_batch(empty) == []
    assert (BatchHeader.parse(empty).base_offset, BatchHeader.parse(empty).last_offset) == (4, 6)


def test_log_append_time_counts_for_all_records() -> None:
    batch = encode_batch([Record(0, 5, b"k", b"v")], log_append_time=True)
    struct.pack_into(">q", batch, 35, 99)
    assert [record.timestamp for record in decode_batch(batch)] == [99]


def test_pairs_make_a_batch() -> None:
    batch = batch_of([(b"a", b"1"), (b"b", None)], 77)
    assert decode_batch(batch) == [Record(0, 77, b"a", b"1"), Record(1, 77, b"b", None)]


@pytest.mark.parametrize("commits", [True, False])
def test_markers_are_what_clients_take_them_for(commits: bool) -> None:
    marker = Marker(producer_id=3, producer_epoch=2, coordinator_epoch=8, commit=commits)
    batch = encode_marker(marker, 5)
    assert decode_marker(batch) == marker
    assert BatchHeader.parse(batch).attributes == 0x30
    [theirs] = _batches(MemoryRecords, bytes(batch))
    assert theirs.is_control_batch
    [record] = list(theirs)
    assert (record.abort, record.commit) == (not commits, commits)
    assert len(record.value if isinstance(record.value, bytes) else batch[-7:-1]) == 6


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_lying_lengths_are_corrupt_and_nothing_else(data: st.DataObject) -> None:
    codec = data.draw(st.sampled_from(CODECS))
    records = [Record(n, n, b"key", b"value" * n, ((b"h", b"x"),)) for n in range(4)]
    batch = encode_batch(records, codec=codec)
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(8, len(batch) - 1))
        batch[position] = data.draw(st.integers(0, 255))
    try:
        decode_batch(batch, 100_000)
    except Corrupt:
        return
    assert crc_of(batch) >= 0


def as_records(given_rows: list[Any]) -> list[Record]:
    return [
        Record(offset, timestamp, key, value, tuple((name.encode(), content) for name, content in heads))
        for offset, (timestamp, key, value, heads) in enumerate(given_rows)
    ]


def _batches(reader: Any, data: bytes) -> list[Any]:
    records = reader(data)
    found = []
    while (batch := records.next_batch()) is not None:
        found.append(batch)
    return found


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)
