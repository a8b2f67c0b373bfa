"""Fetch with reader nodes about: what a leader answers cold consumers, replicas, and clients of every version."""

from typing import Any

import pytest

from infra.clock import Clock
from infra.error_code import ErrorCode
from infra.wire.messages import fetch as message
from reader.api.fetch import FetchHandler
from reader.referrals import Referrals
from tests.reader.test_fetch_handler import partitions, request
from tests.reader.world import World, ask, batch_of, run
from tests.reader_nodes.test_referrals import reader

_READER = 9
_HOUR_MS = 3_600_000


def handler(world: World) -> FetchHandler:
    referrals = Referrals(lambda: [reader(_READER, listener="main")], None, Clock())
    return FetchHandler(world.topics, world.fetcher, world.sessions, referrals=referrals)


async def one(fetches: FetchHandler, offset: int, version: int = 16, **fields: Any) -> message.PartitionData:
    return partitions(await ask(fetches, request(version, {0: offset}, **fields), version))[0]


def test_a_cold_fetch_is_answered_with_the_reader_and_nothing_else() -> None:
    async def body(world: World) -> None:
        led, fetches = world.lead(), handler(world)
        await led.append_flushed(batch_of(1), batch_of(2))
        for version in (11, 12, 16):
            world.restart()
            fetches = handler(world)
            told = await one(fetches, 0, version, max_wait_ms=_HOUR_MS)
            assert (told.preferred_read_replica, told.error_code) == (_READER, ErrorCode.NONE)
            assert not told.records
            assert told.high_watermark == 2
            assert not world.store.gets
            again = await one(fetches, 0, version)
            assert again.preferred_read_replica == -1
            assert bytes(again.records) == b"".join(led.appended)  # type: ignore[arg-type]
            world.store.gets.clear()

    run(body)


@pytest.mark.parametrize("fields", [{"replica_id": 3}, {"replica_state": message.ReplicaState(replica_id=3)}])
def test_replicas_are_served(fields: dict[str, Any]) -> None:
    async def body(world: World) -> None:
        await world.lead().append_flushed(batch_of(1))
        version = 14 if "replica_id" in fields else 16
        told = await one(handler(world), 0, version, **fields)
        assert told.preferred_read_replica == -1
        assert told.records

    run(body)


def test_a_client_that_cannot_be_told_is_served() -> None:
    async def body(world: World) -> None:
        await world.lead().append_flushed(batch_of(1))
        assert (await one(handler(world), 0, 10)).records

    run(body)


def test_a_hot_fetch_stays() -> None:
    async def body(world: World) -> None:
        await world.lead().append_flushed(batch_of(1))
        told = await one(handler(world), 0)
        assert told.preferred_read_replica == -1
        assert told.records

    run(body, tail_bytes=1 << 20)


def test_a_session_tells_of_a_reader_where_nothing_else_is_new() -> None:
    async def body(world: World) -> None:
        led, fetches = world.lead(), handler(world)
        await led.append_flushed(batch_of(1), batch_of(2))
        first = await ask(fetches, request(16, {0: 2}, session=(0, 0)), 16)
        assert partitions(first)[0].preferred_read_replica == -1
        changed = await ask(fetches, request(16, {0: 0}, session=(first.session_id, 1)), 16)
        assert partitions(changed)[0].preferred_read_replica == _READER

    run(body)
