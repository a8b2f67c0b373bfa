"""Cleaning as the worker runs it: decides when a compacted partition is due, and goes on with its pass turn by turn.

One pass at a time keeps its map in memory, so `log.cleaner.dedupe.buffer.size` is what cleaning takes, however many
partitions there are. A look that finds nothing due makes no request.
"""

import logging
from contextlib import aclosing
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from compactor.cleaning import DirtyStretch, dirty_stretch, is_due, lag_is_over, tombstones_leave
from compactor.cleaning_pass import CleaningPass, CleaningTools
from compactor.current_settings import CurrentSettings
from compactor.offset_map import OffsetMap
from compactor.partition import PartitionWork
from compactor.segment_rows import SegmentRows
from infra.cluster.manifest import Manifest
from infra.cluster.manifest_record import RecordSegment
from infra.config_value import LONG_MAX
from infra.partition import PartitionId
from infra.topic_config import TopicSettings

log = logging.getLogger(__name__)

_TURN_BYTES = 1 << 30  # of segments looked at in one turn: other work of the partitions goes on between
_LOST_AFTER_SECONDS = 600.0  # a pass that nobody went on with for so long gives way to another partition's


@dataclass(frozen=True, slots=True)
class CleaningLimits:
    """The node's settings."""

    enabled: bool  # log.cleaner.enable
    backoff_ms: int  # log.cleaner.backoff.ms
    map_bytes: int  # log.cleaner.dedupe.buffer.size


@dataclass(slots=True)
class _Running:
    """The pass under way."""

    partition: PartitionId
    cleaning: CleaningPass | None = None  # None while its map is made
    busy: bool = True
    seen: float = 0.0  # when it was last gone on with, on the monotonic clock


class Cleaning:
    """Implements `Step`."""

    def __init__(self, tools: CleaningTools, settings: CurrentSettings, limits: CleaningLimits) -> None:
        self._tools = tools
        self._settings = settings
        self._limits = limits
        self._rows = SegmentRows(tools.bench)
        self._clock = tools.bench.clock
        self._due: dict[PartitionId, float] = {}  # on the monotonic clock
        self._earliest: dict[PartitionId, tuple[str, int]] = {}  # first dirty segment → its first dirty timestamp
        self._running: _Running | None = None

    async def run(self, work: PartitionWork) -> Manifest | None:
        """The last manifest that cleaning made, None when it changed nothing or another compactor was faster."""
        if not self._limits.enabled or not work.settings.compacted:
            self.forget(work.partition)
            return None
        running = self._running_of(work)
        if running is None:
            if self._is_occupied() or not await self._is_due(work):
                return None
            if self._is_occupied():  # by another partition, while this one was looked at
                return None
            running = self._running = _Running(work.partition)
        try:
            running.busy = True
            return await self._go_on(running, work)
        finally:
            running.busy, running.seen = False, self._clock.monotonic()
            if self._running is running and (running.cleaning is None or running.cleaning.done):
                self._running = None

    def forget(self, partition: PartitionId) -> None:
        """The partition is gone, or another compactor's, or is not compacted any more."""
        self._due.pop(partition, None)
        self._earliest.pop(partition, None)
        if self._running is not None and self._running.partition == partition:
            self._running = None

    def _running_of(self, work: PartitionWork) -> _Running | None:
        """The pass of this partition, unless another compactor has finished one meanwhile."""
        running = self._running
        if running is None or running.cleaning is None or running.partition != work.partition:
            return None
        if running.cleaning.cleaned_upto != work.manifest.cleaned_upto:
            self._running = None
            return None
        return running

    def _is_occupied(self) -> bool:
        running = self._running
        if running is None:
            return False
        return running.busy or self._clock.monotonic() - running.seen < _LOST_AFTER_SECONDS

    async def _is_due(self, work: PartitionWork) -> bool:
        """Whether it is time to look at this partition, and something can be cleaned."""
        now, now_ms = self._clock.monotonic(), self._clock.now_ms()
        if now < self._due.get(work.partition, now):
            return False
        self._due[work.partition] = now + self._limits.backoff_ms / 1000
        return await self._is_dirty(work, now_ms) or _tombstones_leave(work.manifest, work.settings, now_ms)

    async def _is_dirty(self, work: PartitionWork, now_ms: int) -> bool:
        stretch = dirty_stretch(work.manifest, work.settings, now_ms)
        return is_due(stretch, work.settings) or await self._lag_is_over(work, stretch, now_ms)

    async def _go_on(self, running: _Running, work: PartitionWork) -> Manifest | None:
        if running.cleaning is None:
            running.cleaning = await self._begin(work)
        if running.cleaning is None:
            return None
        after = await running.cleaning.advance(work, _TURN_BYTES)
        if running.cleaning.done:
            log.info("%s is cleaned up to offset %d", work, running.cleaning.upto)
        return after

    async def _begin(self, work: PartitionWork) -> CleaningPass | None:
        """A new pass, by the topic's newest configs: what it takes away is gone."""
        settings = await self._settings.read(work.partition.topic_id)
        if settings is None or not settings.compacted:
            return None
        now_ms = self._clock.now_ms()
        current = replace(work, settings=settings)
        offsets, upto = OffsetMap(self._limits.map_bytes), work.manifest.cleaned_upto
        if await self._is_dirty(current, now_ms):
            upto = await self._fill(offsets, work, dirty_stretch(work.manifest, settings, now_ms))
        return CleaningPass(self._tools, settings, offsets, cleaned_upto=work.manifest.cleaned_upto, upto=upto)

    async def _fill(self, offsets: OffsetMap, work: PartitionWork, stretch: DirtyStretch) -> int:
        """Take the stretch into the map as far as it holds; where it ends."""
        for segment in _within(work.manifest, stretch):
            async with aclosing(self._rows.narrow(segment, ("offset", "key"), stretch.start)) as groups:
                async for group, rows in groups:
                    if await self._rows.run(_add, offsets, rows):
                        return group.last_offset + 1
        return stretch.upto

    async def _lag_is_over(self, work: PartitionWork, stretch: DirtyStretch, now_ms: int) -> bool:
        if work.settings.max_compaction_lag_ms == LONG_MAX:
            return False
        first = next((segment for segment in _within(work.manifest, stretch) if segment.records), None)
        if first is None:
            return False
        known = self._earliest.get(work.partition)
        if known is None or known[0] != first.key:
            known = self._earliest[work.partition] = (first.key, await self._first_timestamp(first, stretch.start))
        return lag_is_over(stretch, work.settings, known[1], now_ms)

    async def _first_timestamp(self, segment: RecordSegment, start: int) -> int:
        """Of the first record at or above an offset, ms; -1 when there is none."""
        async with aclosing(self._rows.narrow(segment, ("offset", "timestamp"), start)) as groups:
            async for _, rows in groups:
                dirty = rows["timestamp"].filter(pc.greater_equal(rows["offset"], start))
                if len(dirty):
                    return int(dirty[0].value)
        return -1


def _add(offsets: OffsetMap, rows: pa.Table) -> bool:
    offsets.add(rows["key"], rows["offset"])
    return offsets.full


def _within(manifest: Manifest, stretch: DirtyStretch) -> list[RecordSegment]:
    return [one for one in manifest.segments if one.last_offset >= stretch.start and one.base_offset < stretch.upto]


def _tombstones_leave(manifest: Manifest, settings: TopicSettings, now_ms: int) -> bool:
    clean = (segment for segment in manifest.segments if segment.last_offset < manifest.cleaned_upto)
    return any(tombstones_leave(segment, settings, now_ms) for segment in clean)
