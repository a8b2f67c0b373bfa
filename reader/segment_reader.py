"""Reads record batches out of batch segments in the bucket: indexes and blocks cached, extents read side by side.

Catch-up reads alone pass here. What they need of the processor beyond slicing is done on threads, so that a replay of
last year delays no producer.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from concurrent.futures import Executor
from typing import Any

import numpy as np

from infra.errors import CauceError, Corrupt
from infra.partition import PartitionId
from infra.records.batch import PREFIX_BYTES, BatchHeader, crc_holds
from infra.records.decode import decode_batch
from infra.records.record import Record
from infra.segment.extent import Extent
from infra.segment.footer import footer_bytes, parse_footer
from infra.segment.segment_index import BatchSpan, SegmentIndex
from infra.store.port import ObjectStore
from reader.block_cache import BlockCache
from reader.fetch_plan import SegmentRead
from reader.shared_reads import SharedReads

_INDEX_BYTES = 64 << 20  # indexes kept: 40 bytes a batch
_INDEX_OVERHEAD_BYTES = 1024
_END_BYTES = 64 << 10  # holds the footers of all but very large segments, and small segments whole
_FOOTERS_AT_ONCE = 32
_AHEAD = 16  # partitions with a read-ahead under way


class SegmentReader:
    """Serves `SegmentRead`s; one for a node."""

    def __init__(self, store: ObjectStore, cache: BlockCache, threads: Executor) -> None:
        self._store = store
        self._cache = cache
        self._gets = asyncio.Semaphore(_FOOTERS_AT_ONCE)
        self._indexes: SharedReads[str, SegmentIndex] = SharedReads(self._load_index, _weigh, _INDEX_BYTES)
        self._threads = threads
        self._ahead: dict[PartitionId, asyncio.Task[None]] = {}

    async def read(self, plan: SegmentRead) -> list[memoryview]:
        """The record batches of a plan, in offset order; the first one contains the plan's offset.

        Fewer than planned when an extent behind the first cannot be read. Raises `NotFound`, `Corrupt`, `BadStart` and
        `Unavailable`; each names the object.
        """
        parts = await asyncio.gather(*self._extent_reads(plan), return_exceptions=True)
        batches: list[memoryview] = []
        left = plan.max_bytes
        for extent, part in zip(plan.extents, parts, strict=True):
            if isinstance(part, BaseException):
                if batches and isinstance(part, CauceError):
                    break  # whoever asks from here on meets it
                raise part
            for batch in part:
                if len(batch) > left and (batches or not plan.at_least_one):
                    return batches
                batches.append(batch)
                left -= len(batch)
            if not part or BatchHeader.parse(part[-1]).last_offset != extent.last_offset:
                break  # it was cut off: what the next extent has does not follow
        return batches

    def read_ahead(self, plan: SegmentRead) -> None:
        """Fill the cache with what will probably be asked next; nothing when enough of that is under way."""
        partition = plan.extents[0].partition
        if partition not in self._ahead and len(self._ahead) < _AHEAD:
            task = asyncio.create_task(self._read_ahead(plan))
            self._ahead[partition] = task
            task.add_done_callback(lambda _: self._ahead.pop(partition, None))

    async def index(self, segment: str) -> SegmentIndex:
        """Where a segment's batches lie, read once. Raises as `read`."""
        return await self._indexes.get(segment)

    async def read_batch(self, segment: str, span: BatchSpan) -> memoryview:
        """One batch of a segment. Raises as `read`."""
        stretch = await self._cache.stretch(segment, span.position, span.size)
        return _checked(segment, span, stretch.slice(span.position, span.size))

    async def decode(self, batch: memoryview) -> list[Record]:
        """All records of a batch, off the event loop. Raises `Corrupt`."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, decode_batch, batch)

    async def close(self) -> None:
        """Give up what is under way. Block cache and threads are ended by whoever made them."""
        ahead = list(self._ahead.values())
        for task in ahead:
            task.cancel()
        await asyncio.gather(*ahead, return_exceptions=True)
        await self._indexes.close()

    def _extent_reads(self, plan: SegmentRead) -> Iterator[Coroutine[Any, Any, list[memoryview]]]:
        left = plan.max_bytes
        for number, extent in enumerate(plan.extents):
            # The first gives one batch at least, being the one that holds the offset; of it we do not know how much.
            yield self._read_extent(plan, extent, left, plan.at_least_one and number == 0)
            left -= extent.size if number else 0

    async def _read_extent(
        self, plan: SegmentRead, extent: Extent, max_bytes: int, at_least_one: bool
    ) -> list[memoryview]:
        segment = extent.segment
        spans = (await self.index(segment)).plan(extent, plan.offset, max_bytes, plan.upto, at_least_one)
        if not spans:
            return []
        begin, end = spans[0].position, spans[-1].position + spans[-1].size
        stretch = await self._cache.stretch(segment, begin, end - begin)
        return [_checked(segment, span, stretch.slice(span.position, span.size)) for span in spans]

    async def _read_ahead(self, plan: SegmentRead) -> None:
        try:
            await asyncio.gather(*(self._touch(plan, extent) for extent in plan.extents))
        except (CauceError, IndexError):
            return  # whoever asks for it meets it again, and is told

    async def _touch(self, plan: SegmentRead, extent: Extent) -> None:
        """Bring an extent's bytes into the cache, without a look at single batches."""
        index = await self.index(extent.segment)
        rows = slice(extent.first_row, extent.first_row + extent.batches)
        positions, ends = index.positions[rows], index.positions[rows] + index.sizes[rows]
        begin = int(positions[np.searchsorted(index.last_offsets[rows], plan.offset)])
        await self._cache.stretch(extent.segment, begin, min(plan.max_bytes, int(ends[-1]) - begin))

    async def _load_index(self, segment: str) -> SegmentIndex:
        async with self._gets:
            end = await self._store.get_range(segment, -_END_BYTES, _END_BYTES)
            needed = footer_bytes(segment, end)
            if needed > len(end):
                end = await self._store.get_range(segment, -needed, needed)
        if len(end) < _END_BYTES:
            self._cache.put_whole(segment, end)
        footer = await asyncio.get_running_loop().run_in_executor(self._threads, parse_footer, segment, end)
        return footer.index


def _weigh(index: SegmentIndex) -> int:
    return _INDEX_OVERHEAD_BYTES + 40 * len(index)


def _checked(segment: str, span: BatchSpan, batch: memoryview) -> memoryview:
    """The batch, when it is whole and the one that the index says: a client must never get another one's bytes.

    Its CRC is looked at too: some clients do not, and none could tell which object is damaged.
    """
    if (
        len(batch) != span.size
        or int.from_bytes(batch[:8], "big") != span.base_offset
        or int.from_bytes(batch[8:PREFIX_BYTES], "big") != span.size - PREFIX_BYTES
    ):
        raise Corrupt(f"{segment} has no record batch of offset {span.base_offset} at byte {span.position}")
    if not crc_holds(batch):
        raise Corrupt(f"{segment}: the record batch of offset {span.base_offset} at byte {span.position} is damaged")
    return batch
