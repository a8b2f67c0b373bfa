"""Where the records of a stretch of one partition are read: pure, from its manifest.

Record segments answer for all below their end, the leader for what lies above it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from infra.cluster.manifest import Manifest
from infra.cluster.manifest_record import RecordSegment, RowGroup


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets from `start` up to, not including, `end`."""

    start: int
    end: int

    def __len__(self) -> int:
        return max(0, self.end - self.start)


@dataclass(frozen=True, slots=True)
class SegmentPiece:
    """Part of a record segment in the bucket."""

    segment: RecordSegment
    span: Span


@dataclass(frozen=True, slots=True)
class FetchPiece:
    """Offsets that are asked of the leader."""

    span: Span


Piece = SegmentPiece | FetchPiece


def plan_span(manifest: Manifest, span: Span, start_ms: int | None = None) -> list[Piece]:
    """The pieces, ascending, that hold all records of `span`.

    What lies below the log start offset is left out, and with `start_ms` so are segments whose records are all older.
    """
    start = max(span.start, manifest.log_start_offset)
    pieces: list[Piece] = []
    for segment in manifest.segments:
        within = Span(max(start, segment.base_offset), min(span.end, segment.last_offset + 1))
        if within and (start_ms is None or segment.max_timestamp >= start_ms):
            pieces.append(SegmentPiece(segment, within))
    above = Span(max(start, manifest.records_end), span.end)
    return [*pieces, FetchPiece(above)] if above else pieces


def groups_of(piece: SegmentPiece) -> Iterator[tuple[int, RowGroup]]:
    """The row groups of a segment, with their numbers, that answer for offsets of the piece."""
    for number, group in enumerate(piece.segment.row_groups):
        if group.last_offset >= piece.span.start and group.base_offset < piece.span.end:
            yield number, group
