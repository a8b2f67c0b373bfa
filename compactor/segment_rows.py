"""Rows of record segments, row group by row group, fetched a little ahead of what is looked at.

Offset, timestamp and key lie together in a row group and are a small part of it: a look at them fetches that part. With
values it fetches neighbouring row groups whole, several with one GET.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TypeVar

import pyarrow as pa

from compactor.ahead import ahead
from compactor.merge_loads import read_segments
from compactor.segment_output import Bench
from infra.cluster.manifest_record import RecordSegment, RowGroup
from infra.segment.record_footer import read_record_footer
from infra.segment.record_rows import narrow_row_group, read_rows

_AHEAD = 8  # parts of row groups under way at once

Answer = TypeVar("Answer")
Rows = AsyncGenerator[tuple[RowGroup, pa.Table], None]


class SegmentRows:
    """Reads record segments from a bench's store and decodes on its thread. Close what is left early (`aclosing`)."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    async def run(self, work: Callable[..., Answer], *of: object) -> Answer:
        """Do something that blocks, on the bench's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._bench.threads, work, *of)

    async def narrow(self, segment: RecordSegment, columns: Sequence[str], from_offset: int = 0) -> Rows:
        """Some of the columns offset, timestamp and key, of every row group that ends at `from_offset` or above.

        Raises `NotFound`, `Corrupt`, `BadStart` and `Unavailable`; each names the object.
        """
        footer = await read_record_footer(self._bench.store, segment.key)
        wanted = deque(at for at, group in enumerate(footer.row_groups) if group.last_offset >= from_offset)
        reading: deque[asyncio.Task[bytes]] = deque()
        begun: deque[tuple[int, RowGroup]] = deque()
        try:
            while wanted or reading:
                while wanted and len(reading) < _AHEAD:
                    number = wanted.popleft()
                    part = narrow_row_group(footer, number, columns)
                    begun.append((number, part))
                    reading.append(asyncio.create_task(self._get(segment.key, part)))
                data = await reading[0]
                reading.popleft()
                number, part = begun.popleft()
                yield footer.row_groups[number], await self.run(read_rows, footer, number, part, data, columns)
        finally:
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)

    async def wide(self, segment: RecordSegment, columns: Sequence[str]) -> Rows:
        """Any columns of every row group. Raises as `narrow`."""
        async with aclosing(ahead(read_segments(self._bench.store, [segment]))) as loads:
            async for load in loads:
                for number, group, data in load.parts():
                    yield group, await self.run(read_rows, load.footer, number, group, data, columns)

    async def _get(self, key: str, part: RowGroup) -> bytes:
        return await self._bench.store.get_range(key, part.position, part.size)
