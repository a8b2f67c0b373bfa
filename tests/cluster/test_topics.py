import asyncio
from uuid import UUID

import pytest

from infra.cluster.records import TopicNameRecord, TopicRecord
from infra.cluster.settings import BrokerConfigLedger, SettingsLedger, all_settings, repair_settings
from infra.cluster.state import ClusterState
from infra.cluster.topics import TopicLedger
from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.object_key import TopicNameKey
from tests.cluster.world import World


async def a_ledger(world: World) -> TopicLedger:
    return TopicLedger(world.store, await world.view(), world.clock)


def test_a_topic_is_created_once_whoever_tries() -> None:
    async def scenario() -> None:
        world = await World().start()
        ledgers = [await a_ledger(world) for _ in range(5)]
        tries = await asyncio.gather(*(ledger.create("t", 2, {}) for ledger in ledgers), return_exceptions=True)
        assert sum(not isinstance(one, BaseException) for one in tries) == 1
        assert all(one.code is ErrorCode.TOPIC_ALREADY_EXISTS for one in tries if isinstance(one, Refused))
        assert len(await ledgers[0].all()) == 1

    asyncio.run(scenario())


def test_the_view_and_so_every_state_learn_of_topics() -> None:
    async def scenario() -> None:
        world = await World().start()
        ledger = await a_ledger(world)
        state = ClusterState(await world.view(), world.clock, "c")
        topic = await ledger.create("t", 2, {"retention.ms": "1000"})
        await state.refresh()
        assert state.topic_by_name("t") == topic == state.topic_by_id(topic.topic_id)
        await ledger.add_partitions(topic.topic_id, 5)
        await ledger.alter_configs(topic.topic_id, lambda configs: {**configs, "retention.bytes": "7"})
        await state.refresh()
        known = state.topic_by_name("t")
        assert known is not None
        assert (known.partitions, known.version) == (5, 2)
        assert known.configs == {"retention.ms": "1000", "retention.bytes": "7"}
        await ledger.delete(topic.topic_id)
        await state.refresh()
        assert state.topics() == []
        assert state.is_deleted(topic.topic_id)

    asyncio.run(scenario())


def test_a_deleted_topics_name_is_free_and_the_new_topic_has_another_id() -> None:
    async def scenario() -> None:
        world = await World().start()
        ledger = await a_ledger(world)
        first = await ledger.create("t", 1, {})
        await ledger.delete(first.topic_id)
        second = await ledger.create("t", 1, {})
        assert second.topic_id != first.topic_id
        with pytest.raises(Refused) as refused:
            await ledger.delete(first.topic_id)
        assert refused.value.code is ErrorCode.UNKNOWN_TOPIC_ID

    asyncio.run(scenario())


def test_the_bucket_says_how_many_partitions_a_name_has() -> None:
    async def scenario() -> None:
        ledger = await a_ledger(await World().start())
        assert await ledger.partitions_of("t") == 0
        first = await ledger.create("t", 2, {})
        await ledger.add_partitions(first.topic_id, 5)
        assert await ledger.partitions_of("t") == 5
        await ledger.delete(first.topic_id)
        assert await ledger.partitions_of("t") == 0
        await ledger.create("t", 1, {})
        assert await ledger.partitions_of("t") == 1

    asyncio.run(scenario())


def test_a_topic_never_shrinks() -> None:
    async def scenario() -> None:
        world = await World().start()
        ledger = await a_ledger(world)
        topic = await ledger.create("t", 3, {})
        with pytest.raises(Refused) as refused:
            await ledger.add_partitions(topic.topic_id, 3)
        assert refused.value.code is ErrorCode.INVALID_PARTITIONS

    asyncio.run(scenario())


def test_a_creation_whose_creator_died_is_finished_by_the_next() -> None:
    async def scenario() -> None:
        world = await World().start()
        half = TopicRecord(UUID(int=5), "t", 4, {"retention.ms": "9"})
        await world.store.create(TopicNameKey("t", 0).key, TopicNameRecord(half).encode())
        ledger = await a_ledger(world)
        with pytest.raises(Refused):
            await ledger.create("t", 1, {})
        assert await ledger.all() == {half.topic_id: (0, half)}

    asyncio.run(scenario())


def test_a_name_that_was_not_given_back_does_not_block_the_next_topic() -> None:
    async def scenario() -> None:
        world = await World().start()
        ledger = await a_ledger(world)
        gone = TopicRecord(UUID(int=5), "t", 4)
        await ledger.create("t", 1, {}, topic_id=gone.topic_id)
        await ledger._change(gone.topic_id, lambda topic: TopicRecord(topic.topic_id, "t", 1, {}, deleted_ms=1))
        assert (await ledger.create("t", 1, {})).topic_id != gone.topic_id

    asyncio.run(scenario())


def test_a_view_that_forgot_topics_is_repaired() -> None:
    async def scenario() -> None:
        world = await World().start()
        ledger = await a_ledger(world)
        topic = await ledger.create("t", 1, {})
        before = world.server.snapshot()
        await ledger.add_partitions(topic.topic_id, 2)
        await ledger.create("u", 1, {})
        world.server.restore(before)
        assert await ledger.repair_view() == 2
        assert await ledger.repair_view() == 0
        state = ClusterState(await world.view(), world.clock, "c")
        await state.refresh()
        assert [(known.name, known.partitions) for known in state.topics()] == [("t", 2), ("u", 1)]

    asyncio.run(scenario())


def test_broker_configs_are_altered_for_one_or_all() -> None:
    async def scenario() -> None:
        world = await World().start()
        ledger = BrokerConfigLedger(world.store, await world.view())
        await ledger.alter("", lambda _: {"log.retention.ms": "1"})
        await ledger.alter("", lambda configs: {**configs, "log.retention.bytes": "2"})
        await ledger.alter("3", lambda _: {"log.retention.ms": "4"})
        state = ClusterState(await world.view(), world.clock, "c")
        await state.refresh()
        assert state.broker_configs == {"log.retention.ms": "1", "log.retention.bytes": "2"}
        assert await ledger.read("3") == {"log.retention.ms": "4"}
        numbers = {key: entry.number for key, entry in (await all_settings(world.store)).items()}
        assert numbers == {("broker", ""): 1, ("broker", "3"): 0}
        before = world.server.snapshot()
        await ledger.alter("3", lambda _: {})
        world.server.restore(before)
        assert await repair_settings(world.store, await world.view()) == 1

    asyncio.run(scenario())


def test_a_name_that_fits_no_key_is_refused_whatever_the_setting() -> None:
    async def scenario() -> None:
        world = await World().start()
        ledger = SettingsLedger("user-scram", world.store, await world.view())
        with pytest.raises(Refused, match="too long") as caught:
            await ledger.alter("u" * 1000, lambda _: {"SCRAM-SHA-256": "…"})
        assert caught.value.code is ErrorCode.INVALID_REQUEST
        assert await all_settings(world.store) == {}

    asyncio.run(scenario())
