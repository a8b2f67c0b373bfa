"""Fetch through the wire's messages, versions 4 to 16."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from types import FrameType
from typing import Any
from uuid import UUID

import pytest

from infra.error_code import ErrorCode
from infra.partition import Lease, PartitionId, SessionId
from infra.wire import fetch_codec
from infra.wire.messages import fetch as message
from reader.api.fetch import FetchHandler
from reader.observer import ReadObserver
from tests.reader.history import compact
from tests.reader.world import TOPIC_ID, Led, World, ask, batch_of, context, live, run, until

VERSIONS = [4, 7, 11, 12, 13, 16]
FOREVER_MS = 3_600_000


def request(
    version: int,
    offsets: dict[int, int],
    *,
    session: tuple[int, int] = (0, -1),
    max_wait_ms: int = 0,
    forget: Sequence[int] = (),
    topic: str = "flights",
    topic_id: UUID = TOPIC_ID,
    **fields: Any,
) -> message.FetchRequest:
    """Partition → fetch offset of one topic, named as the version names topics."""
    name: dict[str, Any] = {"topic_id": topic_id} if version >= 13 else {"topic": topic}
    of_partition = {key: fields.pop(key) for key in ("current_leader_epoch", "last_fetched_epoch") if key in fields}
    partitions = [
        message.FetchPartition(
            partition=partition, fetch_offset=offset, partition_max_bytes=fields.get("each", 1 << 20), **of_partition
        )
        for partition, offset in offsets.items()
    ]
    fields.pop("each", None)
    return message.FetchRequest(
        max_wait_ms=max_wait_ms,
        min_bytes=fields.pop("min_bytes", 1),
        session_id=session[0],
        session_epoch=session[1],
        topics=[message.FetchTopic(partitions=partitions, **name)] if offsets else [],
        forgotten_topics_data=[message.ForgottenTopic(partitions=list(forget), **name)] if forget else [],
        **fields,
    )


def partitions(answer: message.FetchResponse) -> dict[int, message.PartitionData]:
    return {data.partition_index: data for topic in answer.responses for data in topic.partitions}


def bytes_of(led: Led, *numbers: int) -> bytes:
    return b"".join(led.appended[number] for number in numbers)


@pytest.mark.parametrize("version", VERSIONS)
def test_hot_and_cold_partitions_in_every_version(version: int) -> None:
    async def body(world: World) -> None:
        cold, hot = world.lead(0), world.lead(1, durability="wal")
        await cold.append_flushed(batch_of(1, 2), batch_of(3))
        hot.append(batch_of(4), batch_of(5))
        hot.log.raise_log_start(1)
        answer = await ask(world.fetches, request(version, {0: 1, 1: 1, 2: 0}), version)
        [topic] = answer.responses
        assert (topic.topic, topic.topic_id) == (("", TOPIC_ID) if version >= 13 else ("flights", UUID(int=0)))
        told = partitions(answer)
        assert list(told) == [0, 1, 2]
        assert bytes(told[0].records) == bytes_of(cold, 0, 1)
        assert bytes(told[1].records) == bytes_of(hot, 1)
        assert (told[1].high_watermark, told[1].last_stable_offset) == (2, 2)
        assert told[1].log_start_offset == (1 if version >= 5 else -1)
        assert (told[2].error_code, told[2].high_watermark, bytes(told[2].records)) == (6, -1, b"")
        assert answer.session_id == 0

    run(body)


@pytest.mark.parametrize("version", VERSIONS)
def test_records_are_empty_and_never_null(version: int) -> None:
    async def body(world: World) -> None:
        world.lead()
        answer = await ask(world.fetches, request(version, {0: 0, 9: 0}), version)
        assert [data.records for data in partitions(answer).values()] == [b"", b""]

    run(body)


@pytest.mark.parametrize(("version", "code"), [(4, 3), (12, 3), (13, 100), (16, 100)])
def test_unknown_topics_and_partitions(version: int, code: int) -> None:
    async def body(world: World) -> None:
        world.lead()
        unknown = request(version, {0: 0}, topic="none", topic_id=UUID(int=1), max_wait_ms=FOREVER_MS)
        answer = await ask(world.fetches, unknown, version)
        assert partitions(answer)[0].error_code == code
        for beyond in (-1, 8):
            answer = await ask(world.fetches, request(version, {beyond: 0}), version)
            assert partitions(answer)[beyond].error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION

    run(body)


def test_a_null_topic_id_is_unknown() -> None:
    async def body(world: World) -> None:
        answer = await ask(world.fetches, request(13, {0: 0}, topic_id=UUID(int=0)), 13)
        assert partitions(answer)[0].error_code == ErrorCode.UNKNOWN_TOPIC_ID

    run(body)


@pytest.mark.parametrize("version", VERSIONS)
def test_aborted_transactions_are_null_unless_only_committed_records_are_read(version: int) -> None:
    async def body(world: World) -> None:
        world.lead(durability="wal").append(batch_of(1))
        for isolation_level, expected in ((0, None), (1, [])):
            asked = request(version, {0: 0, 5: 0}, isolation_level=isolation_level)
            told = partitions(await ask(world.fetches, asked, version))
            assert told[0].aborted_transactions == expected
            assert told[5].aborted_transactions is None

    run(body)


@pytest.mark.parametrize("version", [4, 7])
def test_zstd_is_not_given_to_who_cannot_read_it(version: int) -> None:
    async def body(world: World) -> None:
        led = world.lead(durability="wal")
        led.append(batch_of(1, codec=1), batch_of(2, codec=4), batch_of(3))
        first = partitions(await ask(world.fetches, request(version, {0: 0}), version))[0]
        assert (first.error_code, bytes(first.records)) == (0, bytes_of(led, 0))
        second = partitions(await ask(world.fetches, request(version, {0: 1}), version))[0]
        assert (second.error_code, bytes(second.records)) == (76, b"")
        third = partitions(await ask(world.fetches, request(version, {0: 2}), version))[0]
        assert bytes(third.records) == bytes_of(led, 2)
        later = partitions(await ask(world.fetches, request(11, {0: 0}), 11))[0]
        assert bytes(later.records) == bytes_of(led, 0, 1, 2)

    run(body)


@pytest.mark.parametrize("version", VERSIONS)
def test_who_leads_is_told_from_v16_on(version: int) -> None:
    async def body(world: World) -> None:
        elsewhere = PartitionId(TOPIC_ID, 0)
        world.topics.leaders[elsewhere] = Lease(elsewhere, SessionId(7, 2), 9)
        world.topics.nodes = [live(7, main="10.0.0.7:9092", other="x:1"), live(8, main="10.0.0.8:9092")]
        answer = await ask(world.fetches, request(version, {0: 0, 1: 0}), version)
        told = partitions(answer)
        assert [data.error_code for data in told.values()] == [6, 6]
        leader = told[0].current_leader
        assert (leader.leader_id, leader.leader_epoch) == ((7, 9) if version >= 16 else (-1, -1))
        assert told[1].current_leader.leader_id == -1
        nodes = [(node.node_id, node.host, node.port, node.rack) for node in answer.node_endpoints]
        assert nodes == ([(7, "10.0.0.7", 9092, None)] if version >= 16 else [])

    run(body)


def test_a_leader_without_an_address_on_this_listener_is_named_alone() -> None:
    async def body(world: World) -> None:
        world.lead(0, epochs=[(5, 0)])
        here = PartitionId(TOPIC_ID, 0)
        world.topics.leaders[here] = Lease(here, SessionId(1, 3), 5)
        world.topics.nodes = [live(1, other="[::1]:9092")]
        answer = await ask(world.fetches, request(16, {0: 0}, current_leader_epoch=4), 16)
        data = partitions(answer)[0]
        assert (data.error_code, data.current_leader.leader_id) == (ErrorCode.FENCED_LEADER_EPOCH, 1)
        assert answer.node_endpoints == []

    run(body)


def test_leader_epochs_count_from_v9_and_divergence_from_v12() -> None:
    async def body(world: World) -> None:
        led = world.lead(durability="wal", epochs=[(1, 0), (3, 4)], end_offset=4)
        led.append(batch_of(1))
        for version, code in ((7, 0), (11, 75), (16, 75)):
            answer = await ask(world.fetches, request(version, {0: 4}, current_leader_epoch=4), version)
            assert partitions(answer)[0].error_code == code
        for version, diverging in ((11, (-1, -1)), (12, (1, 4)), (16, (1, 4))):
            answer = await ask(world.fetches, request(version, {0: 5}, last_fetched_epoch=2), version)
            data = partitions(answer)[0]
            assert (data.diverging_epoch.epoch, data.diverging_epoch.end_offset) == diverging

    run(body)


# Sessions


@pytest.mark.parametrize("version", [7, 11, 12, 13, 16])
def test_an_incremental_answer_has_only_news(version: int) -> None:
    async def body(world: World) -> None:
        led = [world.lead(partition, durability="wal") for partition in range(3)]
        led[1].append(batch_of(1))

        async def go(session: tuple[int, int], offsets: dict[int, int], **options: Any) -> message.FetchResponse:
            return await ask(world.fetches, request(version, offsets, session=session, **options), version)

        first = await go((0, 0), {0: 0, 1: 0, 2: 0})
        number = first.session_id
        assert number > 0
        assert list(partitions(first)) == [0, 1, 2]
        second = await go((number, 1), {1: 1})
        assert (second.session_id, second.error_code, partitions(second)) == (number, 0, {})
        led[2].append(batch_of(2))
        third = await go((number, 2), {})
        assert list(partitions(third)) == [2]
        assert bytes(partitions(third)[2].records) == bytes_of(led[2], 0)
        fourth = await go((number, 3), {2: 1}, forget=[0])
        assert partitions(fourth) == {}
        led[0].append(batch_of(3))
        fifth = await go((number, 4), {})
        assert partitions(fifth) == {}
        sixth = await go((number, 5), {}, forget=[1, 2])
        assert (sixth.session_id, sixth.responses) == (0, [])
        assert (await go((number, 6), {})).error_code == 70

    run(body)


def test_session_errors_stand_at_the_top() -> None:
    async def body(world: World) -> None:
        world.lead()
        answer = await ask(world.fetches, request(12, {0: 0}, session=(77, 3)), 12)
        assert (answer.error_code, answer.session_id, answer.responses) == (70, 0, [])
        number = (await ask(world.fetches, request(12, {0: 0}, session=(0, 0)), 12)).session_id
        assert (await ask(world.fetches, request(12, {}, session=(number, 2)), 12)).error_code == 71
        assert (await ask(world.fetches, request(13, {}, session=(number, 1)), 13)).error_code == 106
        assert (await ask(world.fetches, request(12, {}, session=(number, 1)), 12)).error_code == 0
        closing = await ask(world.fetches, request(12, {0: 0}, session=(number, -1)), 12)
        assert (closing.session_id, list(partitions(closing))) == (0, [0])
        assert len(world.sessions) == 0

    run(body)


def test_within_a_session_everybody_gets_a_turn() -> None:
    async def body(world: World) -> None:
        for partition in range(3):
            world.lead(partition, durability="wal").append(batch_of(1), batch_of(2))
        asked = request(12, dict.fromkeys(range(3), 0), session=(0, 0), max_bytes=1)
        answer = await ask(world.fetches, asked, 12)
        served = [[at for at, data in partitions(answer).items() if data.records]]
        for epoch in (1, 2, 3):
            asked = request(12, {}, session=(answer.session_id, epoch), max_bytes=1)
            answer = await ask(world.fetches, asked, 12)
            served.append([at for at, data in partitions(answer).items() if data.records])
        assert served == [[0], [1], [2], [0]]

    run(body)


def test_an_error_in_a_session_is_told_until_it_is_over() -> None:
    async def body(world: World) -> None:
        led = world.lead(0)
        answer = await ask(world.fetches, request(12, {0: 0}, session=(0, 0)), 12)
        world.lose(led)
        for epoch in (1, 2):
            asked = request(12, {}, session=(answer.session_id, epoch), max_wait_ms=FOREVER_MS)
            answer = await ask(world.fetches, asked, 12)
            assert partitions(answer)[0].error_code == 6
        world.lead(0)
        answer = await ask(world.fetches, request(12, {}, session=(answer.session_id, 3)), 12)
        assert (partitions(answer)[0].error_code, partitions(answer)[0].high_watermark) == (0, 0)
        answer = await ask(world.fetches, request(12, {}, session=(answer.session_id, 4)), 12)
        assert partitions(answer) == {}

    run(body)


def test_a_request_overtaken_within_its_session_is_refused() -> None:
    async def body(world: World) -> None:
        led = world.lead(0, durability="wal")
        number = (await ask(world.fetches, request(12, {0: 0}, session=(0, 0)), 12)).session_id
        slow = asyncio.create_task(ask(world.fetches, request(12, {}, session=(number, 1), max_wait_ms=FOREVER_MS), 12))
        await until(lambda: led.log.waiting == 1)
        assert (await ask(world.fetches, request(12, {}, session=(number, 2)), 12)).error_code == 0
        led.append(batch_of(1))
        overtaken = await slow
        assert (overtaken.error_code, overtaken.session_id, overtaken.responses) == (71, number, [])

    run(body)


# Limits and cost


def test_limits_of_the_request_are_obeyed() -> None:
    async def body(world: World) -> None:
        led = world.lead(durability="wal")
        led.append(*(batch_of(1, size=100) for _ in range(10)))
        size = len(led.appended[0])
        for fields in ({"each": 3 * size}, {"max_bytes": 3 * size}, {"max_bytes": 3 * size, "min_bytes": 100 * size}):
            asked = request(12, {0: 0}, max_wait_ms=FOREVER_MS, **fields)
            assert len(partitions(await ask(world.fetches, asked, 12))[0].records) == 3 * size
        for fields in ({"each": 0}, {"max_bytes": 0}, {"max_bytes": -5}):
            assert len(partitions(await ask(world.fetches, request(12, {0: 0}, **fields), 12))[0].records) == size
        negative = await ask(world.fetches, request(12, {0: 10}, max_wait_ms=-1), 12)
        assert partitions(negative)[0].records == b""

    run(body)


def test_those_who_count_are_told() -> None:
    class Seen(ReadObserver):
        def __init__(self) -> None:
            self.calls: list[Any] = []

        def fetched(self, topic: str, size: int) -> None:
            self.calls.append((topic, size))

        def answered(self, seconds: float) -> None:
            self.calls.append("answered")

    async def body(world: World) -> None:
        led = world.lead(durability="wal")
        led.append(batch_of(1))
        seen = Seen()
        handler = FetchHandler(world.topics, world.fetcher, world.sessions, observer=seen)
        where = context(1, 13)
        await handler.handle(where, request(13, {0: 0, 1: 0}))
        assert seen.calls == [("flights", len(led.appended[0]))]
        object.__setattr__(where, "received_at", 1.0)
        await handler.handle(where, request(13, {0: 1}))
        assert seen.calls[1:] == ["answered"]

    run(body)


async def python_calls(work: Callable[[], Awaitable[None]]) -> int:
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        await work()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("version", [11, 16])
@pytest.mark.parametrize("where", ["tail", "extent", "record segment"])
def test_a_fetch_costs_the_same_for_few_records_and_many(version: int, where: str) -> None:
    """Python's work is per batch: whether a batch has 10 records or 10,000 must not matter."""

    async def body(world: World) -> None:
        asked = request(version, {0: 0})

        async def fetch() -> None:
            answer = await world.fetches.handle(context(1, version), asked)
            sent = fetch_codec.encode_fetch_response(answer, version)
            assert sum(map(len, sent)) > size

        counted = []
        for partition, count in enumerate((10, 10, 10_000)):
            led = world.lead(partition, durability="wal")
            led.append(batch_of(*range(count), size=5))
            size = len(led.appended[0])
            if where != "tail":
                await led.flush()
            if where == "record segment":
                await compact(world, led)
            asked = request(version, {partition: 0})
            await fetch()  # caches filled, codecs compiled
            counted.append(await python_calls(fetch))
        assert counted[1] == counted[2]

    run(body)
