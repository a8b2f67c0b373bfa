import asyncio
from collections.abc import AsyncIterator

import pytest

from infra.cluster.cluster import open_cluster
from infra.cluster.lease_objects import create_fence, fence_exists
from infra.cluster.records import ClusterRecord
from infra.errors import BadStart, Fenced, Unavailable
from infra.object_key import CLUSTER, BatchSegmentKey, SessionKey
from infra.partition import SessionId
from infra.store.port import ObjectInfo
from tests.cluster.world import World


@pytest.mark.parametrize("leaves", [True, False])
def test_an_id_that_a_node_had_is_not_given_to_another(leaves: bool) -> None:
    """Whoever had it may come back, with its data folder."""

    async def scenario() -> None:
        world = await World().start()
        first, second = await world.session(), await world.session()
        assert (first.session, second.session) == (SessionId(1, 0), SessionId(2, 0))
        if leaves:
            await first.close()
        else:
            await create_fence(world.store, first.session, by=second.session)
        third = await world.session()
        assert third.session == SessionId(3, 0)
        assert (await world.session(node_id=1)).session == SessionId(1, 1)
        await second.look_for_fence()
        await third.look_for_fence()

    asyncio.run(scenario())


def test_a_session_whose_record_a_copy_lacks_is_not_opened_again() -> None:
    async def scenario() -> None:
        world = await World().start()
        await world.store.create(BatchSegmentKey(SessionId(1, 4), 3).key, b"")
        assert (await world.session()).session == SessionId(1, 5)
        await create_fence(world.store, SessionId(2, 6), SessionId(1, 5))
        assert (await world.session()).session == SessionId(2, 7)
        assert (await world.session(node_id=2)).session == SessionId(2, 8)

    asyncio.run(scenario())


def test_a_bucket_that_was_in_use_is_not_named_anew() -> None:
    async def scenario() -> None:
        world = World()
        await world.store.create(SessionKey(SessionId(1, 0)).key, b"{}")
        with pytest.raises(BadStart, match="a copy that lacks it"):
            await open_cluster(world.store, world.clock)

    asyncio.run(scenario())


def test_a_bucket_that_another_node_opens_meanwhile_is_no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        world = World()
        listed = world.store.list

        async def list_later(prefix: str, *, start_after: str = "") -> AsyncIterator[ObjectInfo]:
            await world.store.create(CLUSTER, ClusterRecord("other").encode())
            await world.store.create(SessionKey(SessionId(1, 0)).key, b"{}")
            async for info in listed(prefix, start_after=start_after):
                yield info

        monkeypatch.setattr(world.store, "list", list_later)
        assert (await open_cluster(world.store, world.clock)).cluster_id == "other"

    asyncio.run(scenario())


def test_nodes_that_start_together_take_different_ids() -> None:
    async def scenario() -> None:
        world = await World().start()
        await (await world.session()).close()
        sessions = await asyncio.gather(*(world.session() for _ in range(8)))
        assert sorted(one.session.node_id for one in sessions) == list(range(2, 10))
        for session in sessions:
            await session.look_for_fence()

    asyncio.run(scenario())


def test_a_session_fences_the_one_before_it_of_the_same_node() -> None:
    async def scenario() -> None:
        world = await World().start()
        old = await world.session(node_id=7)
        await world.session(node_id=7)
        assert await fence_exists(world.store, old.session)
        with pytest.raises(Fenced):
            await old.look_for_fence()
        with pytest.raises(Fenced):
            old.check_ttl()

    asyncio.run(scenario())


def test_the_ttl_counts_from_sending_the_last_renewal_that_succeeded() -> None:
    async def scenario() -> None:
        world = await World().start()
        session = await world.session()
        world.clock.seconds += 5
        session.check_ttl()
        await session.renew()
        world.clock.seconds += 5
        session.check_ttl()
        world.server.down = True
        with pytest.raises(Unavailable):
            await session.renew()
        session.check_ttl()
        world.clock.seconds += 1
        with pytest.raises(Fenced):
            session.check_ttl()
        assert not session.lost

    asyncio.run(scenario())


def test_a_session_that_lapsed_is_over_for_good() -> None:
    async def scenario() -> None:
        world = await World().start()
        session = await world.session()
        told: list[str] = []
        session.on_lost(lambda: told.append("lost"))
        world.clock.seconds += 7
        with pytest.raises(Fenced):
            await session.renew()
        with pytest.raises(Fenced):
            session.check_ttl()
        assert session.lost
        session.on_lost(lambda: told.append("late"))
        assert told == ["lost", "late"]

    asyncio.run(scenario())


def test_a_renewal_finds_the_fence() -> None:
    async def scenario() -> None:
        world = await World().start()
        session = await world.session()
        await create_fence(world.store, session.session, by=SessionId(9, 0))
        with pytest.raises(Fenced):
            await session.renew()
        assert session.lost

    asyncio.run(scenario())


def test_renewals_go_on_without_the_bucket() -> None:
    async def scenario() -> None:
        world = await World().start()
        session = await world.session()
        world.store.down = True
        world.clock.seconds += 5
        await session.renew()
        world.clock.seconds += 5
        session.check_ttl()
        with pytest.raises(Unavailable):
            await session.look_for_fence()

    asyncio.run(scenario())


def test_a_session_outlives_a_wiped_view() -> None:
    async def scenario() -> None:
        world = await World().start()
        view = await world.view()
        session = await world.registrar(view).open()
        world.server.wipe()
        with pytest.raises(Unavailable):
            await session.renew()
        await world.install("second")
        await view.use("second")
        await session.renew()
        world.clock.seconds += 5
        session.check_ttl()
        assert [live.session for live in (await view.members()).sessions] == [session.session]

    asyncio.run(scenario())


def test_a_lost_answer_of_the_session_record_is_recognised() -> None:
    async def scenario() -> None:
        world = await World().start()
        registrar = world.registrar(await world.view())
        world.store.lose_answers_of.add("sessions/")
        with pytest.raises(Unavailable):
            await registrar.open()
        assert (await registrar.open()).session == SessionId(1, 0)
        assert (await registrar.open()).session == SessionId(1, 1)

    asyncio.run(scenario())


def test_two_processes_with_one_node_id_are_told_so() -> None:
    async def scenario() -> None:
        world = await World().start()
        one = world.registrar(await world.view(), node_id=1)
        await one.open()
        await world.session(node_id=1)
        with pytest.raises(BadStart, match="node id 1"):
            await one.open()

    asyncio.run(scenario())
