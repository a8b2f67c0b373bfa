"""Cutting work: every offset in one piece, pieces of the size that was asked for."""

from hypothesis import given
from hypothesis import strategies as st

from infra.cluster.manifest import Manifest
from infra.cluster.manifest_record import RecordSegment, RowGroup
from reader.engines.cutting import Stretch, cut
from reader.replay.plan import Span


def _segment(base: int, sizes: list[int], max_timestamp: int = 0) -> RecordSegment:
    """Row groups of ten offsets each."""
    groups = tuple(RowGroup(base + 10 * at, base + 10 * at + 9, 0, size) for at, size in enumerate(sizes))
    return RecordSegment(f"at-{base}", base, groups[-1].last_offset, 1, sum(sizes), max_timestamp, groups)


def _manifest(*segments: list[int], log_start: int = 0) -> Manifest:
    found, base = [], 0
    for sizes in segments:
        found.append(_segment(base, sizes))
        base = found[-1].last_offset + 1
    return Manifest(0, log_start, tuple(found))


def test_a_segment_is_a_piece_and_the_leader_answers_for_the_rest() -> None:
    manifest = _manifest([50, 50], [40, 60])
    assert cut(manifest, Span(0, 70), 100) == [
        Stretch(Span(0, 20), 100),
        Stretch(Span(20, 40), 100),
        Stretch(Span(40, 70), 0),
    ]


def test_a_large_segment_is_cut_at_row_groups() -> None:
    assert cut(_manifest([60, 50, 50, 120, 10]), Span(3, 48), 100) == [
        Stretch(Span(3, 10), 60),
        Stretch(Span(10, 30), 100),
        Stretch(Span(30, 40), 120),
        Stretch(Span(40, 48), 10),
    ]


def test_small_neighbours_are_one_piece() -> None:
    assert cut(_manifest([10], [20], [30], [90]), Span(0, 40), 100) == [
        Stretch(Span(0, 30), 60),
        Stretch(Span(30, 40), 90),
    ]


def test_what_is_too_old_or_below_the_log_start_is_left_out() -> None:
    old, new = _segment(0, [10, 10], 100), _segment(20, [10], 200)
    assert cut(Manifest(0, 0, (old, new)), Span(0, 30), 100, start_ms=150) == [Stretch(Span(20, 30), 10)]
    assert cut(Manifest(0, 12, (old, new)), Span(0, 30), 100) == [Stretch(Span(12, 30), 20)]
    assert cut(Manifest(0, 30, (old, new)), Span(0, 30), 100) == []


@given(
    st.lists(st.lists(st.integers(1, 200), min_size=1, max_size=6), max_size=6),
    st.integers(0, 150),
    st.integers(0, 150),
    st.integers(0, 100),
    st.integers(1, 500),
)
def test_every_offset_is_in_one_piece(
    segments: list[list[int]], start: int, end: int, log_start: int, work_bytes: int
) -> None:
    stretches = cut(_manifest(*segments, log_start=log_start), Span(start, end), work_bytes)
    covered = [offset for one in stretches for offset in range(one.span.start, one.span.end)]
    assert covered == list(range(max(start, log_start), end))
    assert all(one.span for one in stretches)
    groups = [size for sizes in segments for size in sizes]
    assert all(one.size <= max(work_bytes, max(groups, default=0)) for one in stretches)
