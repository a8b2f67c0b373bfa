"""`python -m bench.compaction`: extents to record segments on one core, against writing that Parquet alone.

The executor runs as in a compactor process, on a folder bucket, in a process pinned to one core; records are JSON of
about 1 KiB (`--small`: card transactions of about 200 bytes). Each round compacts all of it, writes the same rows,
already in Arrow, with pyarrow alone and as record segments, and decodes the same batches alone, one after another. The
table has medians of MB (keys and values) for each second of this process's CPU, and of the ratios within rounds.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.case import MB
from bench.extents import Batching, as_batches, write_extents
from bench.orders import as_records, orders
from bench.transactions import transactions
from compactor.compaction import Compaction
from compactor.footers import Footers
from compactor.meter import Meter
from compactor.partition import PartitionWork
from compactor.planner import MOST_SEGMENT_BYTES
from compactor.plans import CompactExtents
from compactor.replace import Replacer
from compactor.segment_output import Bench
from infra.clock import SYSTEM_CLOCK
from infra.cluster.manifest import Manifest, ManifestLedger
from infra.cluster.manifest_record import RecordSegment
from infra.cluster.state import Topic
from infra.partition import PartitionId
from infra.records.batch import HEADER_BYTES
from infra.records.columns import RECORDS
from infra.records.compression import LZ4, NAMES, NONE, ZSTD
from infra.records.decode_columns import decode_columns
from infra.segment.record_footer import SegmentFacts
from infra.segment.record_segment import RecordSegmentWriter, parquet_options
from infra.store.folder import FolderStore
from infra.store.memory import MemoryObjectStore
from infra.topic_config import topic_settings
from infra.view.memory import MemoryView
from infra.view.memory_server import MemoryServer
from infra.view.port import PublishedPartition

_PARTITION = PartitionId(UUID(int=1), 0)
_TOPIC = Topic(_PARTITION.topic_id, "bench", 1, {}, 0)
_CASES = (Batching(100_000, NONE), Batching(100_000, LZ4), Batching(100_000, ZSTD), Batching(1_000_000, LZ4))
_DECODED_AT_ONCE = 4 << 20  # as the compactor does
_STORED_BATCH_BYTES = (100_000, 4_000)
_STORED_ROWS = 1 << 16
_HEAD = (
    "| producers' batches | compaction MB/s | k records/s | of pyarrow alone | pyarrow alone MB/s "
    "| segment writer MB/s | decode MB/s |\n|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True, slots=True)
class Seconds:
    """CPU of one round."""

    compaction: float
    alone: float
    segments: float
    decode: float


class Case:
    """The records as one kind of producer sends them, in a bucket of its own."""

    def __init__(self, folder: Path, rows: Sequence[pa.Table]) -> None:
        self._folder = folder
        self._rows = rows
        self._store = FolderStore(folder / "bucket")
        self.made: tuple[RecordSegment, ...] = ()

    async def run(self, batching: Batching, rounds: int) -> list[Seconds]:
        """All rounds."""
        published = await write_extents(self._store, _PARTITION, self._rows, batching)
        batches = [batch for table in self._rows for batch in as_batches(table, batching)]
        measured = []
        for _ in range(rounds):
            began = time.process_time()
            self.made = await self._compact(published)
            compaction = time.process_time() - began
            await self._store.delete([segment.key for segment in self.made])
            alone, segments = _cpu_of(self._write_alone), _cpu_of(self._write_segment)
            measured.append(Seconds(compaction, alone, segments, _cpu_of(_decode, batches)))
        await self._store.delete([extent.segment for extent in published.extents])
        await self._store.close()
        return measured

    async def _compact(self, published: PublishedPartition) -> tuple[RecordSegment, ...]:
        view = MemoryView(MemoryServer(SYSTEM_CLOCK))
        await view.use("bench")
        view.server.state.incarnation = "bench"
        work = PartitionWork(_PARTITION, _TOPIC, topic_settings({}, {}, "object"), Manifest(), published)
        whole = CompactExtents(0, published.end_offset - 1, published.extents, MOST_SEGMENT_BYTES)
        with ThreadPoolExecutor(1) as threads:
            bench = Bench(self._store, self._folder, SYSTEM_CLOCK, threads, asyncio.Semaphore(1))
            replacer = Replacer(ManifestLedger(MemoryObjectStore()), view)
            footers = Footers(self._store, 32 << 20)
            compaction = Compaction(bench, replacer, footers, Meter(), "bench", producer_expiration_ms=86_400_000)
            after = await compaction.run(whole, work)
        assert after is not None
        assert sum(segment.records for segment in after.segments) == sum(map(len, self._rows))
        return after.segments

    def _write_alone(self) -> None:
        """The same row groups with pyarrow's writer and nothing else."""
        ends = [group.last_offset + 1 for segment in self.made for group in segment.row_groups]
        rows = pa.concat_tables(self._rows)
        with pq.ParquetWriter(self._folder / "alone", RECORDS, **parquet_options()) as writer:
            for begin, end in zip([0, *ends], ends, strict=False):
                writer.write_table(rows.slice(begin, end - begin), row_group_size=end - begin)

    def _write_segment(self) -> None:
        facts = SegmentFacts("bench", "bench", _PARTITION, ())
        writer = RecordSegmentWriter(self._folder / "segment", facts)
        for table in self._rows:
            writer.write(table)
        writer.close("segment", 0, sum(map(len, self._rows)) - 1)


