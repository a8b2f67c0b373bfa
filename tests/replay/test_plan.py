"""Plans: whatever stands in a manifest, the pieces hold each offset that is asked for once, in order."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from infra.cluster.manifest import Manifest
from infra.cluster.manifest_record import RecordSegment, RowGroup
from reader.replay.plan import FetchPiece, SegmentPiece, Span, groups_of, plan_span


def _segment(base: int, last: int, max_timestamp: int = 0) -> RecordSegment:
    middle = (base + last) // 2
    groups = [RowGroup(base, middle, 0, 1)] + ([RowGroup(middle + 1, last, 1, 1)] if middle < last else [])
    return RecordSegment(f"{base}-{last}", base, last, last - base + 1, 2, max_timestamp, tuple(groups))


@st.composite
def _manifests(draw: st.DrawFn) -> Manifest:
    lengths = draw(st.lists(st.integers(1, 9), max_size=5))
    start = draw(st.integers(0, 5))
    segments = []
    for length in lengths:
        segments.append(_segment(start, start + length - 1))
        start += length
    return Manifest(0, draw(st.integers(0, 30)), tuple(segments))


@given(_manifests(), st.integers(0, 60), st.integers(0, 60))
def test_pieces_hold_each_offset_once(manifest: Manifest, start: int, end: int) -> None:
    pieces = plan_span(manifest, Span(start, end))
    covered = [offset for piece in pieces for offset in range(piece.span.start, piece.span.end)]
    first = max(start, manifest.log_start_offset)
    if manifest.segments:  # what lies before the first segment and is not with the leader does not exist
        first = max(first, manifest.segments[0].base_offset)
    assert covered == list(range(first, end))
    for piece in pieces:
        if isinstance(piece, FetchPiece):
            assert piece.span.start >= manifest.records_end
        else:
            assert piece.segment.base_offset <= piece.span.start < piece.span.end <= piece.segment.last_offset + 1
            groups = [group for _, group in groups_of(piece)]
            assert groups[0].base_offset <= piece.span.start
            assert groups[-1].last_offset >= piece.span.end - 1
            assert all(before.last_offset + 1 == after.base_offset for before, after in pairwise(groups))


def test_a_segment_whose_records_are_all_older_is_left_out() -> None:
    manifest = Manifest(0, 0, (_segment(0, 9, 100), _segment(10, 19, 200)))
    pieces = plan_span(manifest, Span(0, 25), start_ms=150)
    assert pieces == [SegmentPiece(manifest.segments[1], Span(10, 20)), FetchPiece(Span(20, 25))]
