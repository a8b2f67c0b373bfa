"""Reading batches out of segments: slices, integrity, how few GETs, and how many side by side."""

import asyncio
from collections.abc import Sequence

import pytest

from infra.errors import BadStart, Corrupt, NotFound, Unavailable
from infra.segment import footer as footer_module
from reader import segment_reader
from reader.fetch_plan import SegmentRead, plan_read
from tests.reader.world import Led, World, batch_of, offsets_of, run, until

PLENTY = 1 << 30


def planned(led: Led, offset: int = 0, max_bytes: int = PLENTY, upto: int | None = None) -> SegmentRead:
    plan = plan_read(led.log, offset, max_bytes, led.log.high_watermark if upto is None else upto, at_least_one=True)
    assert isinstance(plan, SegmentRead)
    return plan


async def read(world: World, led: Led, *options: int) -> list[bytes]:
    return [bytes(batch) for batch in await world.segments.read(planned(led, *options))]


async def flushed(world: World, *segments: Sequence[int]) -> Led:
    """One segment for each: batches with values of so many bytes, two records a batch."""
    led = world.lead()
    for sizes in segments:
        led.append(*(batch_of(1, 2, size=size) for size in sizes))
        await led.flush()
    return led


@pytest.mark.parametrize("block_bytes", [64, 1000, 1 << 20])
def test_batches_come_back_as_they_were_appended(block_bytes: int) -> None:
    async def body(world: World) -> None:
        led = await flushed(world, [10, 3000, 1], [500], [7, 7, 7])
        assert await read(world, led) == led.appended
        for offset in range(led.log.high_watermark):
            assert await read(world, led, offset) == led.appended[offset // 2 :]
        assert await read(world, led, 3, PLENTY, 10) == led.appended[1:5]
        assert await read(world, led, 3, 1) == led.appended[1:2]
        limit = sum(map(len, led.appended[1:4]))
        assert await read(world, led, 3, limit) == led.appended[1:4]
        assert await read(world, led, 3, limit - 1) == led.appended[1:3]

    run(body, block_bytes=block_bytes)


def test_a_small_batch_behind_a_large_one_is_not_given_in_its_place() -> None:
    async def body(world: World) -> None:
        led = await flushed(world, [100, 2000], [10])
        limit = len(led.appended[0]) + len(led.appended[2]) + 1
        assert await read(world, led, 0, limit) == led.appended[:1]

    run(body)


def test_a_small_segment_costs_one_get_and_a_large_one_two() -> None:
    async def body(world: World) -> None:
        small = await flushed(world, [100] * 5)
        await read(world, small)
        assert len(world.store.gets) == 1
        await read(world, small, 3)
        assert len(world.store.gets) == 1

    run(body)

    async def large(world: World) -> None:
        led = await flushed(world, [50_000] * 5)
        assert await read(world, led) == led.appended
        assert len(world.store.gets) == 2

    run(large)


def test_a_footer_larger_than_the_first_look_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_reader, "_END_BYTES", 100)

    async def body(world: World) -> None:
        led = await flushed(world, [30] * 20)
        assert await read(world, led, 30) == led.appended[15:]
        assert len([get for get in world.store.gets if get[1] < 0]) == 2

    run(body)


def test_many_small_extents_are_read_side_by_side_but_not_all_at_once() -> None:
    async def body(world: World) -> None:
        led = await flushed(world, *([50] for _ in range(200)))
        world.store.gate.clear()
        reading = asyncio.create_task(read(world, led))
        await until(lambda: world.store.under_way == 32)
        await asyncio.sleep(0.01)
        assert world.store.under_way == 32
        world.store.gate.set()
        assert await reading == led.appended
        assert len(world.store.gets) == 200

    run(body)


