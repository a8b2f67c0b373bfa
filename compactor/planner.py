"""Decides what of a partition is rewritten: pure, from a look at it and how long its extents have waited.

Extents become record segments once they are many bytes or old, and every transaction with records in them has ended.
Small record segments are merged by a rule that bounds how often a record is rewritten: neighbours are merged when
together they weigh at least four times the heaviest of them, and at most one target-size segment. So each rewrite puts
a record into a segment of four times the weight, and log4(target / smallest weight) rewrites are the most. A segment
weighs its bytes, or 4 KiB times 4 for each rewrite of it when that is more: however well its records shrink, the bound
holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from compactor.ages import ExtentAges
from compactor.partition import PartitionWork
from compactor.plans import CompactExtents, CompactionPlan, MergeSegments
from infra.cluster.manifest import Manifest
from infra.cluster.manifest_record import RecordSegment
from infra.segment.extent import AbortedTransaction, Extent
from infra.topic_config import TopicSettings
from infra.view.port import PublishedPartition

MOST_SEGMENT_BYTES = 256 << 20
LEAST_WEIGHT = 4 << 10  # bytes: a record segment of one record is not much smaller
FAN_IN = 4
_SEGMENTS_A_PLAN = 4  # one replace brings in so many at about; more would be lost when another compactor is faster
_SPANS_A_RETENTION = 8  # merging may delay the expiry of a record by one part in so many of retention.ms


@dataclass(frozen=True, slots=True)
class CompactionLimits:
    """When extents have waited enough."""

    compaction_bytes: int
    compaction_age_seconds: float


def plan(work: PartitionWork, ages: ExtentAges, limits: CompactionLimits, now: float) -> list[CompactionPlan]:
    """What to do now, the most urgent first; each is made on this manifest, so after one another look is due.

    `ages` has seen the partition as it stands in `work`; `now`: monotonic seconds.
    """
    target = min(work.settings.segment_bytes, MOST_SEGMENT_BYTES)
    plans: list[CompactionPlan] = []
    waiting = waiting_extents(work.manifest, work.published.extents)
    stable_upto = stable_offset(work.published, waiting)
    extents = tuple(takewhile(lambda one: one.last_offset < stable_upto, waiting))
    if extents and _is_due(extents, ages.oldest_seconds(now), limits):
        taken = _take(extents, max(_SEGMENTS_A_PLAN * target, limits.compaction_bytes))
        aborted = aborted_among(waiting, taken[-1].last_offset)
        plans.append(CompactExtents(work.manifest.floor, taken[-1].last_offset, taken, target, aborted))
    merge = merge_of(work.manifest, target, span_of(work.settings))
    if merge is not None:
        plans.append(merge)
    return plans


def waiting_extents(manifest: Manifest, extents: Sequence[Extent]) -> tuple[Extent, ...]:
    """The published extents above the record segments, up to the first gap: what the view has forgotten comes later."""
    upto = manifest.floor
    chain: list[Extent] = []
    for extent in extents:
        if extent.last_offset < upto:
            continue
        if extent.base_offset > upto or (chain and extent.base_offset != upto):
            break
        chain.append(extent)
        upto = extent.last_offset + 1
    return tuple(chain)


def stable_offset(published: PublishedPartition, waiting: Sequence[Extent]) -> int:
    """Exclusive: below it every transaction has ended, in one of the `waiting` extents or before them.

    While some extents are not known, no end of a transaction can be ruled out: a partition that has had any waits.
    """
    known_upto = waiting[-1].last_offset + 1 if waiting else 0
    if known_upto < published.end_offset and any(
        one.coordinator_epoch >= 0 or one.in_transaction for one in published.producers
    ):
        return 0
    begun = (one.transaction_first_offset for one in published.producers if one.in_transaction)
    return min(begun, default=published.end_offset)


def aborted_among(waiting: Sequence[Extent], last_offset: int) -> tuple[AbortedTransaction, ...]:
    """The aborted transactions with records up to `last_offset`: their markers may lie above it."""
    return tuple(one for extent in waiting for one in extent.aborted if one.first_offset <= last_offset)


def waiting_bytes(extents: Sequence[Extent]) -> int:
    """Bytes of record batches in them."""
    return sum(extent.size for extent in extents)


def weight(segment: RecordSegment) -> int:
    """What a segment counts when it is to be merged, in bytes."""
    least: int = LEAST_WEIGHT * FAN_IN**segment.rewrites
    return max(segment.size, least)


def span_of(settings: TopicSettings) -> int:
    """How many ms of timestamps a merged segment may span, so that retention.ms is kept nearly to the record."""
    expire = "delete" in settings.cleanup_policy and settings.retention_ms >= 0
    return settings.retention_ms // _SPANS_A_RETENTION if expire else -1


def merge_of(manifest: Manifest, target: int, span_ms: int) -> MergeSegments | None:
    """The first run of neighbours to merge, as long as it can be; None when all is well. span_ms -1: without limit."""
    segments = [one for one in manifest.segments if one.last_offset >= manifest.log_start_offset]
    for first in range(len(segments) - FAN_IN + 1):
        run = _run(segments, first, target, span_ms, manifest.cleaned_upto)
        if run:
            return MergeSegments(run)
    return None


def _is_due(extents: Sequence[Extent], waited_seconds: float, limits: CompactionLimits) -> bool:
    return waiting_bytes(extents) >= limits.compaction_bytes or waited_seconds >= limits.compaction_age_seconds


def _take(extents: Sequence[Extent], most_bytes: int) -> tuple[Extent, ...]:
    """Whole extents up to so many bytes, one at least."""
    taken = [extents[0]]
    size = extents[0].size
    for extent in extents[1:]:
        size += extent.size
        if size > most_bytes:
            break
        taken.append(extent)
    return tuple(taken)


def _run(
    segments: Sequence[RecordSegment], first: int, target: int, span_ms: int, cleaned_upto: int
) -> tuple[RecordSegment, ...]:
    """The longest run from `first` on that may be merged, empty when there is none."""
    total = heaviest = length = 0
    low = high = -1  # timestamps in the run, of segments that hold records
    for at, one in enumerate(takewhile(lambda one: _alike(segments[first], one, cleaned_upto), segments[first:])):
        total, heaviest = total + weight(one), max(heaviest, weight(one))
        if one.max_timestamp >= 0:
            low = one.max_timestamp if low < 0 else min(low, one.max_timestamp)
            high = max(high, one.max_timestamp)
        if total > target or heaviest * FAN_IN > target or (0 <= span_ms < high - low):
            break
        if total >= FAN_IN * heaviest:
            length = at + 1
    return tuple(segments[first : first + length])


def _alike(first: RecordSegment, one: RecordSegment, cleaned_upto: int) -> bool:
    """The cleaner must be able to tell clean from dirty, and since when tombstones were kept, in the merged one too."""
    return (first.last_offset < cleaned_upto, first.cleaned_ms < 0, first.value_format) == (
        one.last_offset < cleaned_upto,
        one.cleaned_ms < 0,
        one.value_format,
    )
