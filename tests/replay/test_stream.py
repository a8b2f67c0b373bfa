"""The stream: every record once, in order, from segments and leader, whatever is replaced while it reads."""

from reader.replay.plan import Span
from reader.replay.request import BYTES
from tests.replay.world import World, record, records_in, run


def _records(*offsets: int) -> list:
    return [record(offset) for offset in offsets]


async def _whole_topic() -> World:
    """Partition 0: segments to 99 and 149, leader to 199; partition 1: leader only; partition 2: segments only."""
    world = World()
    await world.compacted(0, _records(*range(100)), 0, 99)
    await world.compacted(0, _records(*range(100, 150)), 100, 149)
    for base in range(140, 200, 10):  # what was compacted is still with the leader
        world.leader.append(0, _records(*range(base, base + 10)))
    world.leader.append(1, _records(*range(7)))
    await world.compacted(2, _records(3, 4, 9), 0, 9)
    return world


SPANS = {0: Span(0, 200), 1: Span(0, 7), 2: Span(0, 10)}
EXPECTED = [
    *((0, record(offset)) for offset in range(200)),
    *((1, record(offset)) for offset in range(7)),
    *((2, record(offset)) for offset in (3, 4, 9)),
]


def test_every_record_once_partition_by_partition() -> None:
    async def scenario() -> None:
        world = await _whole_topic()
        delivered = await world.read(SPANS)
        assert records_in([one.rows for one in delivered]) == EXPECTED
        assert {one.partition: one.next_offset for one in delivered} == {0: 200, 1: 7, 2: 10}
        assert all(one.rows.schema == BYTES for one in delivered)

    run(scenario())