def _cpu_of(work: object, *arguments: object) -> float:
    assert callable(work)
    began = time.process_time()
    work(*arguments)
    return time.process_time() - began


def _decode(batches: Sequence[bytes]) -> None:
    piece: list[bytes] = []
    size = 0
    for batch in batches:
        piece.append(batch)
        size += len(batch)
        if size >= _DECODED_AT_ONCE:
            decode_columns(piece)
            piece, size = [], 0
    decode_columns(piece)


def _stored(rows: pa.Table, batch_bytes: int) -> int:
    """Bytes of the rows as zstd-3 record batches."""
    codec = pa.Codec("zstd", 3)
    batches = as_batches(rows, Batching(batch_bytes, NONE))
    return sum(HEADER_BYTES + len(codec.compress(memoryview(batch)[HEADER_BYTES:], asbytes=True)) for batch in batches)


def _row(batching: Batching, raw: int, records: int, measured: Sequence[Seconds]) -> str:
    def rate(name: str) -> str:
        return f"{raw / MB / statistics.median(getattr(one, name) for one in measured):.0f}"

    seconds = statistics.median(one.compaction for one in measured)
    share = statistics.median(one.alone / one.compaction for one in measured)
    return (
        f"| {batching.batch_bytes // 1000} KB, {NAMES[batching.codec]} | {rate('compaction')} "
        f"| {records / 1000 / seconds:.0f} | {share:.2f} | {rate('alone')} | {rate('segments')} | {rate('decode')} |"
    )


def main() -> None:
    """Print the table, and what is stored against what producers' batches take."""
    parser = argparse.ArgumentParser(prog="python -m bench.compaction", description=__doc__)
    parser.add_argument("--mib", type=int, default=128, help="of records")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="records of about 200 bytes")
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    count = (options.mib << 20) // (191 if options.small else 1014)
    rows = [as_records(table) for table in transactions(1, 0, count)] if options.small else list(orders(1, 0, count))
    raw = sum(pc.sum(pc.binary_length(table[name])).as_py() for table in rows for name in ("key", "value"))
    print(
        f"{count:,} records of {raw / count:.0f} bytes of key and value; medians of {options.rounds} rounds\n\n{_HEAD}"
    )
    made: tuple[RecordSegment, ...] = ()
    for batching in _CASES:
        with tempfile.TemporaryDirectory(prefix="cauce-bench-") as folder:
            case = Case(Path(folder), rows)
            print(_row(batching, raw, count, asyncio.run(case.run(batching, options.rounds))), flush=True)
            made = case.made
    sample = rows[0].slice(0, _STORED_ROWS)
    size = sum(group.size for segment in made for group in segment.row_groups) * len(sample) / count
    shares = [
        f"{size / _stored(sample, each):.3f} of zstd-3 batches of {each // 1000} KB" for each in _STORED_BATCH_BYTES
    ]
    print(f"\nstored: {', '.join(shares)}; 1 byte for {raw / sum(one.size for one in made):.2f}")


if __name__ == "__main__":
    main()
