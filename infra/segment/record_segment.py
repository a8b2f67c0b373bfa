"""Writes a record segment to a local file: one partition, one row a record, as Parquet that every engine reads.

A row group is what one range GET brings to a fetch, so it is cut at about a given number of compressed bytes, by how
well the groups before it were compressed. For a thread: pyarrow encodes and compresses with the GIL released. Must not
know of stores, ledgers, or where its rows come from.
"""

from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from infra.cluster.manifest_record import RecordSegment, RowGroup
from infra.records.columns import RECORDS
from infra.segment.record_columns import stored_schema, to_stored
from infra.segment.record_footer import RecordCounts, SegmentFacts, record_footer_metadata
from infra.segment.record_seal import seal
from infra.store.port import Buffer

Int64s = npt.NDArray[np.int64]
ROW_GROUP_BYTES = 1 << 20
"""Compressed. Kafka's consumers ask a partition for 1 MiB at a time; smaller groups make more GETs and footer."""

MOST_ROWS = 1 << 16  # of a row group, however small they are
_FIRST_RATIO = 5.0  # raw to compressed, as JSON comes to
_GREATEST_RATIO = 16.0  # a reader unpacks a group at once, so its raw size has a bound
_FARTHEST_MS = (2**63 - 1) // 1000  # what microseconds can tell
_RATIO_GROUPS = 4  # how many groups the next one's ratio is taken from


class TimeOutOfReach(ValueError):
    """A record's time lies too far from 1970 for microseconds: write the segment with milliseconds."""


