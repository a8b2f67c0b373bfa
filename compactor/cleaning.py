"""Cleaning's decisions: when a compacted partition is worth cleaning, what leaves, and what is written together.

Kafka's rules (https://kafka.apache.org/documentation/#compaction) on record segments; extents are never cleaned. Dirty
is what lies at or above `Manifest.cleaned_upto`. A pass takes the newest offset of each key in a stretch of it, and
every older record of these keys below the end of that stretch leaves. Tombstones leave `delete.retention.ms` after the
pass that first kept them. Plain: no I/O, no clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from compactor.planner import span_of
from infra.cluster.manifest import Manifest
from infra.cluster.manifest_record import RecordSegment
from infra.config_value import LONG_MAX
from infra.topic_config import TopicSettings

NOT_CLEANED = -1  # as cleaned_ms: nothing in the segment waits for delete.retention.ms
MERGED_SHARE = 4  # a segment that loses nothing is written again only beside one that does, and below target / this
_CLASSES = 8  # tombstones kept within one part in so many of delete.retention.ms may share a segment


@dataclass(frozen=True, slots=True)
class DirtyStretch:
    """What a pass may take into its offset map, and what that is worth."""

    start: int
    upto: int  # exclusive: younger records are not cleaned yet
    dirty_bytes: int
    clean_bytes: int  # below start

    @property
    def ratio(self) -> float:
        """Share of the cleanable bytes that is dirty."""
        total = self.dirty_bytes + self.clean_bytes
        return self.dirty_bytes / total if total else 0.0


@dataclass(frozen=True, slots=True)
class Scanned:
    """A record segment after its keys were looked up."""

    segment: RecordSegment
    kept: int  # records that stay
    waits_since_ms: int  # cleaned_ms of what stays; NOT_CLEANED: no tombstone, or not wholly below the stretch's end
    whole: bool  # it lies wholly below the stretch's end

    @property
    def first_kept(self) -> bool:
        """Whether its tombstones begin to wait with this pass."""
        return self.waits_since_ms != NOT_CLEANED and self.segment.cleaned_ms == NOT_CLEANED

    @property
    def loses(self) -> bool:
        """Whether records leave."""
        return self.kept < self.segment.records

    @property
    def size(self) -> int:
        """About how many bytes what stays will take."""
        return self.segment.size * self.kept // max(self.segment.records, 1)


def dirty_stretch(manifest: Manifest, settings: TopicSettings, now_ms: int) -> DirtyStretch:
    """What could be cleaned now: up to the first segment with a record younger than `min.compaction.lag.ms`."""
    start = upto = max(manifest.cleaned_upto, manifest.log_start_offset)
    dirty = clean = 0
    for segment in manifest.segments:
        if segment.last_offset < manifest.log_start_offset:
            continue
        if segment.last_offset >= start:
            lag = settings.min_compaction_lag_ms
            if lag > 0 and segment.max_timestamp > now_ms - lag:
                break
            upto = segment.last_offset + 1
        above = _bytes_from(segment, start)
        dirty += above
        clean += segment.size - above
    return DirtyStretch(start, upto, dirty, clean)


def _bytes_from(segment: RecordSegment, offset: int) -> int:
    """Of a segment, those of its records at or above an offset."""
    if segment.base_offset >= offset:
        return segment.size
    return sum(group.size for group in segment.row_groups if group.last_offset >= offset)


def is_due(stretch: DirtyStretch, settings: TopicSettings) -> bool:
    """Whether the dirty share asks for a pass."""
    return stretch.ratio > settings.min_cleanable_dirty_ratio


def lag_is_over(stretch: DirtyStretch, settings: TopicSettings, earliest_ms: int, now_ms: int) -> bool:
    """Whether the first dirty record, of that timestamp, asks for a pass whatever the share."""
    limit = settings.max_compaction_lag_ms
    return limit < LONG_MAX and stretch.upto > stretch.start and earliest_ms >= 0 and now_ms - earliest_ms > limit


def tombstones_leave(segment: RecordSegment, settings: TopicSettings, now_ms: int) -> bool:
    """Whether the tombstones that an earlier pass kept in this segment have waited long enough."""
    return segment.cleaned_ms >= 0 and segment.cleaned_ms + settings.delete_retention_ms <= now_ms


def joins(group: Sequence[Scanned], one: Scanned, target_bytes: int, settings: TopicSettings) -> bool:
    """Whether the next segment may be written into the same new one as `group`, its neighbours below.

    Tombstones that wait since very different times must not: the older ones would start waiting anew at every pass.
    Nor may records of very different ages when retention is to delete them by time.
    """
    every = (*group, one)
    if len(every) == 1:
        return True
    if not all(each.whole for each in every) or len({each.segment.value_format for each in every}) > 1:
        return False
    if sum(each.size for each in every) > target_bytes:
        return False
    ages = [each.segment.max_timestamp for each in every if each.segment.max_timestamp >= 0]
    if ages and 0 <= span_of(settings) < max(ages) - min(ages):
        return False
    width = max(1, settings.delete_retention_ms // _CLASSES)
    return len({each.waits_since_ms // width for each in every if each.waits_since_ms != NOT_CLEANED}) <= 1


def is_small(one: Scanned, target_bytes: int) -> bool:
    """Whether a segment that loses nothing may be written again beside one that loses something."""
    return one.size * MERGED_SHARE <= target_bytes


def neighbours(held: Sequence[Scanned], one: Scanned, target_bytes: int, settings: TopicSettings) -> int:
    """How many of the last of `held`, small segments just below, are written into one segment with `one`."""
    for count in range(len(held), 0, -1):
        group = held[len(held) - count :]
        if all(joins(group[:at], each, target_bytes, settings) for at, each in enumerate((*group, one))):
            return count
    return 0
