"""Requests of one connection run beside one another and are answered in order, within bounds."""

import asyncio
from typing import Any

from infra.limits import MAX_FETCHES_PER_CONNECTION, WireLimits
from infra.wire import envelope
from infra.wire.buffer_pool import BufferPool
from infra.wire.handler import RequestContext
from infra.wire.messages import fetch, heartbeat, produce
from tests.wire_server.harness import Fetches, Gates, Heartbeats, Produces, at_once, serving, until


def test_answers_leave_in_request_order_though_the_first_is_slow() -> None:
    async def scenario() -> None:
        gates = Gates()
        beats = Heartbeats(gates.beat)
        async with serving(beats) as served:
            raw = await served.raw()
            raw.beat(1, gate="slow")
            for number in range(2, 20):
                raw.beat(number)
            await until(lambda: len(beats.started) == 19)  # reading and handling went on
            gates["slow"].set()
            answers = [await raw.answer() for _ in range(19)]
            assert [message.error_code for _, message in answers] == list(range(1, 20))
            assert [correlation_id for correlation_id, _ in answers] == list(range(1, 20))

    asyncio.run(scenario())


def test_handlers_start_in_the_order_of_arrival() -> None:
    async def scenario() -> None:
        beats = Heartbeats(at_once)
        async with serving(beats) as served:
            raw = await served.raw()
            for number in range(1000):
                raw.beat(number)
            assert await raw.numbers(1000) == list(range(1000))
            assert [request.generation_id for request in beats.started] == list(range(1000))

    asyncio.run(scenario())


def test_produces_reach_their_first_await_in_order_whatever_their_size() -> None:
    async def scenario() -> None:
        appended: list[int] = []

        async def append(context: RequestContext, request: produce.ProduceRequest) -> produce.ProduceResponse:
            appended.append(request.topic_data[0].partition_data[0].index)
            await asyncio.sleep(0)
            return produce.ProduceResponse()

        async with serving(Produces(append)) as served:
            raw = await served.raw()
            for number in range(40):
                raw.ask(one_partition(number, b"r" * (300_000 if number % 3 == 0 else 10)), 9)
            for _ in range(40):
                await raw.answer(produce.API_KEY, 9)
            assert appended == list(range(40))

    asyncio.run(scenario())


def one_partition(index: int, records: bytes, acks: int = -1) -> produce.ProduceRequest:
    partition = produce.PartitionProduceData(index=index, records=records)
    topic = produce.TopicProduceData(name="t", partition_data=[partition])
    return produce.ProduceRequest(acks=acks, timeout_ms=1000, topic_data=[topic])


def test_no_more_requests_start_than_may_be_in_flight() -> None:
    async def scenario() -> None:
        gates = Gates()
        beats = Heartbeats(gates.beat)
        async with serving(beats, limits=WireLimits(max_requests_per_connection=5)) as served:
            raw = await served.raw()
            for number in range(50):
                raw.beat(number, gate="all")
            await until(lambda: len(beats.started) == 5)
            assert await served.alive()
            assert len(beats.started) == 6  # the one that alive() sent
            gates["all"].set()
            assert await raw.numbers(50) == list(range(50))

    asyncio.run(scenario())


def test_a_connection_holds_no_more_request_bytes_than_allowed() -> None:
    async def scenario() -> None:
        gates = Gates()
        beats = Heartbeats(gates.beat)
        limits = WireLimits(max_bytes_per_connection=100_000)
        async with serving(beats, limits=limits) as served:
            raw = await served.raw()
            for number in range(30):
                raw.beat(number, gate="all", group="g" * 20_000)
            await until(lambda: len(beats.started) >= 5)
            assert await served.alive()
            assert len(beats.started) - 1 == 5
            gates["all"].set()
            assert await raw.numbers(30) == list(range(30))

    asyncio.run(scenario())


def test_a_frame_beyond_the_bound_is_served_when_nothing_else_is_in_flight() -> None:
    async def scenario() -> None:
        async with serving(Heartbeats(at_once), limits=WireLimits(max_bytes_per_connection=1000)) as served:
            raw = await served.raw()
            for number in range(5):
                raw.beat(number, group="g" * 30_000)
            assert await raw.numbers(5) == list(range(5))

    asyncio.run(scenario())


def test_connections_wait_for_room_in_the_node_and_then_go_on() -> None:
    async def scenario() -> None:
        gates = Gates()
        beats = Heartbeats(gates.beat)
        async with serving(beats, limits=WireLimits(max_bytes_per_node=50_000)) as served:
            first, second = await served.raw(), await served.raw()
            first.beat(1, gate="first", group="g" * 32_000)
            first.beat(2, gate="first", group="g" * 32_000)
            await until(lambda: len(beats.started) == 2)
            # The second connection pauses once it meets the full node; what it had sent until then is served.
            second.beat(3, gate="second", group="g" * 32_000)
            await until(lambda: len(beats.started) == 3)
            second.beat(4, group="g" * 32_000)
            gates["first"].set()
            assert await first.numbers(2) == [1, 2]
            gates["second"].set()
            assert await second.numbers(2) == [3, 4]

    asyncio.run(scenario())