class RecordSegmentWriter:
    """One record segment in the making. Not for two threads at once."""

    def __init__(
        self,
        path: Path,
        facts: SegmentFacts,
        *,
        row_group_bytes: int = ROW_GROUP_BYTES,
        value_format: str = "bytes",
        microseconds: bool = False,
    ) -> None:
        """Begins the file, over another that lies there; `microseconds`: the unit of its timestamps, for tables.

        Raises `OSError`.
        """
        self._path = path
        self._facts = facts
        self._row_group_bytes = row_group_bytes
        self._value_format = value_format
        self._microseconds = microseconds
        schema = stored_schema(value_format, microseconds=microseconds)
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = pq.ParquetWriter(self._sink, schema, **parquet_options())
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = self._pending_bytes = 0
        self._groups: list[tuple[int, int, int]] = []  # offset of the last row, position, size
        self._ratios: deque[tuple[int, int]] = deque(maxlen=_RATIO_GROUPS)  # raw bytes, compressed bytes
        self._unreadable: list[bytes] = []
        self._records = self._bytes_in = 0
        self._first_offset: int | None = None
        self._last_offset = self._max_timestamp = -1

    @property
    def size(self) -> int:
        """Bytes of the file so far; what still waits for its row group is estimated."""
        return int(self._sink.tell()) + int(self._pending_bytes / self._ratio())

    @property
    def records(self) -> int:
        """Rows written so far."""
        return self._records

    def write(self, rows: pa.Table) -> None:
        """Append rows (RECORDS); their offsets ascend and lie above all before.

        Raises `ValueError`, `OSError`, and `TimeOutOfReach` when their times cannot be told in microseconds.
        """
        for batch in rows.cast(RECORDS).to_batches():
            if len(batch):
                self._check_and_count(batch)
                self._append(batch)

    def keep_unreadable(self, batches: Sequence[Buffer]) -> None:
        """Keep record batches that cannot be decoded: their bytes go into the footer, their offsets have no rows."""
        self._unreadable.extend(bytes(batch) for batch in batches)

    def close(self, key: str, base_offset: int, last_offset: int) -> RecordSegment:
        """Finish the file, which answers for all offsets from `base_offset` to `last_offset` (inclusive); it can be
        stored under `key` then. Raises `ValueError` when it has rows outside of them, `OSError`.
        """
        first = base_offset if self._first_offset is None else self._first_offset
        if not base_offset <= first <= max(self._last_offset, first) <= last_offset:
            raise ValueError(f"rows {first} to {self._last_offset} are not all within {base_offset} to {last_offset}")
        if self._pending:
            self._write_group()
        groups = self._row_groups(base_offset, last_offset)
        counts = RecordCounts(base_offset, last_offset, self._records, self._max_timestamp, self._bytes_in)
        self._writer.add_key_value_metadata(
            record_footer_metadata(self._facts, counts, self._value_format, groups, self._unreadable)
        )
        self._writer.close()
        self._sink.close()
        seal(self._path)
        return RecordSegment(
            key,
            base_offset,
            last_offset,
            self._records,
            self._path.stat().st_size,
            self._max_timestamp,
            groups,
            bytes_in=self._bytes_in,
            value_format=self._value_format,
        )

    def abandon(self) -> None:
        """Give it up, also after an error or `close`: the file is removed."""
        self._writer.is_open = False  # else its destructor would write a footer
        self._sink.close()
        self._path.unlink(missing_ok=True)

    def _check_and_count(self, batch: pa.RecordBatch) -> None:
        offsets: Int64s = batch["offset"].to_numpy()
        if offsets[0] <= self._last_offset or (offsets[1:] <= offsets[:-1]).any():
            raise ValueError(f"offsets from {offsets[0]} on do not ascend above {self._last_offset}")
        if self._first_offset is None:
            self._first_offset = int(offsets[0])
        self._last_offset = int(offsets[-1])
        times = pc.min_max(batch["timestamp"].cast(pa.int64())).as_py()
        if self._microseconds and not -_FARTHEST_MS <= times["min"] <= times["max"] <= _FARTHEST_MS:
            raise TimeOutOfReach(f"a timestamp at or after offset {offsets[0]} is too far off for microseconds")
        self._max_timestamp = max(self._max_timestamp, times["max"])
        self._records += len(batch)

    def _append(self, batch: pa.RecordBatch) -> None:
        ends = _raw_ends(batch)
        self._bytes_in += int(ends[-1])
        begin = 0
        while begin < len(batch):
            target = self._row_group_bytes * self._ratio()
            done = int(ends[begin - 1]) if begin else 0
            end = int(np.searchsorted(ends, done + target - self._pending_bytes)) + 1
            end = min(end, begin + MOST_ROWS - self._pending_rows, len(batch))
            self._pending.append(batch.slice(begin, end - begin))
            self._pending_rows += end - begin
            self._pending_bytes += int(ends[end - 1]) - done
            if self._pending_bytes >= target or self._pending_rows >= MOST_ROWS:
                self._write_group()
            begin = end

    def _write_group(self) -> None:
        rows = pa.Table.from_batches(self._pending, RECORDS)
        position = self._sink.tell()
        number = self._facts.partition.partition
        stored = to_stored(rows, number, self._value_format, microseconds=self._microseconds)
        self._writer.write_table(stored, row_group_size=len(rows))
        size = self._sink.tell() - position
        self._groups.append((rows["offset"][-1].as_py(), position, size))
        self._ratios.append((self._pending_bytes, size))
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0

    def _ratio(self) -> float:
        if not self._ratios:
            return _FIRST_RATIO
        raw, compressed = sum(raw for raw, _ in self._ratios), sum(size for _, size in self._ratios)
        return min(_GREATEST_RATIO, max(1.0, raw / compressed))

    def _row_groups(self, base_offset: int, last_offset: int) -> tuple[RowGroup, ...]:
        """A group answers for the gap before it too, and the last one for what follows."""
        groups = []
        begin = base_offset
        for number, (end, position, size) in enumerate(self._groups):
            last = last_offset if number == len(self._groups) - 1 else end
            groups.append(RowGroup(begin, last, position, size))
            begin = last + 1
        return tuple(groups)


def parquet_options() -> dict[str, object]:
    """How pyarrow is to write a segment."""
    return {
        "compression": "zstd",
        "compression_level": 1,  # measured: 2 to 4 are slower and no smaller
        "use_dictionary": False,
        "column_encoding": dict.fromkeys(("partition", "offset", "timestamp"), "DELTA_BINARY_PACKED"),
        "write_statistics": ["partition", "offset", "timestamp", "key"],
        "write_page_index": True,
        "write_page_checksum": True,
        "sorting_columns": [pq.SortingColumn(1)],
        "store_schema": False,  # readers are to see plain binary
    }


def _raw_ends(batch: pa.RecordBatch) -> Int64s:
    """How many bytes the keys, values and headers have up to and with each row."""
    ends = _lengths(batch["key"]) + _lengths(batch["value"])
    headers = batch["headers"]
    if len(headers.flatten()):
        each = np.concatenate([[0], np.cumsum(_lengths(headers.values.field(0)) + _lengths(headers.values.field(1)))])
        bounds = headers.offsets.to_numpy()
        ends = ends + each[bounds[1:]] - each[bounds[:-1]]
    return np.cumsum(ends, dtype=np.int64)


def _lengths(values: pa.Array) -> Int64s:
    lengths: Int64s = pc.fill_null(pc.binary_length(values), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return lengths
