"""Decoding as columns against its plain twin, record by record."""

import contextlib
import random
import struct
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import Corrupt
from infra.records import arena, decode_columns, walk
from infra.records.batch import HEADER_BYTES, BatchHeader
from infra.records.columns import RECORDS
from infra.records.control import Marker, encode_marker
from infra.records.decode import decode_batch
from infra.records.encode import encode_batch
from infra.records.record import Record
from tests.records.loose_writer import (
    LooseBatch,
    LooseRecord,
    batch_bytes,
    in_order,
    loose_batches,
    plain_rows,
    row_of,
    varint,
)


def expected(batches: list[bytearray]) -> list[dict[str, Any]]:
    rows = []
    for batch in batches:
        header = BatchHeader.parse(batch)
        if not header.is_control:
            rows += [row_of(record) for record in decode_batch(batch)]
        elif header.magic != 2 or header.size != len(batch):
            raise Corrupt("not a whole batch")
    return rows


@contextlib.contextmanager
def cut_small(arena_bytes: int, piece_bytes: int, piece_rows: int, width: int) -> Iterator[None]:
    """Arenas, pieces and lanes so small that few records have every border in them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arena, "ARENA_BYTES", arena_bytes)
        patch.setattr(decode_columns, "_PIECE_BYTES", piece_bytes)
        patch.setattr(decode_columns, "_PIECE_ROWS", piece_rows)
        patch.setattr(walk, "WIDTH", width)
        yield


@given(st.lists(loose_batches, max_size=8))
@settings(max_examples=80, deadline=None)
def test_columns_are_what_the_plain_reader_gives(batches: list[LooseBatch]) -> None:
    written = in_order(batches)
    table = decode_columns.decode_columns(written)
    table.validate(full=True)
    assert table.schema == RECORDS
    assert plain_rows(table) == expected(written)


@given(
    st.lists(loose_batches, max_size=8), st.integers(1, 2000), st.integers(1, 500), st.integers(1, 5), st.integers(1, 6)
)
@settings(max_examples=80, deadline=None)
def test_borders_of_arenas_pieces_and_lanes_change_nothing(
    batches: list[LooseBatch], arena_bytes: int, piece_bytes: int, piece_rows: int, width: int
) -> None:
    written = in_order(batches)
    with cut_small(arena_bytes, piece_bytes, piece_rows, width):
        table = decode_columns.decode_columns(written)
    table.validate(full=True)
    assert plain_rows(table) == expected(written)


@given(st.data(), st.lists(loose_batches, min_size=1, max_size=3), st.integers(1, 4))
@settings(max_examples=200, deadline=None)
def test_changed_bytes_are_read_or_refused_as_by_the_plain_reader(
    data: st.DataObject, batches: list[LooseBatch], width: int
) -> None:
    written = in_order(batches)
    batch = written[data.draw(st.integers(0, len(written) - 1))]
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(batch) - 1))
        batch[position] = data.draw(st.sampled_from((0, 1, 2, 0x7F, 0x80, 0xFF)) | st.integers(0, 255))
    if data.draw(st.booleans()):
        struct.pack_into(">i", batch, 8, len(batch) - 12)
    check_same(written, width)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=4), st.integers(0, 6), st.integers(1, 3))
@settings(max_examples=200, deadline=None)
def test_noise_behind_a_good_header_is_read_or_refused_alike(noise: list[bytes], count: int, width: int) -> None:
    written = []
    for body in noise:
        batch = batch_bytes(LooseBatch([], room=6)) + body
        struct.pack_into(">i", batch, 8, len(batch) - 12)
        struct.pack_into(">i", batch, 57, count)
        written.append(batch)
    check_same(written, width)


@pytest.mark.parametrize("width", [1, 96])
@pytest.mark.parametrize("seed", range(2))
def test_each_byte_of_a_batch_may_change(seed: int, width: int) -> None:
    randomness = random.Random(seed)
    records = [Record(n, n, b"key" * (n % 3), None if n == 2 else b"v" * n, ((b"h\xff", None),) * n) for n in range(6)]
    whole = encode_batch(records)
    for position in range(HEADER_BYTES - 4, len(whole)):
        for value in (0, 0x7F, 0xFF, whole[position] ^ 1, randomness.randrange(256)):
            batch = bytearray(whole)
            batch[position] = value
            check_same([batch], width)


def check_same(written: list[bytearray], width: int) -> None:
    """Refused, or the same rows, by both; the batch that is named is the first the plain reader refuses."""
    first_bad = None
    rows: list[dict[str, Any]] = []
    for batch in written:
        try:
            rows += expected([batch])
        except Corrupt:
            first_bad = batch
            break
    with cut_small(500, 200, 3, width):
        if first_bad is None:
            table = decode_columns.decode_columns(written)
            table.validate(full=True)
            assert plain_rows(table) == rows
            return
        base_offset = int.from_bytes(first_bad[:8], "big", signed=True)
        with pytest.raises(Corrupt, match=f"at base offset {base_offset}: "):
            decode_columns.decode_columns(written)
        readable, unreadable = decode_columns.split_readable(written)
        assert first_bad in unreadable
        assert sorted(map(bytes, readable + unreadable)) == sorted(map(bytes, written))
        assert plain_rows(decode_columns.decode_columns(readable)) == expected([bytearray(one) for one in readable])


def test_nothing_gives_an_empty_table() -> None:
    assert decode_columns.decode_columns([]).equals(RECORDS.empty_table())
    marker = encode_marker(Marker(1, 1, 1, commit=True), 1)
    empty = encode_batch([], base_offset=3, last_offset=9)
    assert decode_columns.decode_columns([marker, empty, memoryview(marker)]).equals(RECORDS.empty_table())


@pytest.mark.parametrize("size", [0, 1, 11, 60])
def test_bytes_shorter_than_a_header_are_named_by_number_or_offset(size: int) -> None:
    good = encode_batch([Record(4, 1, b"k", b"v")])
    with pytest.raises(Corrupt, match=r"number 1 of 2|base offset 4"):
        decode_columns.decode_columns([good, good[:size]])


@pytest.mark.parametrize("place", ["length", "timestamp", "offset", "key", "value", "headers", "name", "content"])
def test_numbers_of_more_than_64_bits_or_ten_bytes_are_refused(place: str) -> None:
    for number in (b"\x80" * 9 + b"\x02", b"\xff" * 9 + b"\x03", b"\x80" * 10 + b"\x00", b"\xff" * 9 + b"\x01"):
        parts = {"timestamp": b"\x00", "offset": b"\x00", "key": b"\x01", "value": b"\x01", "headers": b"\x02"}
        parts |= {"name": b"\x00", "content": b"\x01"}
        parts[place] = number
        length = parts.pop("length", None)
        body = b"\x00" + b"".join(parts.values())
        batch = batch_bytes(LooseBatch([], room=1)) + (length or varint(len(body))) + body
        struct.pack_into(">ii", batch, 8, len(batch) - 12, 1)
        struct.pack_into(">i", batch, 57, 1)
        for width in (1, 96):
            check_same([batch], width)


def test_timestamps_wrap_as_in_clients_and_take_ten_bytes() -> None:
    record = LooseRecord(0, (1 << 63) - 1, None, None, ())
    batch = batch_bytes(LooseBatch([record], base_timestamp=2))
    assert plain_rows(decode_columns.decode_columns([batch]))[0]["timestamp"] == -(1 << 63) + 1
    check_same([batch], 1)


def test_offsets_must_ascend_within_the_batch() -> None:
    for offsets, last in ([[5, 5], 9], [[6, 5], 9], [[5, 10], 9], [[4, 6], 9]):
        batch = encode_batch([Record(offset, 1, None, b"v") for offset in offsets], base_offset=5, last_offset=last)
        check_same([batch], 96)
        with pytest.raises(Corrupt):
            decode_batch(batch)


def test_a_lying_count_of_records_or_headers_needs_no_memory() -> None:
    batch = encode_batch([Record(0, 1, None, bytes(1 << 20))])
    struct.pack_into(">i", batch, 57, (1 << 20) // 7)
    before = pa.total_allocated_bytes()
    with pytest.raises(Corrupt):
        decode_columns.decode_columns([batch])
    assert pa.total_allocated_bytes() - before < 1 << 20


@pytest.mark.parametrize(("codec", "size"), [(0, 1000), (4, 1000), (0, 90), (3, 90)])
def test_memory_stays_below_four_times_the_records(codec: int, size: int) -> None:
    randomness = random.Random(codec)
    values = [randomness.randbytes(size) for _ in range((1 << 18) // size)]
    records = [Record(n, n, b"%08d" % n, value) for n, value in enumerate(values)]
    batches = [encode_batch(records, codec=codec)] * 64
    tracemalloc.start()
    try:
        table = decode_columns.decode_columns(batches)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert table.num_rows == 64 * len(records)
    assert peak + table.nbytes < 4 * (64 << 18)


def test_a_record_of_very_many_headers_is_read() -> None:
    batch = encode_batch([Record(0, 1, None, None, ((b"", None),) * 50_000), Record(1, 1, b"k", None)])
    table = decode_columns.decode_columns([batch])
    assert pa.compute.list_value_length(table.column("headers")).to_pylist() == [50_000, 0]
    assert plain_rows(table) == expected([batch])


@pytest.mark.parametrize(("headers", "fewest"), [((), 10), (((b"trace", b"abc"), (b"span", None)), 200)])
def test_python_is_called_as_often_for_few_records_as_for_10_000(
    headers: tuple[tuple[bytes, bytes | None], ...], fewest: int
) -> None:
    def batch(count: int) -> bytearray:
        step = 10_000 // count
        return encode_batch([Record(n * step, n * step, b"k", b"value" * 3, headers) for n in range(count)])

    few, many = batch(fewest), batch(10_000)
    assert calls(lambda: decode_columns.decode_columns([few])) == calls(lambda: decode_columns.decode_columns([many]))


def calls(run: Callable[[], object]) -> int:
    """Function calls, Python's and C's, that a run makes."""
    count = 0

    def counting(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    run()
    sys.setprofile(counting)
    try:
        run()
    finally:
        sys.setprofile(None)
    return count
