"""The newest offset of every key in a stretch of a partition, within a bounded number of bytes. Keys are exact.

Everything is done over whole arrays. A look-up makes its hash table anew each time, so it is asked for many keys at
once: about as many as the map holds.
"""

import pyarrow as pa
import pyarrow.compute as pc

MOST_BYTES = 1 << 30  # one Arrow array of keys holds less than 2 GiB
_ENTRY_BYTES = 24  # offset, place of the key, and a share of the hash table of a look-up
_SHARES = 4  # so many times less than the whole is gathered before it is folded into the map


class OffsetMap:
    """Filled in offset order by `add` until it is `full`, then asked."""

    def __init__(self, most_bytes: int) -> None:
        """`most_bytes`: what map and look-up take together; half of it is for the look-up's own copy of the keys."""
        self._most_bytes = min(most_bytes, MOST_BYTES) // 2
        self._map = _table(pa.array([], pa.binary()), pa.array([], pa.int64()))
        self._gathered: list[pa.Table] = []
        self._gathered_bytes = 0

    def __len__(self) -> int:
        """How many keys."""
        self._fold()
        return int(self._map.num_rows)

    def add(self, keys: pa.Array | pa.ChunkedArray, offsets: pa.Array | pa.ChunkedArray) -> None:
        """More records: binary keys (null ones are left out) and their int64 offsets, above all before."""
        rows = _table(keys, offsets).filter(pc.is_valid(keys))
        self._gathered.append(rows)
        self._gathered_bytes += _bytes(rows)
        if self._gathered_bytes * _SHARES > self._most_bytes:
            self._fold()

    @property
    def full(self) -> bool:
        """Whether no more should be added."""
        if _bytes(self._map) + self._gathered_bytes < self._most_bytes:
            return False
        self._fold()
        return bool(_bytes(self._map) >= self._most_bytes)

    def newest(self, keys: pa.Array | pa.ChunkedArray, offsets: pa.Array | pa.ChunkedArray) -> pa.ChunkedArray:
        """For each record whether it stays: it has a key, and the map knows no later record of that key."""
        self._fold()
        place = pc.index_in(keys, value_set=self._map["key"].combine_chunks())
        known = pc.take(self._map["offset"], place)
        stays = pc.fill_null(pc.greater_equal(offsets, known), True)
        return pc.and_(stays, pc.is_valid(keys))

    def _fold(self) -> None:
        if not self._gathered:
            return
        every = pa.concat_tables([self._map, *self._gathered]).combine_chunks()
        newest = every.group_by("key", use_threads=False).aggregate([("offset", "max")])
        self._map = _table(newest["key"], newest["offset_max"]).combine_chunks()
        self._gathered, self._gathered_bytes = [], 0


def _table(keys: pa.Array | pa.ChunkedArray, offsets: pa.Array | pa.ChunkedArray) -> pa.Table:
    return pa.table({"key": keys, "offset": offsets})


def _bytes(rows: pa.Table) -> int:
    return int(pc.sum(pc.binary_length(rows["key"])).as_py() or 0) + _ENTRY_BYTES * int(rows.num_rows)
