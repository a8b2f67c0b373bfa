"""The read side over the whole write side: appended, flushed, published and given back by the real parts."""

import asyncio

import pytest

from infra.error_code import ErrorCode
from infra.errors import Corrupt, NotLeader
from ingest.flush_plan import FlushPolicy
from ingest.leaders import IngestLimits
from ingest.segment_build import segment_builder
from reader.catch_up import CatchUpReader
from reader.fetch import Fetcher
from reader.fetch_pass import PartitionFetch
from reader.log_source import LedLogs
from tests.ingest import node
from tests.ingest.logs import partition_id
from tests.ingest.node import AT_ONCE, EAGER, NEVER, WriteSide
from tests.ingest.node import run as run_side
from tests.reader.world import World, batch_of, limits, offsets_of, run

FOREVER = 3600.0


@pytest.fixture(autouse=True)
def _real_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "build", segment_builder("cluster"))


def readers(side: WriteSide) -> tuple[Fetcher, LedLogs]:
    catch_up = CatchUpReader(side.store, cache_bytes=1 << 30)
    return Fetcher(side.leaders, catch_up), LedLogs(side.leaders, catch_up)


def wanted(offset: int) -> PartitionFetch:
    return PartitionFetch(partition_id(), offset, 1 << 20)


def test_a_poll_ends_when_the_batch_is_published_and_cold_reads_give_it_again() -> None:
    async def body(side: WriteSide) -> None:
        side.open()
        fetcher, logs = readers(side)
        sent = []
        for number in range(5):
            poll = asyncio.create_task(fetcher.fetch([wanted(number)], limits(FOREVER)))
            batch = batch_of(number, size=1000)
            side.append(batch)
            [answer] = await poll
            assert offsets_of(answer.batches) == [number]
            sent.append(bytes(batch))
        [answer] = await fetcher.fetch([wanted(0)], limits())
        assert [bytes(one) for one in answer.batches] == sent
        replayed = [bytes(one) async for step in logs.read_log(partition_id(), 0, 5) for one in step]
        assert replayed == sent

    run_side(body, lambda: WriteSide(policy=EAGER, limits=IngestLimits(tail_bytes=0)))


def test_giving_a_lease_back_ends_polls() -> None:
    async def body(side: WriteSide) -> None:
        side.open()
        fetcher, logs = readers(side)
        poll = asyncio.create_task(fetcher.fetch([wanted(0)], limits(FOREVER)))
        await asyncio.sleep(0)
        await side.leaders.release(partition_id())
        [answer] = await poll
        assert answer.error is ErrorCode.NOT_LEADER_OR_FOLLOWER
        with pytest.raises(NotLeader):
            async for _ in logs.read_log(partition_id(), 0, 5):
                pass

    run_side(body)


def test_at_wal_durability_the_sync_ends_a_poll() -> None:
    async def body(side: WriteSide) -> None:
        side.open(durability="wal")
        fetcher, _ = readers(side)
        poll = asyncio.create_task(fetcher.fetch([wanted(0)], limits(FOREVER)))
        await asyncio.sleep(0)
        side.append(batch_of(1))
        [answer] = await poll
        assert offsets_of(answer.batches) == [0]

    run_side(body, lambda: WriteSide(policy=FlushPolicy(object=AT_ONCE, wal=NEVER)))


def test_a_log_is_replayed_from_its_start_and_never_over_a_hole() -> None:
    async def body(world: World) -> None:
        led = world.lead()
        await led.append_flushed(*(batch_of(1, 2) for _ in range(4)))
        logs = LedLogs(world, world.catch_up)
        led.log.raise_log_start(3)
        step = [bytes(one) async for step in logs.read_log(led.log.partition, 0, 8) for one in step]
        assert step == led.appended[1:]
        del led.log._history.extents[1]
        with pytest.raises(Corrupt):
            async for _ in logs.read_log(led.log.partition, 3, 8):
                pass

    run(body)
