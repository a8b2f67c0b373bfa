"""Retention's decision: how far a partition's log start offset rises, and which pieces of the log are dead by then.

Kafka's rules, a piece being a record segment or a published extent: the oldest pieces go while the newest timestamp of
each is older than `retention.ms`, or while what is left without it is still `retention.bytes` at least. Timestamps are
the records' own, whatever their type. A piece without any timestamp (no record, or records without one) never goes by
time alone, but with the next piece that does: nothing else tells its age, and a record must not go early.

Only whole pieces of what is published go, so nothing at or above the high watermark does. Plain: no I/O, no clock.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from infra.cluster.manifest import Manifest
from infra.topic_config import TopicSettings
from infra.view.port import PublishedPartition

FOR_EVER = -1
NO_LIMIT = -1
_NO_TIMESTAMP = -1


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """What a manifest's next record should say. Nothing to do when it says what the manifest says already."""

    log_start_offset: int
    removed: tuple[str, ...]  # keys of the record segments wholly below it


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of the log that stays or goes as a whole."""

    last_offset: int  # inclusive
    max_timestamp: int  # ms, -1 when it has none
    size: int  # bytes in the bucket


def plan_retention(
    manifest: Manifest, published: PublishedPartition, settings: TopicSettings, now_ms: int
) -> RetentionPlan:
    """The log start offset by these settings, never below the manifest's, and the record segments that are dead by it.

    Dead record segments are named whatever `cleanup.policy` says, because DeleteRecords raises the log start too.
    """
    start = manifest.log_start_offset
    if "delete" in settings.cleanup_policy:
        pieces = list(_pieces(manifest, published))
        gone = max(
            _expired(pieces, settings.retention_ms, now_ms),
            _beyond(pieces, settings.retention_bytes),
        )
        if gone:
            start = max(start, pieces[gone - 1].last_offset + 1)
    removed = tuple(segment.key for segment in manifest.segments if segment.last_offset < start)
    return RetentionPlan(start, removed)


def settled_upto(manifest: Manifest, published: PublishedPartition, log_start_offset: int) -> int:
    """Up to where the producers that dead extents told of can be recorded: the end of the last one below the log start.

    Where the view has forgotten dead extents its own producers stand in for them, as far as it has heard of the log.
    """
    position = manifest.producers_upto
    for extent in published.extents:
        if extent.last_offset < position:
            continue
        if extent.base_offset > position:
            break
        if extent.last_offset >= log_start_offset:
            return position
        position = extent.last_offset + 1
    return max(position, min(log_start_offset, published.end_offset))


def _pieces(manifest: Manifest, published: PublishedPartition) -> Iterator[_Piece]:
    """What may be fetched and is published, ascending and without a gap: what lies beyond one is not judged."""
    for segment in manifest.segments:
        if segment.last_offset >= manifest.log_start_offset:
            yield _Piece(segment.last_offset, segment.max_timestamp, segment.size)
    position = manifest.floor
    for extent in published.extents:
        if extent.last_offset < position:
            continue
        if extent.base_offset > position or extent.last_offset >= published.end_offset:
            return
        yield _Piece(extent.last_offset, extent.max_timestamp, extent.size)
        position = extent.last_offset + 1


def _expired(pieces: Sequence[_Piece], retention_ms: int, now_ms: int) -> int:
    """How many of the oldest pieces are too old."""
    gone = 0
    if retention_ms == FOR_EVER:
        return gone
    for number, piece in enumerate(pieces):
        if piece.max_timestamp == _NO_TIMESTAMP:
            continue
        if now_ms - piece.max_timestamp <= retention_ms:
            break
        gone = number + 1
    return gone


def _beyond(pieces: Sequence[_Piece], retention_bytes: int) -> int:
    """How many of the oldest pieces the rest does without."""
    if retention_bytes == NO_LIMIT:
        return 0
    left = sum(piece.size for piece in pieces)
    for number, piece in enumerate(pieces):
        left -= piece.size
        if left < retention_bytes:
            return number
    return len(pieces)
