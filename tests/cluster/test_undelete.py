"""Topics that are deleted, brought back or purged: of every race one wins, and a name is never two topics'."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from infra.cluster.records import TopicNameRecord
from infra.cluster.state import ClusterState
from infra.cluster.topics import NoView, TopicLedger
from infra.cluster.view_repair import ViewRepair
from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.object_key import TopicNameKey
from tests.cluster.world import World


def run(scenario: Callable[[World, TopicLedger], Awaitable[None]]) -> None:
    async def whole() -> None:
        world = await World().start()
        await scenario(world, TopicLedger(world.store, await world.view(), world.clock))

    asyncio.run(whole())


async def is_refused(work: Awaitable[object]) -> Refused:
    with pytest.raises(Refused) as refused:
        await work
    return refused.value


def test_an_undeleted_topic_is_what_it_was_and_its_name_is_taken() -> None:
    async def scenario(world: World, ledger: TopicLedger) -> None:
        topic = await ledger.create("t", 2, {"retention.ms": "5"})
        await ledger.add_partitions(topic.topic_id, 3)
        await ledger.delete(topic.topic_id)
        back = await ledger.undelete(topic.topic_id)
        assert (back.topic_id, back.name, back.partitions, back.configs) == (topic.topic_id, "t", 3, topic.configs)
        assert (await is_refused(ledger.create("t", 1, {}))).code is ErrorCode.TOPIC_ALREADY_EXISTS
        state = ClusterState(await world.view(), world.clock, "c")
        await state.refresh()
        assert state.topic_by_name("t") == back
        assert not state.is_deleted(topic.topic_id)
        await ledger.delete(topic.topic_id)
        assert (await ledger.create("t", 1, {})).topic_id != topic.topic_id

    run(scenario)


def test_what_cannot_be_undeleted_is_refused_with_a_sentence() -> None:
    async def scenario(world: World, ledger: TopicLedger) -> None:
        assert "gone for good" in (await is_refused(ledger.undelete(world.clock.uuid()))).message
        topic = await ledger.create("t", 1, {})
        assert "is not deleted" in (await is_refused(ledger.undelete(topic.topic_id))).message
        await ledger.delete(topic.topic_id)
        other = await ledger.create("t", 1, {})
        refused = await is_refused(ledger.undelete(topic.topic_id))
        assert refused.message == "another topic has the name 't' by now: delete that one first"
        await ledger.delete(other.topic_id)
        known = await ledger.read(topic.topic_id)
        assert known is not None
        assert await ledger.purge(topic.topic_id, *known)
        assert "gone for good" in (await is_refused(ledger.undelete(topic.topic_id))).message

    run(scenario)


def test_of_an_undelete_and_a_purge_one_wins() -> None:
    async def scenario(world: World, ledger: TopicLedger) -> None:
        topic = await ledger.create("t", 1, {})
        await ledger.delete(topic.topic_id)
        version, record = (await ledger.all())[topic.topic_id]
        await ledger.undelete(topic.topic_id)
        assert not await ledger.purge(topic.topic_id, version, record)
        assert (await ledger.all())[topic.topic_id][1].deleted_ms is None

    run(scenario)


def test_an_undelete_that_died_half_way_is_finished_by_whoever_wants_the_name() -> None:
    async def scenario(world: World, ledger: TopicLedger) -> None:
        topic = await ledger.create("t", 1, {})
        await ledger.delete(topic.topic_id)
        version, record = (await ledger.all())[topic.topic_id]
        half = TopicNameRecord(replace(record, deleted_ms=None), version + 1)
        await world.store.create(TopicNameKey("t", 2).key, half.encode())
        assert (await is_refused(ledger.create("t", 1, {}))).code is ErrorCode.TOPIC_ALREADY_EXISTS
        assert (await ledger.all())[topic.topic_id][1].deleted_ms is None

    run(scenario)


def test_a_half_undelete_of_a_purged_topic_blocks_no_name() -> None:
    async def scenario(world: World, ledger: TopicLedger) -> None:
        topic = await ledger.create("t", 1, {})
        await ledger.delete(topic.topic_id)
        version, record = (await ledger.all())[topic.topic_id]
        assert await ledger.purge(topic.topic_id, version, record)
        half = TopicNameRecord(replace(record, deleted_ms=None), version + 1)
        await world.store.create(TopicNameKey("t", 2).key, half.encode())
        assert (await ledger.create("t", 1, {})).topic_id != topic.topic_id

    run(scenario)


def test_a_deleter_that_was_slow_takes_no_name_from_a_topic_that_is_back() -> None:
    async def scenario(world: World, ledger: TopicLedger) -> None:
        topic = await ledger.create("t", 1, {})
        await ledger.delete(topic.topic_id)
        deleted_by = (await ledger.all())[topic.topic_id][0]
        await ledger.undelete(topic.topic_id)
        await ledger.give_back("t", topic.topic_id, deleted_by)
        assert (await is_refused(ledger.create("t", 1, {}))).code is ErrorCode.TOPIC_ALREADY_EXISTS
        assert await ledger.holders() == {topic.topic_id}

    run(scenario)


def test_a_protected_topic_is_deleted_only_once_it_is_protected_no_more() -> None:
    async def scenario(world: World, ledger: TopicLedger) -> None:
        topic = await ledger.create("t", 1, {"cauce.deletion.protection": "true"})
        refused = await is_refused(ledger.delete(topic.topic_id))
        assert refused.code is ErrorCode.POLICY_VIOLATION
        assert "cauce.deletion.protection=false" in refused.message
        await ledger.alter_configs(topic.topic_id, lambda _: {})
        await ledger.delete(topic.topic_id)

    run(scenario)


def test_nodes_find_in_the_bucket_what_their_view_was_not_told() -> None:
    async def scenario(world: World, ledger: TopicLedger) -> None:
        topic = await ledger.create("t", 1, {})
        await ledger.delete(topic.topic_id)
        await TopicLedger(world.store, NoView(), world.clock).undelete(topic.topic_id)
        view = await world.view()
        state = ClusterState(view, world.clock, "c")
        repair = ViewRepair(world.store, view, world.clock, ledger, every_seconds=5)
        await repair.look(now=False)
        await state.refresh()
        assert state.topic_by_name("t") is None
        world.clock.seconds += 5
        await repair.look(now=False)
        await state.refresh()
        assert state.topic_by_name("t") is not None

    run(scenario)
