"""Finds offsets by timestamp (KIP-79) and the offset of the greatest timestamp (KIP-734) in one partition.

Batches are skipped by their headers' greatest timestamp; only a batch that decides is decoded, off the event loop.
While a look-up waits for the store, the log goes on: extents are published, the tail is trimmed.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from infra.ports import LogReader
from infra.records.batch import BatchHeader
from infra.segment.extent import Extent
from reader.fetch_plan import extents_at
from reader.segment_reader import SegmentReader

_TAIL_STEP_BYTES = 4 << 20  # bytes of tail looked at in one go


@dataclass(frozen=True, slots=True)
class Found:
    """A record's place: offset and timestamp (ms)."""

    offset: int
    timestamp: int


class OffsetLookup:
    """Looks in extents below the tail first, then in the tail: offsets ascend that way.

    Raises what reading segments raises. Whether the log is still led is for the caller to see.
    """

    def __init__(self, segments: SegmentReader) -> None:
        self._segments = segments

    async def at_or_after(self, log: LogReader, timestamp: int, upto: int) -> Found | None:
        """The first record below `upto` whose timestamp is at or after `timestamp`; None when there is none."""
        for piece in _pieces(log, upto):
            if isinstance(piece, Extent):
                found = await self._in_extent(log, piece, timestamp, upto)
            else:
                late = (batch for batch in piece if BatchHeader.parse(batch).max_timestamp >= timestamp)
                found = await self._in_batches(log, late, timestamp, upto)
                await asyncio.sleep(0)  # a long tail must not hold up the loop
            if found is not None:
                return found
        return None

    async def greatest(self, log: LogReader, upto: int) -> Found | None:
        """The first record that carries the greatest timestamp below `upto`; None when no record carries one."""
        best = -1
        for piece in _pieces(log, upto):
            if isinstance(piece, Extent):
                best = max(best, await self._greatest_in_extent(log, piece, upto, best))
            else:
                for batch in piece:
                    best = max(best, await self._greatest_in_batch(log, batch, best))
                await asyncio.sleep(0)
        return await self.at_or_after(log, best, upto) if best >= 0 else None

    async def _in_extent(self, log: LogReader, extent: Extent, timestamp: int, upto: int) -> Found | None:
        if extent.max_timestamp < timestamp:
            return None
        index = await self._segments.index(extent.segment)
        offset = log.log_start_offset
        while (span := index.first_batch_with_timestamp(extent, timestamp, offset)) and span.base_offset < upto:
            batch = await self._segments.read_batch(extent.segment, span)
            found = await self._in_batches(log, (batch,), timestamp, upto)
            if found is not None:
                return found
            offset = span.last_offset + 1
        return None

    async def _in_batches(
        self, log: LogReader, batches: Iterator[memoryview] | Sequence[memoryview], timestamp: int, upto: int
    ) -> Found | None:
        for batch in batches:
            for record in await self._segments.decode(batch):
                if record.timestamp >= timestamp and log.log_start_offset <= record.offset < upto:
                    return Found(record.offset, record.timestamp)
        return None

    async def _greatest_in_extent(self, log: LogReader, extent: Extent, upto: int, best: int) -> int:
        if extent.max_timestamp <= best:
            return best
        if log.log_start_offset <= extent.base_offset and extent.last_offset < upto:
            return extent.max_timestamp
        index = await self._segments.index(extent.segment)
        for span in index.spans(extent):
            if span.last_offset < log.log_start_offset or span.last_offset >= upto or span.max_timestamp <= best:
                continue
            if span.base_offset >= log.log_start_offset:
                best = span.max_timestamp
            else:
                batch = await self._segments.read_batch(extent.segment, span)
                best = max(best, await self._greatest_in_batch(log, batch, best))
        return best

    async def _greatest_in_batch(self, log: LogReader, batch: memoryview, best: int) -> int:
        header = BatchHeader.parse(batch)
        if header.base_offset >= log.log_start_offset or header.max_timestamp <= best:
            return header.max_timestamp
        records = await self._segments.decode(batch)
        return max((record.timestamp for record in records if record.offset >= log.log_start_offset), default=-1)


def _pieces(log: LogReader, upto: int) -> Iterator[Extent | list[memoryview]]:
    """The log below `upto` in order: extents, then batches of the tail, as it is at each step."""
    offset = log.log_start_offset
    while offset < upto:
        offset = max(offset, log.log_start_offset)
        if offset >= log.tail_start_offset:
            batches = log.read_tail(offset, _TAIL_STEP_BYTES, upto, True)
            if not batches:
                return
            yield batches
            offset = BatchHeader.parse(batches[-1]).next_offset
            continue
        for extent in extents_at(log, offset):
            if extent.base_offset > offset or extent.base_offset >= min(upto, log.tail_start_offset):
                break
            yield extent
            offset = max(offset, extent.last_offset + 1)
