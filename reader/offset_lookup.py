"""Finds offsets by timestamp (KIP-79) and the offset of the greatest timestamp (KIP-734) in one partition.

Batches are skipped by their headers' greatest timestamp; only a batch that decides is decoded, off the event loop.
While a look-up waits for the store, the log goes on: extents are published, the tail is trimmed.
"""

import asyncio
from collections.abc import Iterator, Sequence

from infra.cluster.manifest_record import RecordSegment
from infra.errors import NotFound
from infra.ports import LogReader
from infra.records.batch import BatchHeader
from infra.segment.extent import Extent
from reader.catch_up import CatchUpReader
from reader.fetch_plan import extents_at
from reader.record_lookup import Found, RecordLookup

_TAIL_STEP_BYTES = 4 << 20  # bytes of tail looked at in one go

_Piece = RecordSegment | Extent | list[memoryview]


class OffsetLookup:
    """Looks in record segments first, then in the extents above them, then in the tail: offsets ascend that way.

    Raises what reading segments raises. Whether the log is still led is for the caller to see.
    """

    def __init__(self, catch_up: CatchUpReader) -> None:
        self._segments = catch_up.segments
        self._records = RecordLookup(catch_up.records)

    async def at_or_after(self, log: LogReader, timestamp: int, upto: int) -> Found | None:
        """The first record below `upto` whose timestamp is at or after `timestamp`; None when there is none."""
        try:
            for piece in _pieces(log, upto):
                found = await self._in_piece(log, piece, timestamp, upto)
                if found is not None:
                    return found
        except NotFound:
            log.suspect_manifest()
            raise
        return None

    async def greatest(self, log: LogReader, upto: int) -> Found | None:
        """The first record that carries the greatest timestamp below `upto`; None when no record carries one."""
        best = -1
        try:
            for piece in _pieces(log, upto):
                best = max(best, await self._greatest_in_piece(log, piece, upto, best))
        except NotFound:
            log.suspect_manifest()
            raise
        return await self.at_or_after(log, best, upto) if best >= 0 else None

    async def _in_piece(self, log: LogReader, piece: _Piece, timestamp: int, upto: int) -> Found | None:
        if isinstance(piece, RecordSegment):
            return await self._records.at_or_after(log, piece, timestamp, upto)
        if isinstance(piece, Extent):
            return await self._in_extent(log, piece, timestamp, upto)
        await asyncio.sleep(0)  # a long tail must not hold up the loop
        late = (batch for batch in piece if BatchHeader.parse(batch).max_timestamp >= timestamp)
        return await self._in_batches(log, late, timestamp, upto)

    async def _greatest_in_piece(self, log: LogReader, piece: _Piece, upto: int, best: int) -> int:
        if isinstance(piece, RecordSegment):
            return await self._records.greatest(log, piece, upto, best)
        if isinstance(piece, Extent):
            return await self._greatest_in_extent(log, piece, upto, best)
        await asyncio.sleep(0)
        for batch in piece:
            best = max(best, await self._greatest_in_batch(log, batch, best))
        return best

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


def _pieces(log: LogReader, upto: int) -> Iterator[_Piece]:
    """The log below `upto` in order: record segments, extents, then batches of the tail, as it is at each step."""
    offset = log.log_start_offset
    while offset < upto:
        offset = max(offset, log.log_start_offset)
        if offset >= log.tail_start_offset:
            batches = log.read_tail(offset, _TAIL_STEP_BYTES, upto, True)
            if not batches:
                return
            yield batches
            offset = BatchHeader.parse(batches[-1]).next_offset
        elif offset < log.records_end:
            segment = log.record_segments_from(offset)[0]
            yield segment
            offset = max(offset, segment.last_offset + 1)
        else:
            for extent in extents_at(log, offset):
                if extent.base_offset > offset or extent.base_offset >= min(upto, log.tail_start_offset):
                    break
                yield extent
                offset = max(offset, extent.last_offset + 1)
