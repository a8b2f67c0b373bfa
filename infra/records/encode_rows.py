"""The records section of batches from the columns of their records, in one Arrow join; knows nothing of batches."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from infra.records.varints import Ints, varint_sizes, write_varints, zigzag

_ATTRIBUTES: NDArray[np.uint64] = np.zeros(1, np.uint64)  # of a record: none are defined, and 0 is a varint too
_NOTHING = pa.scalar(b"", pa.binary())
_NO_HEADERS = pa.scalar(b"\x00", pa.binary())
_OVERHEAD = 12  # about the bytes of a record's numbers
_HEADER_OVERHEAD = 2


def row_sizes(rows: pa.Table) -> Ints:
    """About the bytes that each row takes in a batch."""
    sizes = np.full(rows.num_rows, _OVERHEAD, np.int64)
    for name in ("key", "value"):
        sizes += np.maximum(_lengths(rows.column(name)), 0)
    at = 0
    for chunk in rows.column("headers").chunks:
        count = _counts(chunk)
        if count.any():
            headers = chunk.flatten()
            size = sum(np.maximum(_lengths(column), 0) for column in headers.flatten()) + _HEADER_OVERHEAD
            total = np.concatenate(([0], np.cumsum(size)))
            ends = count.cumsum()
            sizes[at : at + len(chunk)] += total[ends] - total[ends - count]
        at += len(chunk)
    return sizes


def encode_rows(rows: pa.RecordBatch, offset_delta: Ints, timestamp_delta: Ints) -> tuple[memoryview, list[int]]:
    """The records one behind the other, and where each begins, with one entry more for the end."""
    import pyarrow.compute as pc  # a twentieth of a node's start, and not needed for it

    key, value = rows.column("key"), rows.column("value")
    key_length, value_length = _lengths(key), _lengths(value)
    headers = _encode_headers(rows.column("headers"))
    value_number = _Numbers.of(value_length)
    inner = [_Numbers.of(timestamp_delta), _Numbers.of(offset_delta), _Numbers.of(key_length)]
    length = 1 + np.maximum(key_length, 0) + value_number.sizes + np.maximum(value_length, 0) + headers.sizes
    for number in inner:
        length += number.sizes
    before = [_Numbers.of(length), _Numbers(_ATTRIBUTES, np.ones(1, np.int64)), *inner]
    if key.null_count == len(key):
        parts = [_packed([*before, value_number]), value, *headers.parts]
    else:
        parts = [_packed(before), key, _packed([value_number]), value, *headers.parts]
    joined = pc.binary_join_element_wise(*parts, _NOTHING, null_handling="replace", null_replacement=b"")
    return _memory(joined), _offsets(joined).tolist()


@dataclass(frozen=True, slots=True)
class _Numbers:
    """One number for each record (or one for all), with the bytes that each takes as varint."""

    bits: NDArray[np.uint64]
    sizes: Ints

    @classmethod
    def of(cls, values: Ints) -> "_Numbers":
        bits = zigzag(values)
        return cls(bits, varint_sizes(bits))


@dataclass(frozen=True, slots=True)
class _Headers:
    """What a record has behind its value, in parts to be joined, and the bytes of it."""

    parts: list[pa.Array | pa.Scalar]
    sizes: Ints


def _encode_headers(column: pa.Array) -> _Headers:
    import pyarrow.compute as pc

    counts = _counts(column)
    if not counts.any():
        return _Headers([_NO_HEADERS], np.ones(1, np.int64))
    name, value = column.flatten().flatten()
    joined = pc.binary_join_element_wise(
        _packed([_Numbers.of(_lengths(name))]),
        name,
        _packed([_Numbers.of(_lengths(value))]),
        value,
        _NOTHING,
        null_handling="replace",
        null_replacement=b"",
    )
    ends = np.concatenate(([0], counts.cumsum()))
    offsets = _offsets(joined)[ends]  # the headers of one record stand together: one entry for all of them
    whole = pa.Array.from_buffers(pa.binary(), len(counts), [None, pa.py_buffer(offsets), joined.buffers()[2]])
    number = _Numbers.of(counts)
    return _Headers([_packed([number]), whole], number.sizes + np.diff(offsets))


def _packed(numbers: Sequence[_Numbers]) -> pa.Array:
    """A binary array whose entries are the given numbers, one behind the other."""
    count = max(len(number.bits) for number in numbers)
    sizes = np.zeros(count, np.int64)
    for number in numbers:
        sizes += number.sizes
    offsets = np.zeros(count + 1, np.int32)
    np.cumsum(sizes, out=offsets[1:])
    out = np.zeros(int(offsets[-1]), np.uint8)
    at = offsets[:-1].astype(np.int64)
    for number in numbers:
        at = write_varints(out, at, number.bits, number.sizes)
    return pa.Array.from_buffers(pa.binary(), count, [None, pa.py_buffer(offsets), pa.py_buffer(out)])


def _lengths(column: pa.Array | pa.ChunkedArray) -> Ints:
    """Bytes of each entry, -1 for null."""
    import pyarrow.compute as pc

    lengths = pc.binary_length(column)
    if lengths.null_count:
        lengths = lengths.fill_null(-1)
    return np.asarray(lengths.to_numpy(), np.int64)


def _counts(column: pa.Array) -> Ints:
    """Headers of each record."""
    import pyarrow.compute as pc

    return np.asarray(pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False), np.int64)


def _offsets(array: pa.Array) -> NDArray[np.int32]:
    return np.frombuffer(array.buffers()[1], np.int32)[array.offset : array.offset + len(array) + 1]


def _memory(array: pa.Array) -> memoryview:
    return memoryview(array.buffers()[2])
