"""Reads what the tail does not hold, from extents and record segments alike, on threads and within memory of its own.

One for a node: consumers of one history share what is read for any of them.
"""

from concurrent.futures import ThreadPoolExecutor

from infra.errors import NotFound
from infra.ports import LogReader
from infra.store.port import ObjectStore
from reader.block_cache import BlockCache
from reader.fetch_plan import RecordRead, SegmentRead
from reader.record_reader import RecordReader
from reader.segment_reader import SegmentReader

_THREADS = 2
_AHEAD_FETCHES = 4  # how many answers like this one a read-ahead covers: a store has latency and is wide
_AHEAD_BYTES = 8 << 20  # at the most: what is read in vain must stay cheap
_STREAM_FETCHES = 16  # the same for a consumer that goes on within what was read: a row group is several answers long
_STREAM_BYTES = 16 << 20


class CatchUpReader:
    """Serves the plans that reach behind the tail."""

    def __init__(self, store: ObjectStore, *, cache_bytes: int, block_bytes: int = 1 << 20) -> None:
        """`store`: connections that nothing urgent uses. `cache_bytes` are shared evenly by extents and records."""
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="catch-up")
        self.blocks = BlockCache(store, block_bytes=block_bytes, capacity_bytes=cache_bytes // 2)
        self.segments = SegmentReader(store, self.blocks, self._threads)
        self.records = RecordReader(store, self._threads, cache_bytes // 2)

    async def read(self, log: LogReader, plan: RecordRead | SegmentRead) -> list[memoryview]:
        """The record batches of a plan, in offset order. Raises `NotFound`, `Corrupt`, `BadStart` and `Unavailable`.

        What is not found makes the log look again for what its manifest names.
        """
        try:
            return await (self.records.read(plan) if isinstance(plan, RecordRead) else self.segments.read(plan))
        except NotFound:
            log.suspect_manifest()
            raise

    def worth_ahead(self, plan: RecordRead | SegmentRead) -> int:
        """How many bytes behind a plan are worth reading ahead; to be asked before the plan is carried out."""
        if isinstance(plan, RecordRead) and self.records.holds(plan):
            return min(_STREAM_FETCHES * plan.max_bytes, _STREAM_BYTES)
        return min(_AHEAD_FETCHES * plan.max_bytes, _AHEAD_BYTES)

    def read_ahead(self, plan: RecordRead | SegmentRead) -> None:
        """Fill the caches with what will probably be asked next, as far as there is room."""
        if isinstance(plan, RecordRead):
            self.records.read_ahead(plan)
        else:
            self.segments.read_ahead(plan)

    async def close(self) -> None:
        """Give up what is under way."""
        await self.segments.close()
        await self.records.close()
        await self.blocks.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