def test_readers_of_one_segment_share_its_gets() -> None:
    async def body(world: World) -> None:
        led = await flushed(world, [100_000] * 3)
        world.store.gate.clear()
        readings = [asyncio.create_task(read(world, led, offset)) for offset in range(6)]
        await until(lambda: world.store.under_way > 0)
        world.store.gate.set()
        for offset, reading in enumerate(readings):
            assert await reading == led.appended[offset // 2 :]
        assert len(world.store.gets) == len(set(world.store.gets)) == 2

    run(body)


def test_what_follows_is_read_ahead() -> None:
    async def body(world: World) -> None:
        led = await flushed(world, *([20_000] for _ in range(6)))
        plan = planned(led, 0, 2 * len(led.appended[0]))
        world.segments.read_ahead(plan)
        await until(lambda: not world.segments._ahead)
        gets = len(world.store.gets)
        assert offsets_of(await world.segments.read(plan)) == [0, 2]
        assert len(world.store.gets) == gets

    run(body)


def test_read_ahead_is_bounded_and_its_failures_are_nobodys() -> None:
    async def body(world: World) -> None:
        led = [world.lead(partition) for partition in range(20)]
        for one in led:
            await one.append_flushed(batch_of(1), batch_of(2))
        world.store.gate.clear()
        for one in led:
            world.segments.read_ahead(planned(one))
            world.segments.read_ahead(planned(one, 1))
        assert len(world.segments._ahead) == 16
        world.store.down = True
        world.store.gate.set()
        await until(lambda: not world.segments._ahead)
        world.store.down = False
        assert await read(world, led[0]) == led[0].appended

    run(body)


def test_failures_name_the_object_and_are_not_remembered() -> None:
    async def body(world: World) -> None:
        led = await flushed(world, [10], [10])
        world.store.down = True
        with pytest.raises(Unavailable):
            await read(world, led)
        world.store.down = False
        assert await read(world, led) == led.appended
        world.restart()
        first, second = (extent.segment for extent in led.log.extents_from(0))
        await world.store.delete([second])
        assert await read(world, led) == led.appended[:1]
        with pytest.raises(NotFound, match=second):
            await read(world, led, 2)
        world.restart()
        await world.store.delete([first])
        with pytest.raises(NotFound, match=first):
            await read(world, led)

    run(body)


def damages(body: bytes, batch: bytes) -> list[bytes]:
    at = body.index(batch)
    index = body.index(b"cauce.index")
    other = bytes([batch[7] ^ 1])
    return [
        b"",
        body[:100],
        body[: at + 8] + body[-(len(body) - at - 200) :],  # bytes are missing before the footer
        body[: at + 7] + other + body[at + 8 :],  # another base offset
        body[: at + 11] + b"\xff" + body[at + 12 :],  # another length
        body[: at + 99] + bytes([batch[99] ^ 1]) + body[at + 100 :],  # one bit of a record
        body[: index + 20] + b"!" + body[index + 21 :],  # a broken footer
        body[:-8] + b"\xff\xff\xff\x7f" + body[-4:],  # a footer longer than the object
    ]


@pytest.mark.parametrize("damage", range(8))
@pytest.mark.parametrize("block_bytes", [256, 1 << 20])
def test_broken_segments_give_no_batches(damage: int, block_bytes: int) -> None:
    async def body(world: World) -> None:
        led = await flushed(world, [300])
        [extent] = led.log.extents_from(0)
        whole = await world.store.get(extent.segment)
        await world.store.delete([extent.segment])
        await world.store.create(extent.segment, damages(whole, led.appended[0])[damage])
        with pytest.raises(Corrupt, match=extent.segment):
            await read(world, led)

    run(body, block_bytes=block_bytes)


def test_the_extent_of_another_segment_is_refused() -> None:
    async def body(world: World) -> None:
        led = await flushed(world, [10], [10])
        first, second = led.log.extents_from(0)
        bodies = [await world.store.get(extent.segment) for extent in (first, second)]
        await world.store.delete([first.segment, second.segment])
        await world.store.create(first.segment, bodies[1])
        with pytest.raises(Corrupt, match="does not hold offsets"):
            await read(world, led)

    run(body)


def test_a_segment_of_a_newer_release_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(world: World) -> None:
        led = await flushed(world, [10])
        monkeypatch.setattr(footer_module, "FORMAT", 0)
        with pytest.raises(BadStart):
            await read(world, led)

    run(body)


def test_a_reader_gives_up_and_the_next_finds_what_was_begun() -> None:
    async def body(world: World) -> None:
        led = await flushed(world, [100])
        world.store.gate.clear()
        reading = asyncio.create_task(read(world, led))
        await until(lambda: world.store.under_way == 1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        world.store.gate.set()
        assert await read(world, led) == led.appended
        assert len(world.store.gets) == 1

    run(body)


def test_close_gives_up_read_aheads() -> None:
    async def body(world: World) -> None:
        led = await flushed(world, [100])
        world.store.gate.clear()
        world.segments.read_ahead(planned(led))
        await until(lambda: world.store.under_way == 1)
        await world.segments.close()
        assert world.store.under_way == 0

    run(body)
