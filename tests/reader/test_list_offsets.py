"""ListOffsets through the wire's messages."""

import asyncio
from typing import Any

import pytest

from infra.error_code import ErrorCode
from infra.wire.messages import list_offsets as message
from reader.api.list_offsets import ListOffsetsHandler
from tests.reader.world import World, ask, batch_of, run, until

VERSIONS = [1, 2, 4, 6, 7, 8]
LATEST, EARLIEST, GREATEST, EARLIEST_LOCAL = -1, -2, -3, -4


async def look(world: World, version: int, *asked: tuple[int, int], **options: Any) -> list[tuple[int, int, int, int]]:
    """(error, offset, timestamp, leader epoch) for each (partition, timestamp)."""
    epoch = options.pop("current_leader_epoch", -1)
    partitions = [
        message.ListOffsetsPartition(partition_index=partition, timestamp=timestamp, current_leader_epoch=epoch)
        for partition, timestamp in asked
    ]
    topic = message.ListOffsetsTopic(name=options.pop("topic", "flights"), partitions=partitions)
    request = message.ListOffsetsRequest(replica_id=-1, topics=[topic], **options)
    handler = ListOffsetsHandler(world.topics, world, world.lookup)
    [answered] = (await ask(handler, request, version)).topics
    assert [one.partition_index for one in answered.partitions] == [partition for partition, _ in asked]
    return [(one.error_code, one.offset, one.timestamp, one.leader_epoch) for one in answered.partitions]


@pytest.mark.parametrize("version", VERSIONS)
def test_ends_and_times(version: int) -> None:
    async def body(world: World) -> None:
        led = world.lead(epochs=[(2, 0), (5, 0)])
        await led.append_flushed(batch_of(10, 30), batch_of(20, 40))
        led.append(batch_of(50))  # not visible yet
        led.log.raise_log_start(1)
        epoch = 5 if version >= 4 else -1

        async def one(timestamp: int) -> tuple[int, ...]:
            return (await look(world, version, (0, timestamp)))[0]

        assert await one(LATEST) == (0, 4, -1, epoch)
        assert await one(EARLIEST) == (0, 1, -1, epoch)
        assert await one(0) == (0, 1, 30, epoch)
        assert await one(31) == (0, 3, 40, epoch)
        assert await one(41) == (0, -1, -1, -1)
        assert await one(GREATEST) == ((0, 3, 40, epoch) if version >= 7 else (35, -1, -1, -1))
        assert await one(EARLIEST_LOCAL) == ((0, 1, -1, epoch) if version >= 8 else (35, -1, -1, -1))
        assert await one(-5) == (35, -1, -1, -1)

    run(body)


def test_the_epoch_is_the_one_that_wrote_the_record() -> None:
    async def body(world: World) -> None:
        world.lead(epochs=[(2, 0), (3, 4), (5, 9)], end_offset=9)
        assert await look(world, 8, (0, EARLIEST), (1, EARLIEST)) == [(0, 0, -1, 2), (6, -1, -1, -1)]
        assert await look(world, 8, (0, LATEST)) == [(0, 9, -1, 5)]

    run(body)


def test_an_empty_partition() -> None:
    async def body(world: World) -> None:
        world.lead()
        for timestamp, expected in ((LATEST, 0), (EARLIEST, 0), (GREATEST, -1), (7, -1)):
            assert (await look(world, 8, (0, timestamp)))[0][:2] == (0, expected)

    run(body)


def test_refusals() -> None:
    async def body(world: World) -> None:
        led = world.lead(epochs=[(5, 0)])
        assert await look(world, 8, (8, LATEST)) == [(3, -1, -1, -1)]
        assert await look(world, 8, (0, LATEST), topic="none") == [(3, -1, -1, -1)]
        assert (await look(world, 8, (0, LATEST), current_leader_epoch=4))[0][0] == ErrorCode.FENCED_LEADER_EPOCH
        assert (await look(world, 8, (0, LATEST), current_leader_epoch=6))[0][0] == ErrorCode.UNKNOWN_LEADER_EPOCH
        assert (await look(world, 8, (0, LATEST), current_leader_epoch=5))[0][0] == 0
        twice = await look(world, 8, (0, LATEST), (0, EARLIEST), (1, LATEST))
        assert [error for error, *_ in twice] == [42, 42, 6]
        world.guard.lapsed = True
        assert await look(world, 8, (0, LATEST)) == [(6, -1, -1, -1)]
        world.guard.lapsed = False
        world.lose(led)
        assert await look(world, 8, (0, LATEST)) == [(6, -1, -1, -1)]

    run(body)


def test_the_store_away_or_an_object_gone_is_retriable() -> None:
    async def body(world: World) -> None:
        led = world.lead()
        await led.append_flushed(batch_of(10))
        world.store.down = True
        assert await look(world, 8, (0, 5)) == [(ErrorCode.REQUEST_TIMED_OUT, -1, -1, -1)]
        world.store.down = False
        await world.store.delete([led.log.extents_from(0)[0].segment])
        assert await look(world, 8, (0, 5)) == [(ErrorCode.KAFKA_STORAGE_ERROR, -1, -1, -1)]

    run(body)


def test_a_lease_lost_while_looking() -> None:
    async def body(world: World) -> None:
        led = world.lead()
        await led.append_flushed(batch_of(10))
        world.store.gate.clear()
        looking = asyncio.create_task(look(world, 8, (0, 5)))
        await until(lambda: world.store.under_way == 1)
        world.lose(led)
        world.store.gate.set()
        assert await looking == [(6, -1, -1, -1)]

    run(body)


def test_partitions_are_looked_up_side_by_side() -> None:
    async def body(world: World) -> None:
        for partition in range(4):
            await world.lead(partition).append_flushed(batch_of(10 + partition))
        world.store.gate.clear()
        looking = asyncio.create_task(look(world, 8, *((partition, 5) for partition in range(4))))
        await until(lambda: world.store.under_way == 4)
        world.store.gate.set()
        assert [timestamp for _, _, timestamp, _ in await looking] == [10, 11, 12, 13]

    run(body)