def test_a_waiting_fetch_holds_back_answers_but_not_requests() -> None:
    async def scenario() -> None:
        gates = Gates()

        async def long_poll(context: RequestContext, request: Any) -> fetch.FetchResponse:
            await gates["data"].wait()
            return fetch.FetchResponse()

        fetches, beats = Fetches(long_poll), Heartbeats(at_once)
        async with serving(fetches, beats) as served:
            raw = await served.raw()
            raw.ask(fetch.FetchRequest(), 12)
            raw.beat(5)
            await until(lambda: len(beats.started) == 1)
            gates["data"].set()
            assert (await raw.answer(fetch.API_KEY, 12))[0] == 1
            assert await raw.numbers(1) == [5]

    asyncio.run(scenario())


def test_fetches_of_one_connection_are_bounded() -> None:
    async def scenario() -> None:
        gates = Gates()

        async def long_poll(context: RequestContext, request: Any) -> fetch.FetchResponse:
            await gates["data"].wait()
            return fetch.FetchResponse()

        fetches = Fetches(long_poll)
        async with serving(fetches, Heartbeats(at_once)) as served:
            raw = await served.raw()
            for _ in range(20):
                raw.ask(fetch.FetchRequest(), 12)
            await until(lambda: len(fetches.started) == MAX_FETCHES_PER_CONNECTION)
            assert await served.alive()
            assert len(fetches.started) == MAX_FETCHES_PER_CONNECTION
            gates["data"].set()
            for number in range(1, 21):
                assert (await raw.answer(fetch.API_KEY, 12))[0] == number

    asyncio.run(scenario())


def test_nothing_more_is_fetched_for_a_peer_that_does_not_read() -> None:
    data = memoryview(bytes(1024 * 1024))

    async def serve(context: RequestContext, request: Any) -> fetch.FetchResponse:
        partition = fetch.PartitionData(records=[data])
        return fetch.FetchResponse(responses=[fetch.FetchableTopicResponse(topic="t", partitions=[partition])])

    async def scenario() -> None:
        fetches = Fetches(serve)
        async with serving(fetches, Heartbeats(at_once)) as served:
            raw = await served.raw()
            raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
            for _ in range(200):
                raw.ask(fetch.FetchRequest(), 12)
            await until(lambda: len(fetches.started) > 0)
            seen = -1
            while seen != len(fetches.started):  # until it does not move while others are served
                seen = len(fetches.started)
                for _ in range(20):
                    assert await served.alive()
            assert seen < 60
            raw.writer.transport.resume_reading()  # type: ignore[attr-defined]
            for number in range(1, 201):
                frame = await raw.frame()
                assert int.from_bytes(frame[:4], "big") == number
                assert len(frame) > len(data)

    asyncio.run(scenario())


def test_acks_0_is_not_answered_and_does_not_disturb_the_order() -> None:
    async def no_answer(context: RequestContext, request: produce.ProduceRequest) -> produce.ProduceResponse | None:
        return None if request.acks == 0 else produce.ProduceResponse()

    async def scenario() -> None:
        async with serving(Produces(no_answer), Heartbeats(at_once)) as served:
            raw = await served.raw()
            raw.ask(one_partition(0, b"abc", acks=0), 9)
            raw.beat(1)
            raw.ask(one_partition(0, b"abc", acks=0), 9)
            raw.ask(one_partition(0, b"abc", acks=1), 9)
            assert await raw.numbers(1) == [1]
            assert (await raw.answer(produce.API_KEY, 9))[0] == 4

    asyncio.run(scenario())


def test_records_are_writable_views_of_the_frame() -> None:
    async def scenario() -> None:
        seen: list[memoryview] = []

        async def stamp(context: RequestContext, request: produce.ProduceRequest) -> produce.ProduceResponse:
            for topic in request.topic_data:
                for partition in topic.partition_data:
                    assert isinstance(partition.records, memoryview)
                    partition.records[0:3] = b"xyz"
                    seen.append(partition.records)
            return produce.ProduceResponse()

        async with serving(Produces(stamp)) as served:
            raw = await served.raw()
            for size in (10, 500_000):
                raw.ask(one_partition(0, b"r" * size), 8)
                await raw.answer(produce.API_KEY, 8)
            assert [bytes(view[:4]) for view in seen] == [b"xyzr", b"xyzr"]

    asyncio.run(scenario())


def test_frames_that_come_byte_by_byte_are_served() -> None:
    async def scenario() -> None:
        async with serving(Heartbeats(at_once)) as served:
            raw = await served.raw()
            request = heartbeat.HeartbeatRequest(group_id="g", generation_id=3)
            for byte in b"".join(envelope.encode_request(request, 4, 1, "raw")):
                raw.send(bytes([byte]))
                await raw.writer.drain()
                await asyncio.sleep(0)
            assert await raw.numbers(1) == [3]

    asyncio.run(scenario())


def test_frames_of_5_mib_use_their_buffers_again() -> None:
    async def answer(context: RequestContext, request: produce.ProduceRequest) -> produce.ProduceResponse:
        produces.started.clear()
        return produce.ProduceResponse()

    produces = Produces(answer)

    async def scenario() -> None:
        pool = BufferPool()
        async with serving(produces, pool=pool) as served:
            raw = await served.raw()
            for _ in range(12):
                raw.ask(one_partition(0, b"r" * (5 * 1024 * 1024)), 9)
                await raw.answer(produce.API_KEY, 9)
            assert pool.made <= 2
            assert pool.reused >= 10

    asyncio.run(scenario())
