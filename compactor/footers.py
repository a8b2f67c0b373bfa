"""Footers of batch segments, kept: one holds extents of many partitions, and each of them is compacted by itself."""

import asyncio
from collections import OrderedDict

from infra.errors import Corrupt
from infra.segment.extent import Extent, FlushedExtent
from infra.segment.footer import SegmentFooter, read_footer
from infra.segment.segment_index import BatchSpan
from infra.store.port import ObjectStore

_A_BATCH, _AN_EXTENT, _A_PRODUCER = 40, 600, 600  # bytes that a footer takes in memory, about


class Footers:
    """The footers used last, up to `capacity_bytes` of memory; each is read once, also when several ask at a time."""

    def __init__(self, store: ObjectStore, capacity_bytes: int) -> None:
        self._store = store
        self._capacity = capacity_bytes
        self._held: OrderedDict[str, SegmentFooter] = OrderedDict()
        self._weight = 0
        self._locks: dict[str, asyncio.Lock] = {}

    async def extent(self, extent: Extent) -> tuple[FlushedExtent, list[BatchSpan]]:
        """An extent as its segment's footer has it, and where its batches lie.

        Raises `NotFound`, `Corrupt` (also when the segment has no such extent), `BadStart`, `Unavailable`.
        """
        footer = await self._footer(extent.segment)
        for one in footer.flushed:
            if one.extent == extent:
                return one, footer.index.spans(extent)
        raise Corrupt(
            f"{extent.segment} does not hold offsets {extent.base_offset} to {extent.last_offset} of {extent.partition}"
        )

    async def _footer(self, key: str) -> SegmentFooter:
        lock = self._locks.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                if key not in self._held:
                    self._keep(key, await read_footer(self._store, key))
                self._held.move_to_end(key)
                return self._held[key]
        finally:
            if not lock.locked():
                self._locks.pop(key, None)

    def _keep(self, key: str, footer: SegmentFooter) -> None:
        self._held[key] = footer
        self._weight += _weight(footer)
        while self._weight > self._capacity and len(self._held) > 1:
            _, dropped = self._held.popitem(last=False)
            self._weight -= _weight(dropped)


def _weight(footer: SegmentFooter) -> int:
    producers = sum(len(one.producers) for one in footer.flushed)
    return _A_BATCH * len(footer.index) + _AN_EXTENT * len(footer.flushed) + _A_PRODUCER * producers
