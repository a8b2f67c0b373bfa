import asyncio
from uuid import UUID

import pytest

from infra.cluster.state import LINGER_SECONDS, ClusterState
from infra.cluster.topics import TopicLedger
from infra.errors import Unavailable
from infra.partition import Lease, PartitionId
from tests.cluster.world import World


def test_a_leader_counts_while_its_session_lives() -> None:
    async def scenario() -> None:
        world = await World().start()
        view = await world.view()
        session, other = await world.session(), await world.session()
        topic = await TopicLedger(world.store, view, world.clock).create("t", 1, {})
        lease = Lease(PartitionId(topic.topic_id, 0), session.session, 0)
        await view.set_leader(lease)
        state = ClusterState(view, world.clock, "c")
        await state.refresh()
        assert state.leader(lease.partition) == lease
        assert state.controller_id == 1
        world.clock.seconds += 4
        await other.renew()
        world.clock.seconds += 4
        await state.refresh()
        assert state.leader(lease.partition) is None
        assert state.last_leader(lease.partition) == lease
        assert [node.session for node in state.nodes()] == [other.session]
        assert state.controller_id == 2

    asyncio.run(scenario())


def test_clients_are_told_of_a_node_for_a_while_after_its_session_and_of_the_last_ones_for_ever() -> None:
    """A client gives up a node that it is not told of; told of none, some find no way back."""

    async def scenario() -> None:
        world = await World().start()
        view = await world.view()
        first, second = await world.session(), await world.session()
        state = ClusterState(view, world.clock, "c")

        async def brokers_after(seconds: float) -> list[int]:
            world.clock.seconds += seconds
            await state.refresh()
            return [node.session.node_id for node in state.brokers()]

        assert await brokers_after(0) == [1, 2]
        world.clock.seconds += 4
        await second.renew()
        assert await brokers_after(4) == [1, 2]
        assert [node.session for node in state.nodes()] == [second.session]
        await second.renew()
        await brokers_after(4)
        await second.renew()
        assert await brokers_after(4) == [1, 2]
        await second.renew()
        assert await brokers_after(LINGER_SECONDS - 7) == [2]
        assert await brokers_after(100) == [2]
        assert state.nodes() == []
        assert await brokers_after(100) == [2]
        assert first.session != second.session

    asyncio.run(scenario())


def test_the_last_picture_stays_while_the_view_is_away() -> None:
    async def scenario() -> None:
        world = await World().start()
        view = await world.view()
        await TopicLedger(world.store, view, world.clock).create("t", 1, {})
        state = ClusterState(view, world.clock, "c")
        changes: list[int] = []
        state.on_change(lambda: changes.append(1))
        assert await state.refresh()
        assert not await state.refresh()
        world.server.down = True
        with pytest.raises(Unavailable):
            await state.refresh()
        assert state.topic_by_name("t") is not None
        assert len(changes) == 1

    asyncio.run(scenario())


def test_a_view_without_incarnation_is_recovered_and_its_age_counted() -> None:
    async def scenario() -> None:
        world = await World().start()
        recovered: list[str] = []

        async def recover() -> None:
            recovered.append("second")
            await world.install("second")

        view = await world.view()
        state = ClusterState(view, world.clock, "c", recover=recover)
        await state.refresh()
        world.clock.seconds += 10
        assert state.source_age_seconds == 10
        world.server.wipe()
        await state.refresh()
        assert recovered == ["second"]
        assert state.incarnation == "second"
        assert state.source_age_seconds == 0

    asyncio.run(scenario())


def test_an_incarnation_that_comes_back_before_the_picture_of_another_was_read_is_followed() -> None:
    """By a compactor, which builds no view."""

    async def scenario() -> None:
        world = await World().start()
        view = await world.view()
        state = ClusterState(view, world.clock, "c")
        await state.refresh()
        first, old = state.incarnation, world.server.snapshot()
        world.server.wipe()
        await world.install("second")
        await view.use("second")  # and what comes next fails
        world.server.restore(old)
        await state.refresh()
        assert state.incarnation == first
        assert await view.leaders() == {}

    asyncio.run(scenario())


def test_whoever_waits_is_woken_by_the_change() -> None:
    async def scenario() -> None:
        world = await World().start()
        view = await world.view()
        state = ClusterState(view, world.clock, "c")
        running = asyncio.create_task(state.run())
        waiting = asyncio.create_task(state.wait_until(lambda: state.topic_by_name("t") is not None, 30))
        await asyncio.sleep(0)
        await TopicLedger(world.store, await world.view(), world.clock).create("t", 1, {})
        assert await waiting
        assert not await state.wait_until(lambda: False, 0)
        running.cancel()

    asyncio.run(scenario())


def test_manifest_versions_as_the_view_tells_them() -> None:
    async def scenario() -> None:
        world = await World().start()
        view = await world.view()
        state = ClusterState(view, world.clock, "c")
        await state.refresh()
        one, other = PartitionId(UUID(int=1), 0), PartitionId(UUID(int=1), 1)
        assert state.manifest_version(one) == -1
        changes: list[int] = []
        state.on_change(lambda: changes.append(state.manifest_version(one)))
        await view.put_manifest(one, 0)
        await state.refresh()
        await view.put_manifest(one, 5)
        await view.put_manifest(one, 4)
        await state.refresh()
        assert changes == [0, 5]
        assert state.manifest_version(other) == -1

    asyncio.run(scenario())
