"""Where a fetch is served from."""

import pytest

from infra.errors import Corrupt, Fenced, Refused
from reader.fetch_plan import MAX_EXTENTS, SegmentRead, TailRead, check_offset, plan_read
from tests.reader.world import World, batch_of, offsets_of, run

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
