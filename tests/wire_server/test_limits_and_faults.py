"""What is wrong costs its own connection and nothing else; what is too much is refused."""

import asyncio
import gc
import socket
import struct
from typing import Any

import pytest

from cauce.api.api_versions import ApiVersionsHandler
from infra.errors import BadStart, Unavailable
from infra.limits import WireLimits
from infra.wire import envelope
from infra.wire.codec_primitives import uvarint
from infra.wire.handler import Registry, RequestContext
from infra.wire.messages import api_versions, fetch, heartbeat
from infra.wire.observer import WireObserver
from infra.wire.server import Listener, Server
from tests.wire_server.harness import Fetches, Gates, Heartbeats, HeldClock, Produces, Raw, at_once, serving, until

GOOD_HEAD = struct.pack(">hhih", heartbeat.API_KEY, 0, 1, -1)


def framed(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


BAD = {
    "negative length": b"\xff\xff\xff\xff",
    "zero length": b"\0\0\0\0",
    "oversized length": struct.pack(">i", 100 * 1024 * 1024 + 1),
    "http": b"GET / HTTP/1.1\r\nHost: kafka\r\n\r\n",
    "tls client hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "too short for a header": framed(b"\0\x0c\0"),
    "unknown API": framed(struct.pack(">hhih", 999, 0, 1, -1)),
    "negative API": framed(struct.pack(">hhih", -1, 0, 1, -1)),
    "API without a handler": framed(struct.pack(">hhih", 19, 5, 1, -1)),
    "unsupported version": framed(struct.pack(">hhih", heartbeat.API_KEY, 5, 1, -1)),
    "negative version": framed(struct.pack(">hhih", heartbeat.API_KEY, -1, 1, -1)),
    "no client id": framed(struct.pack(">hhi", heartbeat.API_KEY, 0, 1)),
    "lying client id": framed(struct.pack(">hhih", heartbeat.API_KEY, 0, 1, 500)),
    "negative client id": framed(struct.pack(">hhih", heartbeat.API_KEY, 0, 1, -2)),
    "no body": framed(GOOD_HEAD),
    "half a body": framed(GOOD_HEAD + b"\0\x01g\0\0"),
    "lying string": framed(GOOD_HEAD + b"\x7f\xffg" + b"\0" * 6),
    "not UTF-8": framed(GOOD_HEAD + b"\0\x01\xff" + b"\0\0\0\x01\0\0"),
}
SURPLUS = framed(GOOD_HEAD + b"\0\x01g\0\0\0\x01\0\0" + b"surplus")


def test_bytes_behind_a_request_are_passed_over() -> None:
    """As Kafka does: librdkafka leaves some behind its Metadata requests."""

    async def scenario() -> None:
        async with serving(Heartbeats(at_once)) as served:
            raw = await served.raw()
            raw.send(SURPLUS)
            await raw.answer(version=0)
            raw.beat(3)
            assert await raw.numbers(1) == [3]

    asyncio.run(scenario())


@pytest.mark.parametrize("name", BAD)
def test_bad_bytes_close_their_connection_only(name: str) -> None:
    async def scenario() -> None:
        async with serving(Heartbeats(at_once)) as served:
            other, raw = await served.raw(), await served.raw()
            raw.send(BAD[name])
            assert await raw.closed_by_server()
            other.beat(3)
            assert await other.numbers(1) == [3]

    asyncio.run(scenario())


def test_what_came_before_bad_bytes_is_answered_and_nothing_behind_them() -> None:
    async def scenario() -> None:
        gates = Gates()
        beats = Heartbeats(gates.beat)
        async with serving(beats) as served:
            raw = await served.raw()
            raw.beat(1, gate="slow")
            raw.beat(2)
            raw.send(BAD["unknown API"])
            raw.beat(3)
            await until(lambda: len(beats.started) == 2)
            assert await served.alive()
            gates["slow"].set()
            assert await raw.numbers(2) == [1, 2]
            assert await raw.closed_by_server()
            assert len(beats.started) == 3  # with the one that alive() sent

    asyncio.run(scenario())


def test_a_frame_of_the_greatest_size_is_taken_and_one_byte_more_is_not() -> None:
    async def scenario() -> None:
        limits = WireLimits(max_frame_bytes=200_000)
        async with serving(Heartbeats(at_once), limits=limits) as served:
            raw = await served.raw()
            frame = b"".join(envelope.encode_request(heartbeat.HeartbeatRequest(generation_id=7), 4, 1, None))[4:-1]
            padding = 200_000 - len(frame) - 5  # an unknown tagged field: count, tag, length in three bytes
            frame += b"\x01\x63" + uvarint(padding) + b"t" * padding
            assert len(frame) == 200_000
            raw.send(framed(frame))
            assert await raw.numbers(1) == [7]
            raw.send(framed(frame + b"t"))
            assert await raw.closed_by_server()

    asyncio.run(scenario())


@pytest.mark.parametrize("error", [ValueError("a mistake"), Unavailable("the store does not answer")])
def test_a_handler_that_raises_ends_its_connection_after_earlier_answers(error: Exception) -> None:
    async def scenario() -> None:
        gates = Gates()

        async def beat(context: RequestContext, request: heartbeat.HeartbeatRequest) -> heartbeat.HeartbeatResponse:
            if request.generation_id == 2:
                raise error
            return await gates.beat(context, request)

        async with serving(Heartbeats(beat)) as served:
            raw = await served.raw()
            raw.beat(1, gate="slow")
            raw.beat(2)
            raw.beat(3)
            assert await served.alive()
            gates["slow"].set()
            assert await raw.numbers(1) == [1]
            assert await raw.closed_by_server()
            assert await served.alive()

    asyncio.run(scenario())


def test_an_answer_that_cannot_be_written_ends_the_connection() -> None:
    async def nonsense(context: RequestContext, request: Any) -> Any:
        return heartbeat.HeartbeatResponse(error_code=1 << 40)

    async def scenario() -> None:
        async with serving(Heartbeats(nonsense)) as served:
            raw = await served.raw()
            raw.beat(1)
            assert await raw.closed_by_server()

    asyncio.run(scenario())


def test_connections_beyond_the_limit_are_closed_at_once_and_room_is_used_again() -> None:
    async def scenario() -> None:
        async with serving(Heartbeats(at_once), limits=WireLimits(max_connections=20)) as served:
            accepted = [await served.raw() for _ in range(20)]
            for raw in accepted:
                raw.beat(1)
                assert await raw.numbers(1) == [1]
            for _ in range(30):
                assert await refused(await served.raw())
            await accepted[0].close()
            raw = await served.raw()
            while await refused(raw):  # until the server has seen that the other is gone
                raw = await served.raw()

    asyncio.run(scenario())


async def refused(raw: Raw) -> bool:
    raw.beat(1)
    try:
        return await raw.numbers(1) != [1]
    except EOFError:
        return True


def test_connections_of_one_address_are_limited() -> None:
    async def scenario() -> None:
        async with serving(Heartbeats(at_once), limits=WireLimits(max_connections_per_ip=3)) as served:
            for _ in range(3):
                assert not await refused(await served.raw())
            assert await refused(await served.raw())

    asyncio.run(scenario())


def test_idle_connections_are_closed_and_busy_ones_are_not() -> None:
    async def scenario() -> None:
        gates, clock = Gates(), HeldClock()
        beats = Heartbeats(gates.beat)
        async with serving(beats, limits=WireLimits(idle_seconds=0.05), clock=clock) as served:
            idle, busy, half = await served.raw(), await served.raw(), await served.raw()
            idle.beat(1)
            assert await idle.numbers(1) == [1]
            busy.beat(2, gate="slow")
            half.send(b"\0\0\x10\0" + b"never whole")
            await until(lambda: len(beats.started) == 2)
            clock.seconds += 1
            assert await idle.closed_by_server()
            assert await half.closed_by_server()
            gates["slow"].set()
            assert await busy.numbers(1) == [2]

    asyncio.run(scenario())


def test_too_many_bytes_of_half_frames_close_who_brought_the_last() -> None:
    async def scenario() -> None:
        async with serving(Heartbeats(at_once), limits=WireLimits(max_bytes_per_node=300_000)) as served:
            raws = [await served.raw() for _ in range(4)]
            for raw in raws:
                raw.send(struct.pack(">i", 1_000_000) + b"x" * 100_000)
                await raw.writer.drain()
            closed = [asyncio.create_task(raw.closed_by_server()) for raw in raws]
            done, rest = await asyncio.wait(closed, return_when=asyncio.FIRST_COMPLETED)
            assert len(done) == 1
            for task in rest:
                task.cancel()

    asyncio.run(scenario())


def test_a_gone_peer_cancels_its_fetch_and_lets_writes_run_on() -> None:
    async def scenario() -> None:
        gates = Gates()
        ended: list[str] = []

        async def long_poll(context: RequestContext, request: Any) -> fetch.FetchResponse:
            try:
                await gates["never"].wait()
            finally:
                ended.append("fetch")
            return fetch.FetchResponse()

        async def beat(context: RequestContext, request: heartbeat.HeartbeatRequest) -> heartbeat.HeartbeatResponse:
            if request.member_id:
                await gates[request.member_id].wait()
                ended.append("beat")
            return await at_once(context, request)

        fetches, beats = Fetches(long_poll), Heartbeats(beat)
        async with serving(fetches, beats) as served:
            raw = await served.raw()
            raw.ask(fetch.FetchRequest(), 11)
            raw.beat(1, gate="write")
            await until(lambda: len(fetches.started) + len(beats.started) == 2)
            await raw.close()
            await until(lambda: ended == ["fetch"])
            gates["write"].set()
            await until(lambda: ended == ["fetch", "beat"])
            assert await served.alive()

    asyncio.run(scenario())


def test_a_clean_stop_answers_what_is_under_way() -> None:
    async def scenario() -> None:
        gates = Gates()
        beats = Heartbeats(gates.beat)
        async with serving(beats) as served:
            idle, busy = await served.raw(), await served.raw()
            busy.beat(1, gate="slow")
            busy.beat(2)
            await until(lambda: len(beats.started) == 2)
            stopping = asyncio.create_task(served.server.close(drain_seconds=20))
            assert await idle.closed_by_server()
            busy.beat(3)  # too late: read no more
            gates["slow"].set()
            assert await busy.numbers(2) == [1, 2]
            assert await busy.closed_by_server()
            await stopping
            assert len(beats.started) == 2
            with pytest.raises(OSError):
                await served.raw()

    asyncio.run(scenario())


def test_a_stop_does_not_wait_for_ever() -> None:
    async def scenario() -> None:
        gates = Gates()
        beats = Heartbeats(gates.beat)
        async with serving(beats) as served:
            raw = await served.raw()
            raw.beat(1, gate="never")
            await until(lambda: len(beats.started) == 1)
            await served.server.close(drain_seconds=0.05)
            assert await raw.closed_by_server()

    asyncio.run(scenario())


def test_listeners_have_names_and_ports_of_their_own() -> None:
    async def scenario() -> None:
        seen: list[tuple[str, str]] = []

        async def beat(context: RequestContext, request: Any) -> heartbeat.HeartbeatResponse:
            seen.append((context.listener, context.peer))
            return heartbeat.HeartbeatResponse()

        listeners = [Listener(name=name, host="127.0.0.1", port=0) for name in ("main", "inner")]
        async with serving(Heartbeats(beat), listeners=listeners) as served:
            assert len({port for _, port in served.server.bound.values()}) == 2
            for name in ("inner", "main"):
                raw = await served.raw(name)
                raw.beat(0)
                await raw.answer()
            assert seen == [("inner", "127.0.0.1"), ("main", "127.0.0.1")]

    asyncio.run(scenario())


def test_an_address_in_use_is_a_bad_start() -> None:
    async def scenario() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            listeners = [
                Listener(name="free", host="127.0.0.1", port=0),
                Listener(name="main", host="127.0.0.1", port=taken.getsockname()[1]),
            ]
            with pytest.raises(BadStart, match="main cannot listen"):
                await Server(Registry(), listeners).start()

    asyncio.run(scenario())


def test_the_observer_is_told_of_everything() -> None:
    class Counting(WireObserver):
        def __init__(self) -> None:
            self.events: list[tuple[Any, ...]] = []

        def on_connection(self, change: int) -> None:
            self.events.append(("connection", change))

        def on_request(self, api_key: int, version: int, seconds: float, bytes_in: int, bytes_out: int) -> None:
            self.events.append(("request", api_key, version, bytes_in, bytes_out))

        def on_bad_frame(self) -> None:
            self.events.append(("bad frame",))

    async def scenario() -> None:
        observer = Counting()
        async with serving(Heartbeats(at_once), observer=observer) as served:
            raw = await served.raw()
            raw.beat(1)
            await raw.answer()
            raw.send(BAD["unknown API"])
            assert await raw.closed_by_server()
            await until(lambda: len(observer.events) == 4)
        frame_bytes = sum(map(len, envelope.encode_request(heartbeat.HeartbeatRequest(group_id="g"), 4, 1, "raw")))
        assert observer.events == [
            ("connection", 1),
            ("request", heartbeat.API_KEY, 4, frame_bytes, 4 + 4 + 1 + 4 + 2 + 1),
            ("bad frame",),
            ("connection", -1),
        ]

    asyncio.run(scenario())


@pytest.mark.parametrize("version", [5, 99, -1, 32767])
def test_api_versions_in_an_unknown_version_is_answered_as_v0_with_error_35(version: int) -> None:
    async def scenario() -> None:
        async with serving(Heartbeats(at_once)) as served:
            raw = await served.raw()
            raw.send(framed(struct.pack(">hhih", 18, version, 77, -1) + b"\xff whatever"))
            frame = bytes(await raw.frame())
            assert frame == struct.pack(">ihihhh", 77, 35, 1, 18, 0, 4)
            raw.ask(api_versions.ApiVersionsRequest(), 0)  # the connection goes on
            await raw.frame()

    asyncio.run(scenario())


@pytest.mark.parametrize("version", range(5))
def test_api_versions_tells_what_the_registry_has_behind_the_oldest_header(version: int) -> None:
    async def scenario() -> None:
        async with serving(Heartbeats(at_once), Fetches(at_once)) as served:
            raw = await served.raw()
            request = api_versions.ApiVersionsRequest(client_software_name="raw", client_software_version="1.0-rc.1")
            raw.ask(request, version)
            number, response = await raw.answer(18, version)
            assert number == 1
            offered = {api.api_key: (api.min_version, api.max_version) for api in response.api_keys}
            assert offered == {1: (4, 16), 12: (0, 4), 18: (0, 4)}
            assert response.finalized_features == []
            assert response.finalized_features_epoch == -1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("name", "software_version"), [("", "1"), ("-x", "1"), ("a b", "1"), ("ok", ""), ("ok", "1\n")]
)
def test_api_versions_refuses_software_names_as_kafka_does(name: str, software_version: str) -> None:
    request = api_versions.ApiVersionsRequest(client_software_name=name, client_software_version=software_version)

    async def scenario() -> None:
        handler = ApiVersionsHandler(Registry())
        for version, code in ((2, 0), (3, 42), (4, 42)):
            context = RequestContext(
                api_key=18, api_version=version, client_id=None, listener="main", peer="x", connection_id=1
            )
            assert (await handler.handle(context, request)).error_code == code

    asyncio.run(scenario())


def test_produce_is_advertised_from_0_though_it_is_served_from_3() -> None:
    async def scenario() -> None:
        async with serving(Produces(at_once)) as served:
            raw = await served.raw()
            raw.ask(api_versions.ApiVersionsRequest(), 0)
            _, response = await raw.answer(18, 0)
            assert (response.api_keys[0].api_key, response.api_keys[0].min_version) == (0, 0)
            raw.send(framed(struct.pack(">hhih", 0, 2, 1, -1)))
            assert await raw.closed_by_server()

    asyncio.run(scenario())


def test_an_answer_that_is_ready_as_the_peer_leaves_troubles_nobody() -> None:
    async def scenario() -> None:
        troubles: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
        gates = Gates()
        beats = Heartbeats(gates.beat)
        async with serving(beats) as served:
            raw = await served.raw()
            raw.beat(1, gate="ready")
            await until(lambda: len(beats.started) == 1)
            [channel] = served.server._channels
            gates["ready"].set()  # the handler goes on before the end of the connection is told
            assert channel._transport is not None
            channel._transport.close()
            assert await raw.closed_by_server()
            assert await served.alive()
        gc.collect()
        assert troubles == []

    asyncio.run(scenario())
