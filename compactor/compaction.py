"""Carries out a plan: reads, decodes and writes, PUTs what it made, and replaces.

Read, work and send go on side by side, each a few MiB behind the other, so memory does not grow with the topic: a run
holds two loads of 8 MiB (or of one record batch, when that is larger), one piece of 4 MiB decoded, and one row group
that waits to be written; a finished file is sent while the next one is written. All runs of a process share one thread
for decoding and writing. Whatever ends a run leaves the manifest as it was: what was PUT is
garbage then.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing

import pyarrow as pa
import pyarrow.compute as pc

from compactor.aborted import AbortedBatches
from compactor.ahead import ahead
from compactor.extent_loads import ExtentLoads, Piece
from compactor.footers import Footers
from compactor.merge_loads import GroupLoad, read_segments
from compactor.meter import Meter
from compactor.partition import PartitionWork
from compactor.plans import CompactExtents, CompactionPlan, MergeSegments
from compactor.producers import fold_producers, untold_extents
from compactor.replace import Replacer
from compactor.segment_output import Bench, SegmentOutput
from infra.cluster.manifest import Manifest
from infra.cluster.manifest_record import ManifestRecord, RecordSegment
from infra.errors import Corrupt, NotFound
from infra.records.batch import BatchHeader
from infra.records.columns import RECORDS
from infra.records.decode_columns import decode_columns, split_readable
from infra.segment.extent import FlushedExtent, ProducerEntry
from infra.segment.record_footer import SegmentFacts
from infra.segment.record_rows import read_rows
from infra.segment.record_segment import TimeOutOfReach
from infra.table_config import ICEBERG

log = logging.getLogger(__name__)

_MOST_SOURCES = 64  # a footer names what its segment was made of, unless that would be long


class Compaction:
    """Runs plans; one for a process. Several may run at a time, of different partitions."""

    def __init__(
        self,
        bench: Bench,
        replacer: Replacer,
        footers: Footers,
        meter: Meter,
        cluster_id: str,
        *,
        producer_expiration_ms: int,
    ) -> None:
        self._bench = bench
        self._replacer = replacer
        self._footers = footers
        self._meter = meter
        self._cluster_id = cluster_id
        self._producer_expiration_ms = producer_expiration_ms

    async def run(self, plan: CompactionPlan, work: PartitionWork) -> Manifest | None:
        """Carry out a plan that was made on `work`. The manifest after it; None when another compactor was faster.

        Raises `Corrupt` and `NotFound` for a bucket that is not what it should be, `Unavailable`, `OSError` (disk).
        """
        begun = self._bench.clock.monotonic()
        try:
            record = await self._rewrite(plan, work)
        except NotFound as error:
            return await self._give_up(work, error)
        after = await self._replacer.replace(work.partition, work.manifest, record)
        self._meter.add("seconds", self._bench.clock.monotonic() - begun)
        if after is None:
            self._meter.add("lost_runs")
            return None
        self._count(plan, record.added)
        log.info(
            "%s: version %d has offsets %d to %d in %d record segments of %d bytes, made of %d bytes",
            work,
            after.version,
            record.added[0].base_offset,
            record.added[-1].last_offset,
            len(record.added),
            sum(one.size for one in record.added),
            plan.size,
        )
        return after

    async def _rewrite(self, plan: CompactionPlan, work: PartitionWork) -> ManifestRecord:
        """Segments that a table refers to have microseconds, unless a record's time is beyond what those can tell."""
        if work.settings.table == ICEBERG:
            try:
                return await self._rewrite_in(plan, work, microseconds=True)
            except TimeOutOfReach as error:
                log.info("%s: %s; its record segments have milliseconds", work, error)
        return await self._rewrite_in(plan, work, microseconds=False)

    async def _rewrite_in(self, plan: CompactionPlan, work: PartitionWork, *, microseconds: bool) -> ManifestRecord:
        if isinstance(plan, CompactExtents):
            return await self._compact(plan, work, microseconds)
        return await self._merge(plan, work, microseconds)

    # extents

    async def _compact(self, plan: CompactExtents, work: PartitionWork, microseconds: bool) -> ManifestRecord:
        loads = ExtentLoads(self._bench.store, self._footers, plan.extents, plan.base_offset)
        sources = tuple(dict.fromkeys(extent.segment for extent in plan.extents))
        output = self._output(work, sources, plan.base_offset, 0, microseconds=microseconds)
        aborted = AbortedBatches(plan.aborted)
        try:
            async with aclosing(ahead(loads.read())) as stream:
                async for load in stream:
                    for piece in load:
                        size = await self._on_thread(
                            self._write_piece, output, piece, aborted, plan.base_offset, str(work)
                        )
                        if size >= plan.target_bytes:
                            await output.cut(piece.last_offset)
            if output.base_offset <= plan.last_offset:
                await output.cut(plan.last_offset)
            added = await output.finish()
        finally:
            await output.abandon()
        producers = await self._producers(work, loads.flushed)
        return ManifestRecord(
            work.manifest.log_start_offset, added=added, producers=producers, producers_upto=plan.last_offset + 1
        )

    def _write_piece(
        self, output: SegmentOutput, piece: Piece, aborted: AbortedBatches, base_offset: int, name: str
    ) -> int:
        rows, undecodable = _decode(aborted.without(piece.batches))
        if len(rows) and rows["offset"][0].as_py() < base_offset:
            rows = rows.filter(pc.greater_equal(rows["offset"], base_offset))
        unreadable = [*piece.damaged, *undecodable]
        for offset, batch in unreadable:
            log.error(
                "%s: the record batch at offset %d (%d bytes) cannot be decoded; it is kept as it is, and its records "
                "are left out of the record segment",
                name,
                offset,
                len(batch),
            )
        self._meter.add("unreadable_batches", len(unreadable))
        return output.write(rows, [batch for _, batch in unreadable])

    async def _producers(self, work: PartitionWork, taken: Sequence[FlushedExtent]) -> tuple[ProducerEntry, ...]:
        untold = untold_extents(work.manifest, work.published)
        known = [flushed for flushed, _ in [await self._footers.extent(extent) for extent in untold]]
        expired_before_ms = self._bench.clock.now_ms() - self._producer_expiration_ms
        return fold_producers(work.manifest, work.published, known, taken, expired_before_ms)

    # record segments

    async def _merge(self, plan: MergeSegments, work: PartitionWork, microseconds: bool) -> ManifestRecord:
        segments = plan.segments
        rewrites = max(one.rewrites for one in segments) + 1
        keys = tuple(one.key for one in segments)
        output = self._output(
            work, keys, segments[0].base_offset, rewrites, segments[0].value_format, microseconds=microseconds
        )
        try:
            async with aclosing(ahead(read_segments(self._bench.store, segments))) as stream:
                async for load in stream:
                    await self._on_thread(_write_groups, output, load)
            await output.cut(segments[-1].last_offset, max(one.cleaned_ms for one in segments))
            added = await output.finish()
        finally:
            await output.abandon()
        return ManifestRecord(work.manifest.log_start_offset, added=added, removed=keys)

    # both

    def _output(
        self,
        work: PartitionWork,
        sources: tuple[str, ...],
        base_offset: int,
        rewrites: int,
        value_format: str = "",
        *,
        microseconds: bool,
    ) -> SegmentOutput:
        named = sources if len(sources) <= _MOST_SOURCES else ()
        facts = SegmentFacts(self._cluster_id, work.topic.name, work.partition, named)
        return SegmentOutput(
            self._bench,
            facts,
            base_offset=base_offset,
            value_format=value_format or _value_format(work),
            rewrites=rewrites,
            microseconds=microseconds,
        )

    async def _on_thread(self, call: Callable[..., int], *arguments: object) -> int:
        return await asyncio.get_running_loop().run_in_executor(self._bench.threads, call, *arguments)

    async def _give_up(self, work: PartitionWork, error: NotFound) -> Manifest | None:
        """An input is gone: right when another compactor has replaced it, wrong when the manifest still needs it."""
        newest = await self._replacer.read(work.partition)
        if newest.version == work.manifest.version:
            raise error
        log.info("%s: gave up, version %d has replaced what was to be read (%s)", work, newest.version, error)
        self._meter.add("lost_runs")
        return None

    def _count(self, plan: CompactionPlan, added: Sequence[RecordSegment]) -> None:
        written = sum(one.size for one in added)
        if isinstance(plan, CompactExtents):
            self._meter.add("bytes_in", plan.size)
            self._meter.add("bytes_first_written", written)
        self._meter.add("bytes_out", written)
        self._meter.add("records", sum(one.records for one in added))
        self._meter.ran(self._bench.clock.now_ms())


def _decode(batches: Sequence[memoryview]) -> tuple[pa.Table, list[tuple[int, memoryview]]]:
    """Rows of the batches that can be decoded, and the others with their base offsets."""
    try:
        return decode_columns(batches), []
    except Corrupt:
        good, bad = split_readable(batches)
        undecodable = [(BatchHeader.parse(batch).base_offset, memoryview(batch)) for batch in bad]
        return decode_columns(good), undecodable


def _write_groups(output: SegmentOutput, load: GroupLoad) -> int:
    if load.first == 0:
        output.write(RECORDS.empty_table(), load.footer.unreadable)
    return max([output.write(read_rows(load.footer, *part), ()) for part in load.parts()], default=0)


def _value_format(work: PartitionWork) -> str:
    """Fixed once a record segment exists: whoever reads the topic's files expects one schema."""
    return work.manifest.segments[-1].value_format if work.manifest.segments else work.settings.value_format
