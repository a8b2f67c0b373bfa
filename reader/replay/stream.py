"""The records of a topic as a stream of Arrow batches, partition by partition, each in the order of offsets.

Row groups are read and decoded side by side, several ahead of the reader, within a budget of bytes. Objects that a plan
names can go while it is carried out (compaction replaces them, retention passes them): then what is left of the
partition is planned anew from the position that was reached, so that nothing is lost and nothing comes twice.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from uuid import UUID

import pyarrow as pa

from infra.cluster.manifest import Manifest, ManifestLedger
from infra.errors import NotFound, Unavailable
from infra.partition import PartitionId
from reader.replay.bucket import Bucket
from reader.replay.budget import ByteBudget
from reader.replay.hot import HotSource
from reader.replay.plan import Span
from reader.replay.reads import Read, Reads
from reader.replay.selection import Selection

AHEAD_BYTES = 128 << 20
"""What may be read ahead of the reader, compressed and decoded together."""

_MOST_PLANS = 10  # without any progress between
_PAUSE_SECONDS = 0.2
_MANIFESTS_AHEAD = 8
_MOST_THREADS = 8


class Delivered(NamedTuple):
    """Rows of one partition, perhaps none: all that was asked for below `next_offset` has been delivered with them."""

    partition: int
    next_offset: int
    rows: pa.RecordBatch


class ReplayStream:
    """One stream; run `batches` once."""

    def __init__(
        self,
        topic_id: UUID,
        spans: Mapping[int, Span],
        bucket: Bucket,
        hot: HotSource,
        selection: Selection,
        *,
        start_ms: int | None = None,
        ahead_bytes: int = AHEAD_BYTES,
    ) -> None:
        """`spans`: what is asked for of each partition. `start_ms`: the selection passes nothing older than that."""
        self._topic_id = topic_id
        self._left = {partition: span for partition, span in sorted(spans.items()) if span}
        self._ahead_bytes = ahead_bytes
        self._manifests = ManifestLedger(bucket.store)
        self._threads = ThreadPoolExecutor(min(_MOST_THREADS, _cores()), thread_name_prefix="replay")
        self._reads = Reads(bucket=bucket, hot=hot, selection=selection, threads=self._threads, start_ms=start_ms)

    async def batches(self) -> AsyncGenerator[Delivered, None]:
        """All of it. Raises `Unavailable`, `Corrupt` (naming the object), `Refused`, `BadStart`."""
        try:
            async with contextlib.aclosing(self._delivered()) as delivered:
                async for one in delivered:
                    yield one
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _delivered(self) -> AsyncGenerator[Delivered, None]:
        plans = 0
        while self._left:
            budget = ByteBudget(self._ahead_bytes)
            reads: asyncio.Queue[Read] = asyncio.Queue()
            filler = asyncio.create_task(self._fill(reads, budget))
            try:
                while self._left:
                    read = await reads.get()
                    rows = await read.rows
                    budget.give(read.weight)
                    plans = 0
                    self._advance(read)
                    yield Delivered(read.partition, read.next_offset, rows)
            except NotFound as gone:
                plans += 1
                if plans == _MOST_PLANS:
                    raise Unavailable(
                        f"{gone.message}, though the manifest names it; see `cauce bucket check`"
                    ) from gone
                await asyncio.sleep(plans * _PAUSE_SECONDS)
            finally:
                await _drop(filler, reads)

    def _advance(self, read: Read) -> None:
        left = Span(read.next_offset, self._left[read.partition].end)
        if left:
            self._left[read.partition] = left
        else:
            del self._left[read.partition]

    async def _fill(self, reads: "asyncio.Queue[Read]", budget: ByteBudget) -> None:
        """Start reads as far ahead as the budget allows. What fails here is told in its place of the order."""
        async for partition, span, manifest in self._planned():
            try:
                async for read in self._reads.of(partition, span, await manifest, budget):
                    reads.put_nowait(read)
            except Exception as error:  # noqa: BLE001 - whatever it is, the one who waits for the rows must hear of it
                failed: asyncio.Future[pa.RecordBatch] = asyncio.get_running_loop().create_future()
                failed.set_exception(error)
                reads.put_nowait(Read(partition.partition, span.start, 0, failed))
                return

    async def _planned(self) -> "AsyncIterator[tuple[PartitionId, Span, asyncio.Task[Manifest]]]":
        """What is left, with manifests that are being read."""
        left = [(PartitionId(self._topic_id, partition), span) for partition, span in self._left.items()]
        tasks: list[asyncio.Task[Manifest]] = []
        try:
            for number, (partition, span) in enumerate(left):
                for ahead, _ in left[len(tasks) : number + _MANIFESTS_AHEAD]:
                    tasks.append(asyncio.create_task(self._manifests.read(ahead)))
                yield partition, span, tasks[number]
        finally:
            for task in tasks:
                task.cancel()


def _cores() -> int:
    """Those that this process may use: more threads than that would only take turns from whatever runs beside it."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


async def _drop(filler: "asyncio.Task[None]", reads: "asyncio.Queue[Read]") -> None:
    filler.cancel()
    await asyncio.gather(filler, return_exceptions=True)
    started = [reads.get_nowait().rows for _ in range(reads.qsize())]
    for rows in started:
        rows.cancel()
    await asyncio.gather(*started, return_exceptions=True)
