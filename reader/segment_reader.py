"""Reads record batches out of batch segments in the bucket: footers and blocks cached, extents read side by side."""

import asyncio
from collections import OrderedDict

from infra.segment.extent import Extent
from infra.segment.footer import SegmentFooter, read_footer
from infra.store.port import ObjectStore
from reader.block_cache import BlockCache
from reader.fetch_plan import SegmentRead

_FOOTERS = 1024  # footers kept: an index entry is tens of bytes a batch
_READ_BYTES = 8 << 20  # bytes a step of `replay_log` reads


class SegmentReader:
    """Serves `SegmentRead`s; one for a node."""

    def __init__(self, store: ObjectStore, cache: BlockCache) -> None:
        self._store = store
        self._cache = cache
        self._footers: OrderedDict[str, asyncio.Task[SegmentFooter]] = OrderedDict()

    async def read(self, plan: SegmentRead) -> list[memoryview]:
        """The record batches of a plan, in offset order; the first one contains the plan's offset.

        Raises `NotFound`, `Corrupt` and `Unavailable`; each names the object.
        """
        parts = await asyncio.gather(*(self._read_extent(plan, extent) for extent in plan.extents))
        batches: list[memoryview] = []
        left = plan.max_bytes
        for part in parts:
            for batch in part:
                if len(batch) > left and (batches or not plan.at_least_one):
                    return batches
                batches.append(batch)
                left -= len(batch)
        return batches

    async def footer(self, segment: str) -> SegmentFooter:
        """The footer of a batch segment, read once."""
        task = self._footers.get(segment)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.create_task(read_footer(self._store, segment))
            self._footers[segment] = task
            while len(self._footers) > _FOOTERS:
                self._footers.popitem(last=False)
        self._footers.move_to_end(segment)
        return await asyncio.shield(task)

    async def read_span(self, segment: str, position: int, length: int) -> memoryview:
        """One stretch of a segment, through the cache."""
        return await self._cache.read(segment, position, length)

    async def _read_extent(self, plan: SegmentRead, extent: Extent) -> list[memoryview]:
        footer = await self.footer(extent.segment)
        spans = footer.index.plan(extent, plan.offset, plan.max_bytes, plan.upto, plan.at_least_one)
        if not spans:
            return []
        begin = spans[0].position
        end = spans[-1].position + spans[-1].size
        data = await self._cache.read(extent.segment, begin, end - begin)
        return [data[span.position - begin : span.position - begin + span.size] for span in spans]
