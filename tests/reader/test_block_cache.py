"""Shared reads and the block cache over them."""

import asyncio

import pytest

from infra.errors import NotFound, Unavailable
from reader.block_cache import BlockCache
from tests.reader.world import GatedStore, World, run, until


async def stored(world: World, size: int, key: str = "o") -> bytes:
    body = bytes(at * 7 % 251 for at in range(size))
    await world.store.create(key, body)
    return body


def test_every_slice_of_an_object_is_its_bytes() -> None:
    async def body(world: World) -> None:
        whole = await stored(world, 37)
        for position in range(37):
            for length in range(1, 45):
                assert await world.cache.read("o", position, length) == whole[position : position + length]
        assert len(world.store.gets) == len(set(world.store.gets))

    run(body, block_bytes=8)


def test_a_block_is_read_once_however_many_ask() -> None:
    async def body(world: World) -> None:
        whole = await stored(world, 100)
        world.store.gate.clear()
        reads = [asyncio.create_task(world.cache.read("o", at, 8)) for at in range(10)]
        await until(lambda: world.store.under_way > 0)
        world.store.gate.set()
        assert [bytes(await read) for read in reads] == [whole[at : at + 8] for at in range(10)]
        assert len(world.store.gets) == 1

    run(body)


def test_a_slice_within_a_block_is_no_copy() -> None:
    async def body(world: World) -> None:
        await stored(world, 64)
        first, second = await world.cache.read("o", 0, 8), await world.cache.read("o", 3, 20)
        assert first.obj is second.obj

    run(body, block_bytes=32)


def test_a_failure_is_told_to_all_who_wait_and_not_kept() -> None:
    async def body(world: World) -> None:
        whole = await stored(world, 10)
        world.store.gate.clear()
        reads = [asyncio.create_task(world.cache.read("o", 0, 4)) for _ in range(3)]
        await until(lambda: world.store.under_way > 0)
        world.store.down = True
        world.store.gate.set()
        outcomes = await asyncio.gather(*reads, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3
        assert len(world.store.gets) == 1
        world.store.down = False
        assert await world.cache.read("o", 0, 4) == whole[:4]
        with pytest.raises(NotFound):
            await world.cache.read("none", 0, 4)

    run(body)


def test_a_read_that_was_given_up_fills_the_cache() -> None:
    async def body(world: World) -> None:
        whole = await stored(world, 10)
        world.store.gate.clear()
        read = asyncio.create_task(world.cache.read("o", 0, 4))
        await until(lambda: world.store.under_way > 0)
        read.cancel()
        await asyncio.wait([read])
        assert read.cancelled()
        world.store.gate.set()
        await until(lambda: world.cache.size > 0)
        assert await world.cache.read("o", 0, 4) == whole[:4]
        assert len(world.store.gets) == 1

    run(body)


def test_the_cache_holds_no_more_than_it_may_and_drops_the_oldest_used() -> None:
    async def body(world: World) -> None:
        await stored(world, 100)
        for position in (0, 10, 20, 0, 30):
            await world.cache.read("o", position, 1)
            assert world.cache.size <= 30
        before = len(world.store.gets)
        await world.cache.read("o", 0, 1)
        assert len(world.store.gets) == before
        await world.cache.read("o", 10, 1)
        assert len(world.store.gets) == before + 1

    run(body, block_bytes=10, cache_bytes=30)


def test_a_block_larger_than_the_cache_is_served_all_the_same() -> None:
    async def body(world: World) -> None:
        whole = await stored(world, 100)
        assert await world.cache.read("o", 5, 50) == whole[5:55]
        assert world.cache.size == 0

    run(body, block_bytes=64, cache_bytes=10)


def test_gets_side_by_side_are_bounded() -> None:
    async def body() -> None:
        store = GatedStore()
        await store.create("o", bytes(1000))
        cache = BlockCache(store, block_bytes=10, gets=4)
        store.gate.clear()
        read = asyncio.create_task(cache.read("o", 0, 1000))
        await until(lambda: store.under_way == 4)
        store.gate.set()
        assert len(await read) == 1000
        assert store.most_under_way == 4

    asyncio.run(body())


def test_a_whole_object_that_came_another_way_is_kept() -> None:
    async def body(world: World) -> None:
        whole = await stored(world, 10)
        world.cache.put_whole("o", whole)
        world.cache.put_whole("o", whole)
        assert world.cache.size == 10
        assert await world.cache.read("o", 2, 14) == whole[2:]
        world.cache.put_whole("long", bytes(17))
        assert world.cache.size == 10
        assert not world.store.gets

    run(body, block_bytes=16)


def test_close_gives_up_what_is_under_way() -> None:
    async def body(world: World) -> None:
        await stored(world, 10)
        world.store.gate.clear()
        read = asyncio.create_task(world.cache.read("o", 0, 4))
        await until(lambda: world.store.under_way > 0)
        await world.cache.close()
        await asyncio.wait([read])
        assert world.store.under_way == 0

    run(body)
