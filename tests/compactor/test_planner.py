"""The planner: when extents are due and which, and that merging converges with a bound on rewrites."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compactor.ages import ExtentAges
from compactor.planner import (
    FAN_IN,
    LEAST_WEIGHT,
    MOST_SEGMENT_BYTES,
    CompactionLimits,
    merge_of,
    plan,
    waiting_extents,
)
from compactor.plans import CompactExtents, MergeSegments
from infra.cluster.manifest import Manifest
from infra.cluster.manifest_record import RecordSegment
from tests.compactor.parts import extent, extents, look, segment

LIMITS = CompactionLimits(compaction_bytes=5000, compaction_age_seconds=60)


def ages_of(end: int, seen: float = 0.0, floor: int = 0) -> ExtentAges:
    ages = ExtentAges()
    ages.saw(end, floor, seen)
    return ages


def merging(*segments: RecordSegment, target: int = MOST_SEGMENT_BYTES, span_ms: int = -1) -> MergeSegments | None:
    return merge_of(Manifest(0, segments=segments), target, span_ms)


def row(sizes: Sequence[int], rewrites: int = 0) -> list[RecordSegment]:
    """Neighbours of these sizes, ten records each."""
    return [segment(at * 10, at * 10 + 9, size, at * 10, rewrites) for at, size in enumerate(sizes)]


def test_few_and_young_extents_wait() -> None:
    work = look(published=extents([10, 20, 30]))
    assert plan(work, ages_of(30), LIMITS, now=59.9) == []


def test_many_bytes_are_due_at_once() -> None:
    work = look(published=extents([10, 20, 30, 40, 50]))
    [made] = plan(work, ages_of(50), LIMITS, now=0)
    assert isinstance(made, CompactExtents)
    assert (made.base_offset, made.last_offset, made.extents) == (0, 49, work.published.extents)


def test_old_extents_are_due_however_small() -> None:
    work = look(published=extents([1], size=61))
    [made] = plan(work, ages_of(1), LIMITS, now=60)
    assert (made.size, isinstance(made, CompactExtents)) == (61, True)


def test_a_plan_begins_at_the_log_start_within_an_extent_and_after_the_record_segments() -> None:
    manifest = Manifest(3, log_start_offset=25, segments=(segment(0, 9, 100),))
    [made] = plan(look(manifest, extents([10, 20, 30, 40])), ages_of(40, floor=25), LIMITS, now=60)
    assert isinstance(made, CompactExtents)
    assert (made.base_offset, made.last_offset) == (25, 39)
    assert [one.base_offset for one in made.extents] == [20, 30]


def test_a_plan_takes_whole_extents_up_to_a_few_segments() -> None:
    work = look(published=extents(range(10, 210, 10)), configs={"segment.bytes": "2000"})
    [made] = plan(work, ages_of(200), LIMITS, now=0)
    assert isinstance(made, CompactExtents)
    assert (made.size, made.target_bytes, made.last_offset) == (8000, 2000, 79)
    huge = look(published=(extent(0, 9, size=10**9), extent(10, 19, 10**9, 1)), configs={"segment.bytes": "2000"})
    [made] = plan(huge, ages_of(20), LIMITS, now=0)
    assert made.size == 10**9


def test_what_lies_above_a_gap_waits_until_the_view_knows_the_gap_again() -> None:
    known = (*extents([10, 20]), *extents([40, 50], begin=30))
    assert [one.last_offset for one in waiting_extents(Manifest(), known)] == [9, 19]
    assert waiting_extents(Manifest(), known[1:]) == ()
    assert waiting_extents(Manifest(0, log_start_offset=35), known) == known[2:]


def test_a_quiet_partition_plans_nothing() -> None:
    manifest = Manifest(3, segments=(segment(0, 49, 100),))
    assert plan(look(manifest, extents([10, 50])), ages_of(50, floor=50), LIMITS, now=1e9) == []
    assert plan(look(), ExtentAges(), LIMITS, now=1e9) == []


def test_four_alike_are_merged_and_the_run_is_as_long_as_it_can_be() -> None:
    assert merging(*row([1 << 20] * 3)) is None
    found = merging(*row([1 << 20] * 11))
    assert found is not None
    assert len(found.segments) == 11


def test_small_ones_beside_a_big_one_are_merged_without_it() -> None:
    found = merging(*row([64 << 20, *[1 << 20] * 4, 64 << 20]))
    assert found is not None
    assert [one.base_offset for one in found.segments] == [10, 20, 30, 40]


def test_nothing_grows_beyond_the_target() -> None:
    assert merging(*row([100] * 12), target=LEAST_WEIGHT * 3) is None
    found = merging(*row([1 << 20] * 12), target=5 << 20)
    assert found is not None
    assert len(found.segments) == 5
    assert merging(*row([70 << 20] * 8)) is None


def test_what_retention_takes_apart_is_not_merged() -> None:
    assert merging(*row([1 << 20] * 12), span_ms=20) is None
    found = merging(*row([1 << 20] * 12), span_ms=40)
    assert found is not None
    assert len(found.segments) == 5


def test_dead_segments_are_left_to_retention() -> None:
    manifest = Manifest(0, log_start_offset=25, segments=tuple(row([1 << 20] * 6)))
    found = merge_of(manifest, MOST_SEGMENT_BYTES, -1)
    assert found is not None
    assert found.segments[0].base_offset == 20


def test_the_border_of_what_was_cleaned_stays_a_border() -> None:
    segments = row([1 << 20] * 8)
    cleaned = tuple(replace(one, cleaned_ms=5) for one in segments[:4]) + tuple(segments[4:])
    found = merge_of(Manifest(0, segments=cleaned, cleaned_upto=40), MOST_SEGMENT_BYTES, -1)
    assert found is not None
    assert found.segments == cleaned[:4]
    assert merge_of(Manifest(0, segments=tuple(segments[:6]), cleaned_upto=30), MOST_SEGMENT_BYTES, -1) is None


@given(
    sizes=st.lists(st.integers(100, 1 << 20), min_size=1, max_size=120),
    shrink=st.floats(0.05, 1.0),
    target=st.sampled_from([1 << 16, 1 << 20, 64 << 20, MOST_SEGMENT_BYTES]),
)
@settings(max_examples=60, deadline=None)
def test_merging_converges_with_a_bound_on_rewrites(sizes: list[int], shrink: float, target: int) -> None:
    """Segments arrive one by one, as age brings them; each is merged as long as there is something to merge."""
    manifest = Manifest(0)
    for at, size in enumerate(sizes):
        manifest = replace(manifest, segments=(*manifest.segments, segment(at * 10, at * 10 + 9, size)))
        for _ in range(len(sizes)):
            found = merge_of(manifest, target, -1)
            if found is None:
                break
            manifest = _merged(manifest, found, shrink)
        else:
            pytest.fail("merging does not come to an end")
    assert (manifest.segments[0].base_offset, manifest.segments[-1].last_offset) == (0, len(sizes) * 10 - 1)
    assert all(one.last_offset + 1 == after.base_offset for one, after in pairwise(manifest.segments))
    most = max(one.rewrites for one in manifest.segments)
    assert most <= math.log(target / LEAST_WEIGHT, FAN_IN)
    if shrink == 1.0:
        smallest = max(LEAST_WEIGHT, min(sizes))
        assert most <= max(0.0, math.log(target / smallest, FAN_IN))


@given(count=st.integers(1, 400))
@settings(max_examples=20, deadline=None)
def test_few_segments_remain_of_many_alike(count: int) -> None:
    manifest = Manifest(0)
    for at in range(count):
        manifest = replace(manifest, segments=(*manifest.segments, segment(at * 10, at * 10 + 9, 1 << 20)))
        while found := merge_of(manifest, MOST_SEGMENT_BYTES, -1):
            manifest = _merged(manifest, found, 1.0)
    assert len(manifest.segments) <= 4 * FAN_IN + count / 32


def test_ages_count_from_when_a_record_was_first_seen() -> None:
    ages = ages_of(10, seen=100.0)
    ages.saw(20, 0, 130.0)
    assert ages.oldest_seconds(160.0) == 60.0
    ages.saw(20, 10, 161.0)
    assert ages.oldest_seconds(170.0) == 40.0
    ages.saw(20, 20, 171.0)
    assert ages.oldest_seconds(180.0) == 0.0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=600))
@settings(max_examples=30, deadline=None)
def test_ages_never_make_a_record_older_than_it_is(steps: list[tuple[int, int]]) -> None:
    ages, first_seen, end, floor, now = ExtentAges(), dict[int, float](), 0, 0, 0.0
    for grows, compacted in steps:
        now += 1
        first_seen.update(dict.fromkeys(range(end, end + grows), now))
        end, floor = end + grows, min(floor + compacted, end + grows)
        ages.saw(end, floor, now)
        oldest = ages.oldest_seconds(now)
        assert (oldest == 0.0) or floor < end
        assert oldest <= (now - first_seen[floor] if floor < end else 0.0)


def _merged(manifest: Manifest, found: MergeSegments, shrink: float) -> Manifest:
    first, last = found.segments[0], found.segments[-1]
    made = segment(
        first.base_offset,
        last.last_offset,
        max(100, int(found.size * shrink)),
        rewrites=max(one.rewrites for one in found.segments) + 1,
    )
    kept = [one for one in manifest.segments if one not in found.segments]
    return replace(manifest, segments=tuple(sorted((*kept, made), key=lambda one: one.base_offset)))
