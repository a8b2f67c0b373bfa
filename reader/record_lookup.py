"""Finds records by time in record segments: skips by the manifest, then by each row group's statistics, and reads the
offsets and timestamps of the row group that decides."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from infra.cluster.manifest_record import RecordSegment
from infra.errors import Corrupt
from infra.ports import LogReader
from infra.segment.record_footer import RecordFooter, timestamp_range
from reader.fetch_plan import GroupRead, groups_of
from reader.record_reader import RecordReader

_NO_STATISTICS = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Found:
    """A record's place: offset and timestamp (ms)."""

    offset: int
    timestamp: int


class RecordLookup:
    """Looks into one record segment at a time. Raises what reading it raises."""

    def __init__(self, records: RecordReader) -> None:
        self._records = records

    async def at_or_after(self, log: LogReader, segment: RecordSegment, timestamp: int, upto: int) -> Found | None:
        """The first record of the segment below `upto` whose timestamp is at or after `timestamp`."""
        if segment.max_timestamp < timestamp:
            return None
        footer = await self._records.footer(segment.key)
        for read in _visible(log, segment, upto):
            if _max_timestamp(footer, read) >= timestamp:
                offsets, timestamps = await self._records.places(read)
                fits = (timestamps >= timestamp) & (offsets >= log.log_start_offset) & (offsets < upto)
                if fits.any():
                    first = int(np.argmax(fits))
                    return Found(int(offsets[first]), int(timestamps[first]))
        return None

    async def greatest(self, log: LogReader, segment: RecordSegment, upto: int, best: int) -> int:
        """The greatest timestamp of the segment below `upto`, or `best` when that is greater."""
        if segment.max_timestamp <= best:
            return best
        if log.log_start_offset <= segment.base_offset and segment.last_offset < upto:
            return segment.max_timestamp
        footer = await self._records.footer(segment.key)
        for read in _visible(log, segment, upto):
            greatest = _max_timestamp(footer, read)
            if greatest > best:
                inside = log.log_start_offset <= read.group.base_offset and read.group.last_offset < upto
                best = max(best, greatest if inside else await self._greatest_in(log, read, upto))
        return best

    async def _greatest_in(self, log: LogReader, read: GroupRead, upto: int) -> int:
        offsets, timestamps = await self._records.places(read)
        visible = timestamps[(offsets >= log.log_start_offset) & (offsets < upto)]
        return int(visible.max()) if visible.size else -1


def _visible(log: LogReader, segment: RecordSegment, upto: int) -> Iterator[GroupRead]:
    """Row groups that answer for offsets from the log start on, below `upto`, and have rows."""
    for read in groups_of(log, segment, log.log_start_offset):
        if read.group.base_offset < upto and read.group.size:
            yield read


def _max_timestamp(footer: RecordFooter, read: GroupRead) -> int:
    """As the row group's statistics say; the greatest there can be when they say nothing."""
    if read.number >= footer.metadata.num_row_groups:
        raise Corrupt(f"{read.segment} has no row group {read.number}")
    found = timestamp_range(footer.metadata, read.number)
    return _NO_STATISTICS if found is None else found[1]
