"""OffsetForLeaderEpoch through the wire's messages."""

import pytest

from infra.wire.messages import offset_for_leader_epoch as message
from reader.api.offset_for_leader_epoch import OffsetForLeaderEpochHandler
from tests.reader.world import World, ask, batch_of, run


async def ends(
    world: World, version: int, *asked: tuple[int, int], believed: int = -1, topic: str = "flights"
) -> list[tuple[int, int, int]]:
    """(error, epoch, end offset) for each (partition, epoch)."""
    partitions = [
        message.OffsetForLeaderPartition(partition=partition, leader_epoch=epoch, current_leader_epoch=believed)
        for partition, epoch in asked
    ]
    request = message.OffsetForLeaderEpochRequest(
        topics=[message.OffsetForLeaderTopic(topic=topic, partitions=partitions)]
    )
    answer = await ask(OffsetForLeaderEpochHandler(world.topics, world), request, version)
    [told] = answer.topics
    assert told.topic == topic
    assert [one.partition for one in told.partitions] == [partition for partition, _ in asked]
    return [(one.error_code, one.leader_epoch, one.end_offset) for one in told.partitions]


@pytest.mark.parametrize("version", [2, 3, 4])
def test_ends_of_epochs(version: int) -> None:
    async def body(world: World) -> None:
        led = world.lead(epochs=[(1, 0), (3, 4), (5, 9)], end_offset=9)
        led.append(batch_of(1, 2))
        asked = [(0, epoch) for epoch in (-1, 0, 1, 2, 3, 4, 5, 6)]
        assert await ends(world, version, *asked) == [
            (0, -1, -1),
            (0, 0, 0),
            (0, 1, 4),
            (0, 1, 4),
            (0, 3, 9),
            (0, 3, 9),
            (0, 5, 11),
            (0, -1, -1),
        ]

    run(body)


def test_refusals() -> None:
    async def body(world: World) -> None:
        world.lead(epochs=[(5, 0)])
        assert await ends(world, 4, (0, 5), (1, 5), (8, 5)) == [(0, 5, 0), (6, -1, -1), (3, -1, -1)]
        assert await ends(world, 4, (0, 5), topic="none") == [(3, -1, -1)]
        assert await ends(world, 4, (0, 5), believed=4) == [(74, -1, -1)]
        assert await ends(world, 4, (0, 5), believed=6) == [(75, -1, -1)]
        world.guard.lapsed = True
        assert await ends(world, 4, (0, 5)) == [(6, -1, -1)]

    run(body)
