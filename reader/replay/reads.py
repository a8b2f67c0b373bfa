"""Carries out the plan of one partition: reads that are under way, in the order in which they are to be delivered."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from infra.cluster.manifest import Manifest
from infra.cluster.manifest_record import RowGroup
from infra.partition import PartitionId
from infra.records.columns import RECORDS
from infra.records.decode_columns import decode_columns
from infra.segment.record_footer import RecordFooter
from infra.segment.record_rows import read_rows
from infra.store.port import Buffer
from reader.replay.bucket import Bucket
from reader.replay.budget import ByteBudget
from reader.replay.chunks import StoredChunks
from reader.replay.hot import HotSource
from reader.replay.plan import FetchPiece, SegmentPiece, Span, groups_of, plan_span
from reader.replay.prune import Pruner, facts_of
from reader.replay.selection import Selection


class Read(NamedTuple):
    """Rows under way. With them everything of the partition below `next_offset` has been delivered."""

    partition: int
    next_offset: int
    weight: int  # bytes taken from the budget
    rows: "asyncio.Future[pa.RecordBatch]"


@dataclass(frozen=True, kw_only=True)
class Reads:
    """Starts reads for one selection."""

    bucket: Bucket
    hot: HotSource
    selection: Selection
    threads: Executor
    start_ms: int | None = None  # the selection passes nothing older than that
    hot_bytes: int = 32 << 20  # what a leader's answer counts for: 16 MiB, and as much once decoded

    async def of(
        self, partition: PartitionId, span: Span, manifest: Manifest, budget: ByteBudget
    ) -> AsyncIterator[Read]:
        """Reads of all of the span; each waits for its bytes of the budget.

        Raises, as the reads do, `NotFound` when the manifest is no longer true, `Corrupt`, `Unavailable`.
        """
        pieces = plan_span(manifest, span, self.start_ms)
        reached = span.start
        for piece, following in zip(pieces, [*pieces[1:], None], strict=False):
            if isinstance(following, SegmentPiece):
                self.bucket.expect(following.segment)
            if isinstance(piece, SegmentPiece):
                reads = self._of_segment(partition.partition, piece, budget)
            else:
                reads = self._of_leader(partition.partition, piece, budget)
            async for read in reads:
                reached = read.next_offset
                yield read
        if reached < span.end:  # the rest holds nothing that is asked for
            yield Read(partition.partition, span.end, 0, _done(self.selection.nothing()))

    async def _of_segment(self, partition: int, piece: SegmentPiece, budget: ByteBudget) -> AsyncIterator[Read]:
        footer = await self.bucket.footer(piece.segment)
        groups = list(groups_of(piece))
        kept: Sequence[int] = range(len(groups))
        if self.selection.filter is not None:
            facts = [facts_of(group, number, footer.metadata) for number, group in groups]
            kept = Pruner(self.selection.schema, self.selection.filter).kept(partition, facts)
        for at in kept:
            number, group = groups[at]
            chunks = StoredChunks.of(footer, number, group, self._columns(group, piece.span))
            await budget.take(chunks.weight)
            work = self._read_group(partition, piece, footer, number, chunks)
            next_offset = min(group.last_offset + 1, piece.span.end)
            yield Read(partition, next_offset, chunks.weight, asyncio.ensure_future(work))

    def _columns(self, group: RowGroup, span: Span) -> tuple[str, ...]:
        """What has to be read of a group: offsets also where only part of it is asked for."""
        whole = span.start <= group.base_offset and group.last_offset < span.end
        stored = self.selection.stored
        return stored if whole or "offset" in stored else ("offset", *stored)

    async def _read_group(
        self, partition: int, piece: SegmentPiece, footer: RecordFooter, number: int, chunks: StoredChunks
    ) -> pa.RecordBatch:
        if not chunks.columns:  # only how many records there are
            return self.selection.count(chunks.records, partition)
        data = await self.bucket.stretch(piece.segment.key, chunks.group.position, chunks.group.size)

        def decode() -> pa.RecordBatch:
            first = self.selection.filtered
            if first and len(first) < len(chunks.columns):
                tested = read_rows(footer, number, chunks.group, data, first)
                if not self.selection.passes(tested, partition):
                    return self.selection.nothing()
            rows = read_rows(footer, number, chunks.group, data, chunks.columns)
            return self.selection.apply(rows, partition, piece.span)

        return await self._in_thread(decode)

    async def _of_leader(self, partition: int, piece: FetchPiece, budget: ByteBudget) -> AsyncIterator[Read]:
        position = piece.span.start
        while position < piece.span.end:
            await budget.take(self.hot_bytes)
            fetched = await self.hot.fetch(partition, position)
            position = fetched.next_offset
            work = self._decode(partition, piece.span, fetched.batches)
            yield Read(partition, min(position, piece.span.end), self.hot_bytes, asyncio.ensure_future(work))

    async def _decode(self, partition: int, span: Span, batches: Sequence[Buffer]) -> pa.RecordBatch:
        def decode() -> pa.RecordBatch:
            rows = decode_columns(batches) if batches else RECORDS.empty_table()
            return self.selection.apply(rows, partition, span)

        return await self._in_thread(decode)

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.threads, work)


def _done(rows: pa.RecordBatch) -> "asyncio.Future[pa.RecordBatch]":
    future: asyncio.Future[pa.RecordBatch] = asyncio.get_running_loop().create_future()
    future.set_result(rows)
    return future
