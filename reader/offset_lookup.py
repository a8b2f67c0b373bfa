"""Finds offsets by timestamp (KIP-79) and the offset of the greatest timestamp (KIP-734) in one partition.

Batches are skipped by their headers' greatest timestamp; only the one batch that decides is decoded.
"""

from dataclasses import dataclass

from infra.ports import LogReader
from infra.records.batch import BatchHeader
from infra.records.decode import decode_batch
from infra.segment.extent import Extent
from reader.segment_reader import SegmentReader

_TAIL_STEP_BYTES = 16 << 20  # bytes of tail looked at between two plans


@dataclass(frozen=True, slots=True)
class Found:
    """A record's place: offset and timestamp (ms)."""

    offset: int
    timestamp: int


class OffsetLookup:
    """Looks in extents first, then in the tail: offsets ascend that way."""

    def __init__(self, segments: SegmentReader) -> None:
        self._segments = segments

    async def at_or_after(self, log: LogReader, timestamp: int, upto: int) -> Found | None:
        """The first record below `upto` whose timestamp is at or after `timestamp`; None when there is none."""
        for extent in log.extents_from(log.log_start_offset):
            if extent.base_offset >= upto:
                break
            if extent.base_offset >= log.tail_start_offset:
                break
            if extent.max_timestamp < timestamp:
                continue
            found = await self._in_extent(log, extent, timestamp, upto)
            if found is not None:
                return found
        return self._in_tail(log, timestamp, upto)

    async def greatest(self, log: LogReader, upto: int) -> Found | None:
        """The first record that carries the greatest timestamp below `upto`; None when the log is empty."""
        best = -1
        for extent in log.extents_from(log.log_start_offset):
            if extent.last_offset < upto:
                best = max(best, extent.max_timestamp)
        for batch in _tail_batches(log, upto):
            best = max(best, BatchHeader.parse(batch).max_timestamp)
        return await self.at_or_after(log, best, upto) if best >= 0 else None

    async def _in_extent(self, log: LogReader, extent: Extent, timestamp: int, upto: int) -> Found | None:
        footer = await self._segments.footer(extent.segment)
        offset = log.log_start_offset
        while True:
            span = footer.index.first_batch_with_timestamp(extent, timestamp, offset)
            if span is None:
                return None
            batch = await self._segments.read_span(extent.segment, span.position, span.size)
            found = _in_batch(batch, log.log_start_offset, timestamp, upto)
            if found is not None:
                return found
            offset = BatchHeader.parse(batch).last_offset + 1

    def _in_tail(self, log: LogReader, timestamp: int, upto: int) -> Found | None:
        for batch in _tail_batches(log, upto):
            if BatchHeader.parse(batch).max_timestamp >= timestamp:
                found = _in_batch(batch, log.log_start_offset, timestamp, upto)
                if found is not None:
                    return found
        return None


def _tail_batches(log: LogReader, upto: int) -> list[memoryview]:
    batches: list[memoryview] = []
    offset = max(log.tail_start_offset, log.log_start_offset)
    while offset < upto:
        step = log.read_tail(offset, _TAIL_STEP_BYTES, upto, True)
        if not step:
            break
        batches.extend(step)
        offset = BatchHeader.parse(step[-1]).last_offset + 1
    return batches


def _in_batch(batch: memoryview, log_start: int, timestamp: int, upto: int) -> Found | None:
    for record in decode_batch(batch):
        if record.timestamp >= timestamp and log_start <= record.offset < upto:
            return Found(record.offset, record.timestamp)
    return None
