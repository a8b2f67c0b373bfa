"""Record batches laid out for decoding as columns: their records uncompressed, one batch behind the other, in arenas.

An arena is large enough that numpy's calls cost little for each record, and small enough to bound what is held beside
the result. Headers are checked here; records are not looked at.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from infra.errors import Corrupt
from infra.records.batch import CODEC_MASK, CONTROL, HEADER_BYTES, LOG_APPEND_TIME, PREFIX_BYTES
from infra.records.compression import decompress
from infra.records.decode import SMALLEST_RECORD
from infra.records.header_table import HEADERS
from infra.records.varints import PADDING, Bytes, Ints
from infra.store.port import Buffer

ARENA_BYTES = 16 << 20
ARENA_RECORDS = 1 << 18


class Arena:
    """The records of some batches; entry i of each array is about batch i."""

    def __init__(self, payloads: Sequence[Buffer], headers: NDArray[np.void]) -> None:
        """`payloads` are the records of each batch, uncompressed. Raises `Corrupt` for counts they cannot hold."""
        sizes = np.fromiter(map(len, payloads), np.int64, len(payloads))
        self.data: Bytes = np.frombuffer(b"".join((*payloads, bytes(PADDING))), np.uint8)
        self.end: Ints = sizes.cumsum()
        self.begin: Ints = self.end - sizes
        self.count = _ints(headers, "record_count")
        self.base_offset = _ints(headers, "base_offset")
        self.last_offset_delta = _ints(headers, "last_offset_delta")
        self.base_timestamp = _ints(headers, "base_timestamp")
        self.max_timestamp = _ints(headers, "max_timestamp")
        self.log_append_time = (_ints(headers, "attributes") & LOG_APPEND_TIME) != 0
        if ((self.count < 0) | (self.count > sizes // SMALLEST_RECORD)).any():
            raise Corrupt("a batch cannot hold as many records as it says")


def arenas(batches: Sequence[Buffer]) -> Iterator[Arena]:
    """The record batches (control batches are left out) in arenas of at most `ARENA_BYTES` and `ARENA_RECORDS`, or of
    one larger batch.

    Raises `Corrupt` when one is not a whole batch of format 2, or cannot be decompressed.
    """
    headers = _headers(batches)
    attributes = _ints(headers, "attributes")
    is_data = attributes & CONTROL == 0
    numbers = np.flatnonzero(is_data)
    codecs, counts = (attributes[numbers] & CODEC_MASK).tolist(), headers["record_count"][numbers].tolist()
    payloads: list[Buffer] = []
    begin = size = records = 0
    for index, codec, count in zip(numbers.tolist(), codecs, counts, strict=True):
        payload = decompress(codec, memoryview(batches[index])[HEADER_BYTES:])
        size += len(payload)
        records += count
        if payloads and (size > ARENA_BYTES or records > ARENA_RECORDS):
            arena = Arena(payloads, headers[numbers[begin : begin + len(payloads)]])
            begin += len(payloads)
            payloads, size, records = [], len(payload), count  # none is held beside the arena
            yield arena
            del arena
        payloads.append(payload)
    if payloads:
        arena = Arena(payloads, headers[numbers[begin:]])
        del payloads
        yield arena


def _headers(batches: Sequence[Buffer]) -> NDArray[np.void]:
    sizes = np.fromiter(map(len, batches), np.int64, len(batches))
    if sizes.min(initial=HEADER_BYTES) < HEADER_BYTES:
        raise Corrupt("a record batch is shorter than its header")
    headers = np.frombuffer(b"".join([memoryview(batch)[:HEADER_BYTES] for batch in batches]), HEADERS)
    if (headers["magic"] != 2).any() or (_ints(headers, "batch_length") + PREFIX_BYTES != sizes).any():
        raise Corrupt("the bytes are not one whole record batch of format 2")
    return headers


def _ints(headers: NDArray[np.void], name: str) -> Ints:
    return headers[name].astype(np.int64)
