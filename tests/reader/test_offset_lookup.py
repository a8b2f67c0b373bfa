"""Offsets by time and of the greatest timestamp, against a look at every record."""

import asyncio
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.errors import NotFound, Unavailable
from infra.records.decode import decode_batch
from infra.records.record import Record
from reader.offset_lookup import Found
from tests.reader.history import compact
from tests.reader.world import Led, World, batch_of, run, until

BATCHES = st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=4), min_size=1, max_size=12)


def records_of(led: Led, upto: int) -> list[Record]:
    start = led.log.log_start_offset
    return [record for batch in led.appended for record in decode_batch(batch) if start <= record.offset < upto]


def first_at(led: Led, timestamp: int, upto: int) -> Found | None:
    late = (record for record in records_of(led, upto) if record.timestamp >= timestamp)
    return next((Found(record.offset, record.timestamp) for record in late), None)


def greatest_of(led: Led, upto: int) -> Found | None:
    records = records_of(led, upto)
    best = max((record.timestamp for record in records), default=-1)
    return next((Found(record.offset, record.timestamp) for record in records if record.timestamp == best), None)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    batches=BATCHES,
    flushes=st.sets(st.integers(0, 11)),
    compactions=st.sets(st.integers(0, 11)),
    durability=st.sampled_from(["wal", "object"]),
    tail_bytes=st.sampled_from([0, 3000, 1 << 30]),
    percents=st.tuples(st.integers(0, 100), st.integers(0, 100)),
    codec=st.sampled_from([0, 1, 4]),
)
def test_lookups_find_what_a_look_at_every_record_finds(
    batches: list[list[int]],
    flushes: set[int],
    compactions: set[int],
    durability: Literal["wal", "object"],
    tail_bytes: int,
    percents: tuple[int, int],
    codec: int,
) -> None:
    async def body(world: World) -> None:
        led = world.lead(durability=durability)
        for number, timestamps in enumerate(batches):
            led.append(batch_of(*timestamps, codec=codec))
            if number in flushes:
                await led.flush()
            if number in compactions:
                await compact(world, led, row_group_bytes=20)  # a few records in each row group
        led.log.raise_log_start(led.log.high_watermark * percents[0] // 100)
        start, mark = led.log.log_start_offset, led.log.high_watermark
        ends = [0, *(one.base_offset for one in led.log.extents_from(0)), mark]  # a last stable offset ends a batch
        upto = [end for end in ends if end >= start][percents[1] % len([end for end in ends if end >= start])]
        for timestamp in range(-1, 32):
            assert await world.lookup.at_or_after(led.log, timestamp, upto) == first_at(led, timestamp, upto)
        assert await world.lookup.greatest(led.log, upto) == greatest_of(led, upto)

    run(body, tail_bytes=tail_bytes)


def test_log_append_time_counts_where_it_is_the_topics() -> None:
    async def body(world: World) -> None:
        led = world.lead(durability="wal")
        led.append(batch_of(7, 7, 7, log_append_time=True))
        assert await world.lookup.at_or_after(led.log, 7, 3) == Found(0, 7)

    run(body)


def test_records_without_timestamps_have_no_greatest() -> None:
    async def body(world: World) -> None:
        led = world.lead(durability="wal")
        assert await world.lookup.greatest(led.log, 0) is None
        led.append(batch_of(-1, -1))
        assert await world.lookup.greatest(led.log, 2) is None

    run(body)


def test_only_the_deciding_segment_is_read() -> None:
    async def body(world: World) -> None:
        led = world.lead()
        await led.append_flushed(*(batch_of(at, at + 1) for at in range(0, 100, 2)))
        assert await world.lookup.at_or_after(led.log, 51, 100) == Found(51, 51)
        assert {key for key, _, _ in world.store.gets} == {led.log.extents_from(51)[0].segment}
        assert await world.lookup.at_or_after(led.log, 1000, 100) is None
        assert len({key for key, _, _ in world.store.gets}) == 1

    run(body)


def test_only_the_deciding_row_group_is_read_and_of_it_only_places() -> None:
    async def body(world: World) -> None:
        led = world.lead()
        await led.append_flushed(*(batch_of(at, at + 1, size=100) for at in range(0, 100, 2)))
        first = await compact(world, led, 40, row_group_bytes=100)
        second = await compact(world, led, row_group_bytes=100)
        assert first
        assert second
        world.store.gets.clear()
        assert await world.lookup.at_or_after(led.log, 51, 100) == Found(51, 51)
        group = next(one for one in second.row_groups if one.last_offset >= 51)
        footer, places = world.store.gets
        assert footer[0] == places[0] == second.key
        assert footer[1] < 0 <= group.position <= places[1]
        assert places[2] < group.size
        assert await world.lookup.at_or_after(led.log, 1000, 100) is None
        assert await world.lookup.greatest(led.log, 100) == Found(99, 99)
        assert {key for key, _, _ in world.store.gets} == {second.key}

    run(body)


def test_a_segment_that_is_gone_has_the_manifest_read_again() -> None:
    async def body(world: World) -> None:
        led = world.lead()
        await led.append_flushed(batch_of(5, 6))
        segment = await compact(world, led)
        assert segment
        await world.store.delete([segment.key])
        with pytest.raises(NotFound):
            await world.lookup.at_or_after(led.log, 5, 2)
        assert led.log.manifest_suspected
        led.log.manifest_suspected = False
        with pytest.raises(NotFound):
            await world.lookup.greatest(led.log, 2)
        assert led.log.manifest_suspected

    run(body)


def test_a_tail_that_is_trimmed_meanwhile_is_found_in_segments() -> None:
    """While the first segment is read, what was in the tail is flushed and leaves it."""

    async def body(world: World) -> None:
        led = world.lead(durability="wal")
        await led.append_flushed(batch_of(9, 1))  # claims a late record, below the log start
        led.log.raise_log_start(1)
        led.append(batch_of(2), batch_of(8), batch_of(3))
        world.store.gate.clear()
        looking = asyncio.create_task(world.lookup.at_or_after(led.log, 5, 5))
        await until(lambda: world.store.under_way == 1)
        await led.flush()
        assert led.log.tail_start_offset == 5
        world.store.gate.set()
        assert await looking == Found(3, 8)

    run(body)


def test_a_log_start_raised_meanwhile_hides_what_lies_below() -> None:
    async def body(world: World) -> None:
        led = world.lead()
        await led.append_flushed(batch_of(5, 6), batch_of(7, 8))
        world.store.gate.clear()
        looking = asyncio.create_task(world.lookup.at_or_after(led.log, 5, 4))
        await until(lambda: world.store.under_way == 1)
        led.log.raise_log_start(3)
        world.store.gate.set()
        assert await looking == Found(3, 8)

    run(body)


def test_a_store_that_is_away_fails_it() -> None:
    async def body(world: World) -> None:
        led = world.lead()
        await led.append_flushed(batch_of(9, 1))
        world.store.down = True
        with pytest.raises(Unavailable):
            await world.lookup.at_or_after(led.log, 5, 2)

    run(body)
