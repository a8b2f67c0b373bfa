"""Where a fetch is served from."""

import pytest

from infra.cluster.manifest_record import RecordSegment, RowGroup
from infra.errors import Corrupt, Fenced, Refused
from reader.fetch_plan import (
    MAX_EXTENTS,
    MAX_ROW_GROUPS,
    RecordRead,
    SegmentRead,
    TailRead,
    check_offset,
    plan_read,
)
from tests.reader.history import adopt, compact
from tests.reader.world import Led, World, batch_of, offsets_of, run

PLENTY = 1 << 30


def test_the_tail_is_taken_where_it_holds_the_offset() -> None:
    async def body(world: World) -> None:
        led = world.lead(durability="wal")
        led.append(batch_of(1, 2), batch_of(3), batch_of(4, 5))
        plan = plan_read(led.log, 1, PLENTY, led.log.high_watermark, at_least_one=False)
        assert isinstance(plan, TailRead)
        assert offsets_of(plan.batches) == [0, 2, 3]
        assert plan_read(led.log, 5, PLENTY, 5, at_least_one=True) == TailRead([])
        assert plan_read(led.log, 0, 1, 5, at_least_one=False) == TailRead([])
        assert plan_read(led.log, 0, 0, 5, at_least_one=False) == TailRead([])
        first = plan_read(led.log, 0, 0, 5, at_least_one=True)
        assert isinstance(first, TailRead)
        assert offsets_of(first.batches) == [0]

    run(body)


def test_segments_are_taken_below_the_tail_as_far_as_is_enough() -> None:
    async def body(world: World) -> None:
        led = world.lead()
        await led.append_flushed(*(batch_of(1, 2, size=1000) for _ in range(6)))
        size = led.log.extents_from(0)[0].size

        def bases(offset: int, max_bytes: int, upto: int = 12) -> list[int]:
            plan = plan_read(led.log, offset, max_bytes, upto, at_least_one=True)
            assert isinstance(plan, SegmentRead)
            assert 1 <= plan.expected_bytes <= max(1, max_bytes)
            return [extent.base_offset for extent in plan.extents]

        assert bases(0, PLENTY) == [0, 2, 4, 6, 8, 10]
        assert bases(3, PLENTY) == [2, 4, 6, 8, 10]
        assert bases(3, 2 * size) == [2, 4, 6]  # the first may give little
        assert bases(3, 0) == [2]
        assert bases(3, PLENTY, upto=6) == [2, 4]

    run(body)


def test_a_plan_names_a_bounded_number_of_extents() -> None:
    async def body(world: World) -> None:
        led = world.lead()
        await led.append_flushed(*(batch_of(1) for _ in range(MAX_EXTENTS + 10)))
        plan = plan_read(led.log, 0, PLENTY, led.log.high_watermark, at_least_one=True)
        assert isinstance(plan, SegmentRead)
        assert len(plan.extents) == MAX_EXTENTS

    run(body)


def test_a_hole_in_the_extents_is_never_passed_over() -> None:
    async def body(world: World) -> None:
        led = world.lead()
        await led.append_flushed(batch_of(1), batch_of(2), batch_of(3))
        del led.log._history.extents[1]
        plan = plan_read(led.log, 0, PLENTY, 3, at_least_one=True)
        assert isinstance(plan, SegmentRead)
        assert [extent.base_offset for extent in plan.extents] == [0]
        with pytest.raises(Corrupt, match="no extent holds offset 1"):
            plan_read(led.log, 1, PLENTY, 3, at_least_one=True)
        del led.log._history.extents[1]
        with pytest.raises(Corrupt):
            plan_read(led.log, 2, PLENTY, 3, at_least_one=True)

    run(body)


async def with_segments(world: World) -> Led:
    """Offsets 0 to 9, 10 to 19 in record segments of several row groups, 20 to 29 in extents, the rest in the tail."""
    led = world.lead(durability="wal")
    await led.append_flushed(*(batch_of(1, 2, size=1000, codec=0) for _ in range(15)))
    await compact(world, led, 10, row_group_bytes=1)
    await compact(world, led, 20, row_group_bytes=1)
    led.append(batch_of(1, 2))
    return led


def test_the_boundary_is_the_manifests() -> None:
    async def body(world: World) -> None:
        led = await with_segments(world)

        def kind(offset: int) -> type:
            return type(plan_read(led.log, offset, PLENTY, 32, at_least_one=True))

        assert [kind(offset) for offset in (0, 9, 10, 19)] == [RecordRead] * 4
        assert [kind(offset) for offset in (20, 29)] == [SegmentRead] * 2
        assert [kind(offset) for offset in (30, 31, 32)] == [TailRead] * 3

    run(body)


def test_row_groups_are_taken_as_far_as_is_enough_and_over_segments() -> None:
    async def body(world: World) -> None:
        led = await with_segments(world)
        segments = led.log.manifest.segments
        groups = [group for segment in segments for group in segment.row_groups]
        assert len(groups) > 6

        def planned(offset: int, max_bytes: int, upto: int = 32) -> RecordRead:
            plan = plan_read(led.log, offset, max_bytes, upto, at_least_one=True)
            assert isinstance(plan, RecordRead)
            assert 1 <= plan.expected_bytes <= max(1, max_bytes)
            return plan

        whole = planned(0, PLENTY)
        assert [read.group for read in whole.groups] == groups
        assert whole.expected_bytes > 20 * 1000
        assert {read.segment for read in whole.groups} == {segment.key for segment in segments}
        assert [segments[0].row_groups, segments[1].row_groups] == [
            tuple(read.group for read in whole.groups if read.segment == segment.key) for segment in segments
        ]
        assert len(planned(0, 1).groups) == len(planned(0, 0).groups) == 1
        few = planned(0, 3 * whole.groups[0].expected_bytes).groups
        assert 2 <= len(few) < len(groups)
        middle = groups[3]
        assert planned(middle.last_offset, PLENTY).groups[0].group == middle
        assert all(read.group.base_offset < 12 for read in planned(0, PLENTY, upto=12).groups)

    run(body)


def test_a_plan_names_a_bounded_number_of_row_groups() -> None:
    async def body(world: World) -> None:
        led = world.lead(end_offset=1000)
        groups = tuple(RowGroup(at, at, 10 * at, 10) for at in range(1000))
        adopt(led, [RecordSegment("records/a", 0, 999, 1000, 10_000, 5, groups)])
        plan = plan_read(led.log, 500, PLENTY, 1000, at_least_one=True)
        assert isinstance(plan, RecordRead)
        assert [read.number for read in plan.groups] == list(range(500, 500 + MAX_ROW_GROUPS))

    run(body)


def test_offsets_out_of_range_are_refused_only_while_the_session_lives() -> None:
    async def body(world: World) -> None:
        led = world.lead()
        await led.append_flushed(batch_of(1, 2), batch_of(3, 4))
        led.append(batch_of(5))  # above the high watermark
        led.log.raise_log_start(2)
        for offset in (2, 4, 5):
            check_offset(led.log, offset)
        for offset in (-1, 1, 6):
            with pytest.raises(Refused) as caught:
                check_offset(led.log, offset)
            assert caught.value.code == 1
        world.guard.lapsed = True
        with pytest.raises(Fenced):
            check_offset(led.log, 6)
        check_offset(led.log, 4)

    run(body)
