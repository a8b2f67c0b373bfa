"""Decodes record batches into Arrow columns without Python for each record: for compaction and replay.

Numbers are read by numpy for all records of an arena at once (see `walk` for the one exception, lengths), keys and
values are gathered by Arrow. It accepts and refuses what `decode.decode_batch` does, which is its plain twin.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from infra.errors import Corrupt
from infra.records.arena import Arena, arenas
from infra.records.batch import PREFIX_BYTES
from infra.records.columns import HEADER_TYPE, RECORDS, TIMESTAMP_TYPE
from infra.records.decode import SMALLEST_HEADER
from infra.records.varints import Bytes, Ints, read_varints
from infra.records.walk import Fields, walk_fields
from infra.store.port import Buffer

_PIECE_BYTES = 4 << 20  # of records that are decoded at once: bounds numpy's intermediate arrays, and one chunk
_PIECE_ROWS = 1 << 16


def decode_columns(batches: Sequence[Buffer]) -> pa.Table:
    """The records of whole batches (format 2, in offset order) as a `RECORDS` table of several chunks.

    Control batches are skipped; a batch of log append time gives every row its max timestamp. CRCs are not checked.
    A call has a fixed cost of some hundred microseconds: give it a MiB to 16 MiB. Raises `Corrupt`, which names the
    first batch that is not what it says.
    """
    try:
        return pa.Table.from_batches(list(_pieces(batches)), RECORDS)
    except Corrupt:
        _raise_first(batches)
        raise


def split_readable(batches: Sequence[Buffer]) -> tuple[list[Buffer], list[Buffer]]:
    """Those that `decode_columns` takes, and those it does not; one by one, so only when it raised `Corrupt`."""
    readable: list[Buffer] = []
    unreadable: list[Buffer] = []
    for batch in batches:
        (unreadable if _fault(batch) else readable).append(batch)
    return readable, unreadable


def _fault(batch: Buffer) -> Corrupt | None:
    try:
        for _ in _pieces([batch]):
            pass
    except Corrupt as error:
        return error
    return None


def _raise_first(batches: Sequence[Buffer]) -> None:
    for number, batch in enumerate(batches):
        if error := _fault(batch):
            base_offset = int.from_bytes(bytes(batch[:8]), "big", signed=True)
            name = (
                f"at base offset {base_offset}" if len(batch) >= PREFIX_BYTES else f"number {number} of {len(batches)}"
            )
            raise Corrupt(f"record batch {name}: {error.message}") from error


def _pieces(batches: Sequence[Buffer]) -> Iterator[pa.RecordBatch]:
    for arena in arenas(batches):
        records = walk_fields(arena.data, arena.begin, arena.end, arena.count)
        if records.length.min(initial=0) < 0:
            raise Corrupt("a record has a negative length")
        reader = _ArenaReader(arena, records)
        begin = 0
        while begin < len(records.at):
            limit = int(np.searchsorted(records.at, records.at[begin] + _PIECE_BYTES))
            end = max(begin + 1, min(limit, begin + _PIECE_ROWS))
            yield reader.rows(begin, end)
            begin = end
        del arena, records, reader  # before the next one is laid out


class _ArenaReader:
    """Turns rows of one arena, from first to last, into columns."""

    def __init__(self, arena: Arena, records: Fields) -> None:
        self._arena = arena
        self._records = records
        self._buffer = pa.py_buffer(arena.data)
        self._batch_of: Ints = np.repeat(np.arange(len(arena.count)), arena.count)
        self._above = -1  # delta of the last row that was read
        self._above_batch = -1  # and the batch it is in

    def rows(self, begin: int, end: int) -> pa.RecordBatch:
        """The rows from `begin` up to `end` (exclusive). Raises `Corrupt`."""
        data, at, length = self._arena.data, self._records.at[begin:end], self._records.length[begin:end]
        ends = at + length
        timestamp, at = read_varints(data, at + 1)  # a record's attributes are not used
        offset, at = read_varints(data, at)
        key_at, key_length = _read_field(data, at, ends)
        value_at, value_length = _read_field(data, key_at + np.maximum(key_length, 0), ends)
        headers = self._headers(value_at + np.maximum(value_length, 0), ends)
        batch_of = self._batch_of[begin:end]
        columns = [
            pa.array(self._offsets(offset, batch_of)),
            pa.array(self._timestamps(timestamp, batch_of)).view(TIMESTAMP_TYPE),
            _gather(self._buffer, key_at, key_length),
            _gather(self._buffer, value_at, value_length),
            headers,
        ]
        return pa.RecordBatch.from_arrays(columns, schema=RECORDS)

    def _offsets(self, delta: Ints, batch_of: Ints) -> Ints:
        above = np.empty_like(delta)
        above[0] = self._above if batch_of[0] == self._above_batch else -1
        above[1:] = np.where(batch_of[1:] == batch_of[:-1], delta[:-1], -1)
        base = self._arena.base_offset[batch_of]
        offset = base + delta  # wraps when it is beyond 64 bits
        if ((delta <= above) | (delta > self._arena.last_offset_delta[batch_of]) | (offset < base)).any():
            raise Corrupt("offsets do not ascend within the batch")
        self._above, self._above_batch = int(delta[-1]), int(batch_of[-1])
        return offset

    def _timestamps(self, delta: Ints, batch_of: Ints) -> Ints:
        timestamp = self._arena.base_timestamp[batch_of] + delta  # wraps at 64 bits, as it does in clients
        if self._arena.log_append_time.any():
            appended = self._arena.log_append_time[batch_of]
            timestamp = np.where(appended, self._arena.max_timestamp[batch_of], timestamp)
        return timestamp

    def _headers(self, at: Ints, ends: Ints) -> pa.Array:
        count, at = read_varints(self._arena.data, at)
        if ((count < 0) | (count > (ends - at) // SMALLEST_HEADER)).any():
            raise Corrupt("a record cannot hold as many headers as it says")
        rows: NDArray[np.intp] = np.flatnonzero(count)
        if len(rows) < len(count) and (at[count == 0] != ends[count == 0]).any():
            raise Corrupt("bytes are left in a record")
        fields = walk_fields(self._arena.data, at[rows], ends[rows], count[rows] * 2)
        names_at, names_length = fields.at[::2], fields.length[::2]
        if names_length.min(initial=0) < 0:
            raise Corrupt("a header has no name")
        names = _gather(self._buffer, names_at, names_length)
        values = _gather(self._buffer, fields.at[1::2], fields.length[1::2])
        offsets = np.zeros(len(count) + 1, np.int32)
        np.cumsum(count, out=offsets[1:])
        headers = pa.StructArray.from_arrays([names, values], fields=list(HEADER_TYPE))
        return pa.ListArray.from_arrays(pa.array(offsets), headers, type=RECORDS.field("headers").type)


def _read_field(data: Bytes, at: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """Positions and lengths (-1: null) of a field of each record."""
    length, at = read_varints(data, at)
    if length.min() < -1 or (np.maximum(length, 0) > ends - at).any():
        raise Corrupt("a field does not fit its record")
    return at, length


def _gather(data: pa.Buffer, at: Ints, length: Ints) -> pa.Array:
    """A binary array of the fields, whose positions ascend and lie below 2 GiB; a length of -1 is null.

    Fields and the gaps between them are taken for one binary array over all the bytes, of which Arrow takes every
    second entry.
    """
    count = len(at)
    if count == 0 or length.max() < 0:
        return pa.nulls(count, pa.binary())
    offsets = np.empty(2 * count + 1, np.int32)
    offsets[0:-1:2] = at
    offsets[1::2] = at + np.maximum(length, 0)
    offsets[-1] = offsets[-2]
    fields = pa.Array.from_buffers(pa.binary(), 2 * count, [None, pa.py_buffer(offsets), data])
    chosen = np.arange(0, 2 * count, 2, dtype=np.int32)
    nulls = length < 0
    return fields.take(pa.array(chosen, mask=nulls) if nulls.any() else pa.array(chosen))
