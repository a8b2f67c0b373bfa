"""Leases that wait for a node's WAL which holds nothing of them: the node has to look for them in the bucket."""

import asyncio
import contextlib

import pytest

from infra.cluster.records import EpochRecord
from infra.errors import Fenced, Unavailable
from infra.object_key import EpochKey
from infra.ports import EpochStart
from infra.segment.footer import read_extents
from infra.view.memory import MemoryView
from infra.view.rebuild import rebuild
from ingest.claims import Outcome
from ingest.lease_keeper import RETRY_SECONDS, SEARCH_SECONDS
from tests.cluster.world import World
from tests.ingest_leases.node import WAL, LeaseNode, lapse, partitions_of, previous, run, settle, start_node


async def until_anything_is_led(node: LeaseNode) -> None:
    async with asyncio.timeout(20):
        while not node.led():  # noqa: ASYNC110  nothing announces it
            await asyncio.sleep(0.005)


def test_what_was_busy_as_a_session_began_is_looked_at_soon() -> None:
    """A claim of the session before holds it, and others are answered meanwhile."""

    async def scenario(world: World) -> None:
        one = await start_node(world, node_id=1, wal_id="disk-1")
        topic = await one.topics.create("t", 4, WAL)
        await settle(one)
        await one.crash()
        world.server.wipe()
        await rebuild(MemoryView(world.server), world.store, read_extents)
        two = await start_node(world, node_id=2, wal_id="disk-2")
        again = await start_node(world, node_id=1, wal_id="disk-1")
        await again.topics.create("u", 8, {})
        await lapse(world, two, again)
        answered = asyncio.Event()

        async def take_late(claims: object, *_: object) -> Outcome:
            await answered.wait()
            raise Unavailable("the store is away")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(again.takeover, "take", take_late)
            await again.state.refresh()
            await again.keeper.round()
            await asyncio.sleep(0)  # the claim has begun
        await lapse(world, two)
        with contextlib.suppress(Fenced):
            await again.sessions.session.renew()
        await again.sessions.open()
        another = await again.topics.create("v", 8, {})
        await again.state.refresh()
        await again.keeper.round()
        await until_anything_is_led(again)
        assert again.led().keys() < set(partitions_of(another))
        answered.set()
        await again.keeper.settle()
        await lapse(world, two, again, seconds=RETRY_SECONDS + 1)
        await again.turn()
        assert set(partitions_of(topic)) < again.led().keys()
        await again.crash()
        await two.crash()

    run(scenario)


def test_an_epoch_record_that_was_made_late_is_found() -> None:
    """Its request was given up with the session that had sent it, and carried out after the next one had looked."""

    async def scenario(world: World) -> None:
        await (await start_node(world, node_id=1, wal_id="disk-1")).crash()
        one = await start_node(world, node_id=1, wal_id="disk-1")
        two = await start_node(world, node_id=2, wal_id="disk-2")
        await one.topics.create("t", 4, WAL)
        await settle(one, two)
        theirs = set(two.led())
        assert theirs
        await two.crash()
        await lapse(world, one)
        await settle(one)
        assert not theirs & one.led().keys()  # they wait for disk-2
        again = await start_node(world, node_id=2, wal_id="disk-2")
        for partition in theirs:
            late = EpochRecord(previous(one.sessions.session.session), 0, "wal", False, "disk-1", (EpochStart(0, 0),))
            await world.store.create(EpochKey(partition, 1).key, late.encode())
        await settle(one, again)
        assert not theirs & {*one.led(), *again.led()}  # now for disk-1
        await lapse(world, one, again, seconds=SEARCH_SECONDS)
        await settle(one, again)
        assert theirs == set(again.led())  # the node that prefers them
        await one.crash()
        await again.crash()

    run(scenario)
