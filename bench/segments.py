"""`python -m bench.segments`: writes and reads record segments of JSON transactions; prints Markdown tables.

python -m bench.segments                          256 Ki records, the median of 5 rounds, seconds of CPU of one thread
python -m bench.segments --records 65536 --rounds 3
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.case import MB
from bench.transactions import transactions
from infra.cluster.manifest_record import RecordSegment
from infra.partition import PartitionId
from infra.records.batch import HEADER_BYTES
from infra.records.columns import HEADER_TYPE, RECORDS
from infra.records.encode import encode_batch
from infra.records.record import Record
from infra.segment.record_columns import VALUE_FORMATS
from infra.segment.record_footer import RecordFooter, SegmentFacts, parse_record_footer
from infra.segment.record_rows import narrow_row_group, read_rows
from infra.segment.record_segment import RecordSegmentWriter

Result = TypeVar("Result")

_FACTS = SegmentFacts("bench", "transactions", PartitionId(UUID(int=1), 0))
_SEED = 1
_PRODUCER_LEVEL = 3  # zstd's and Kafka's default
_BATCH_BYTES = (4_000, 100_000)  # of records, uncompressed: batch.size of librdkafka
_WRITE_ROWS = 1 << 14
_SMALL_COLUMNS = ["offset", "timestamp", "key"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Write and read record segments of JSON transactions.")
    parser.add_argument("--records", type=int, default=1 << 18)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rows = _rows(arguments.records)
    raw = sum(pc.sum(pc.binary_length(rows[name])).as_py() for name in ("key", "value"))
    print(f"{len(rows)} records of {raw / len(rows):.0f} bytes of key and value\n")
    batches = {size: _stored_as_batches(rows, size) for size in _BATCH_BYTES}
    titles = [f"of zstd-{_PRODUCER_LEVEL} batches of {size // 1000} KB" for size in _BATCH_BYTES]
    print(f"| segment | write MB/s | read MB/s | {', '.join(_SMALL_COLUMNS)} MB/s | ratio | {' | '.join(titles)} |")
    print(f"|{'---|' * (5 + len(titles))}")
    with tempfile.TemporaryDirectory(prefix="cauce-bench-") as folder:
        path = Path(folder) / "segment"
        for value_format in VALUE_FORMATS:
            seconds, segment = _median(arguments.rounds, partial(_write, path, rows, value_format))
            found = _Found(segment, path.read_bytes())
            read, _ = _median(arguments.rounds, found.read_all)
            small, _ = _median(arguments.rounds, found.read_small)
            shares = " | ".join(f"{segment.size / stored:.3f}" for stored in batches.values())
            print(
                f"| {value_format} | {raw / MB / seconds:.0f} | {raw / MB / read:.0f} | {raw / MB / small:.0f} "
                f"| {raw / segment.size:.2f} | {shares} |",
                flush=True,
            )
        alone, _ = _median(arguments.rounds, partial(pq.write_table, rows, path, **_PLAIN))
        print(f"\npq.write_table of the same rows with zstd 1 and without a dictionary: {raw / MB / alone:.0f} MB/s")


def _rows(count: int) -> pa.Table:
    rows = pa.concat_tables(transactions(_SEED, 0, count)).combine_chunks()
    headers = pa.ListArray.from_arrays(np.zeros(len(rows) + 1, np.int32), pa.array([], HEADER_TYPE))
    return rows.append_column("headers", headers).cast(RECORDS)


_PLAIN = {"compression": "zstd", "compression_level": 1, "use_dictionary": False, "row_group_size": _WRITE_ROWS}


class _Found:
    """A segment in memory, as range GETs bring it."""

    def __init__(self, segment: RecordSegment, body: bytes) -> None:
        self._segment = segment
        self._footer: RecordFooter = parse_record_footer(segment.key, body)
        groups = segment.row_groups
        self._groups = [(group, body[group.position : group.position + group.size]) for group in groups]
        parts = [narrow_row_group(self._footer, number, _SMALL_COLUMNS) for number in range(len(groups))]
        self._parts = [(part, body[part.position : part.position + part.size]) for part in parts]

    def read_all(self) -> None:
        """Every row group, all columns."""
        for number, (group, data) in enumerate(self._groups):
            read_rows(self._footer, number, group, data)

    def read_small(self) -> None:
        """Every row group without values and headers."""
        for number, (part, data) in enumerate(self._parts):
            read_rows(self._footer, number, part, data, _SMALL_COLUMNS)


def _write(path: Path, rows: pa.Table, value_format: str) -> RecordSegment:
    writer = RecordSegmentWriter(path, _FACTS, value_format=value_format)
    for begin in range(0, len(rows), _WRITE_ROWS):
        writer.write(rows.slice(begin, _WRITE_ROWS))
    return writer.close("segment", 0, len(rows) - 1)


def _median(rounds: int, work: Callable[[], Result]) -> tuple[float, Result]:
    """Median seconds of this thread's CPU, and the last result."""
    seconds = []
    for _ in range(rounds):
        began = time.thread_time()
        result = work()
        seconds.append(time.thread_time() - began)
    return statistics.median(seconds), result


def _stored_as_batches(rows: pa.Table, batch_bytes: int) -> int:
    """Bytes of the same records as a producer's compressed record batches."""
    codec = pa.Codec("zstd", _PRODUCER_LEVEL)
    stored = 0
    for records in _cut(rows, batch_bytes):
        body = bytes(encode_batch(records)[HEADER_BYTES:])
        stored += HEADER_BYTES + len(codec.compress(body, asbytes=True))
    return stored


def _cut(rows: pa.Table, batch_bytes: int) -> Iterator[list[Record]]:
    timestamps = rows["timestamp"].cast(pa.int64()).to_pylist()
    columns = (rows["offset"].to_pylist(), timestamps, rows["key"].to_pylist(), rows["value"].to_pylist())
    records: list[Record] = []
    size = 0
    for offset, timestamp, key, value in zip(*columns, strict=True):
        records.append(Record(offset, timestamp, key, value))
        size += len(key) + len(value)
        if size >= batch_bytes:
            yield records
            records, size = [], 0
    if records:
        yield records


if __name__ == "__main__":
    main()
