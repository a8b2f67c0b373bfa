"""Where a stretch of a partition is cut into pieces of work: pure, from its manifest.

A piece is a record segment, some row groups of a large one, or several small ones side by side; what lies above the
record segments is one piece, because one leader answers for it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from infra.cluster.manifest import Manifest
from reader.replay.plan import FetchPiece, Span, groups_of, plan_span

WORK_BYTES = 64 << 20
"""Stored bytes of a piece: some seconds of work, so that starting a piece costs little beside it."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Offsets that one piece of work reads; `size` in bytes of record segments, 0 for what a leader is asked."""

    span: Span
    size: int


def cut(manifest: Manifest, span: Span, work_bytes: int = WORK_BYTES, start_ms: int | None = None) -> list[Stretch]:
    """Stretches, ascending, that hold all records of `span`, but for segments whose records are older than `start_ms`.

    Those in record segments have about `work_bytes`, one row group at least.
    """
    return list(_gathered(_stretches(manifest, span, work_bytes, start_ms), work_bytes))


def _stretches(manifest: Manifest, span: Span, work_bytes: int, start_ms: int | None) -> Iterator[Stretch]:
    """Segments; the row groups of one that is larger than a piece."""
    for piece in plan_span(manifest, span, start_ms):
        if isinstance(piece, FetchPiece):
            yield Stretch(piece.span, 0)
            continue
        groups = [group for _, group in groups_of(piece)]
        size = sum(group.size for group in groups)
        if size <= work_bytes:
            yield Stretch(piece.span, max(size, 1))
            continue
        bounds = [piece.span.start, *(group.base_offset for group in groups[1:]), piece.span.end]
        for number, group in enumerate(groups):
            yield Stretch(Span(bounds[number], bounds[number + 1]), max(group.size, 1))


def _gathered(stretches: Iterable[Stretch], work_bytes: int) -> Iterator[Stretch]:
    """Neighbours in record segments joined as long as they fit."""
    open_one: Stretch | None = None
    for stretch in stretches:
        if open_one is not None and _fit(open_one, stretch, work_bytes):
            open_one = Stretch(Span(open_one.span.start, stretch.span.end), open_one.size + stretch.size)
            continue
        if open_one is not None:
            yield open_one
        open_one = stretch
    if open_one is not None:
        yield open_one


def _fit(left: Stretch, right: Stretch, work_bytes: int) -> bool:
    in_bucket = left.size > 0 and right.size > 0
    return in_bucket and left.span.end == right.span.start and left.size + right.size <= work_bytes
