"""Our own client, against a real server with handlers made for the test."""

import asyncio
import struct
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from cauce.api.api_versions import ApiVersionsHandler
from infra.error_code import ErrorCode
from infra.errors import Unavailable
from infra.wire.client import Client, Node, parse_addresses
from infra.wire.client_connection import Address, UnsupportedVersion
from infra.wire.handler import Handler, Registry, RequestContext
from infra.wire.messages import find_coordinator, heartbeat, list_groups, metadata, produce
from infra.wire.server import Listener, Server
from tests.wire_server.harness import Gates, Heartbeats, Produces, ScriptedHandler, Served, at_once, serving, until


class Metadatas(ScriptedHandler):
    api_key: ClassVar[int] = metadata.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 12


class FindCoordinators(ScriptedHandler):
    api_key: ClassVar[int] = find_coordinator.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 6


def client_of(served: Served, **options: Any) -> Client:
    return Client(f"{served.host}:{served.port}", "tester", **options)


def beat(number: int, gate: str = "") -> heartbeat.HeartbeatRequest:
    return heartbeat.HeartbeatRequest(group_id="g", generation_id=number, member_id=gate)


def test_calls_are_pipelined_over_one_connection_in_the_highest_version() -> None:
    async def scenario() -> None:
        gates = Gates()
        contexts: list[RequestContext] = []

        async def script(context: RequestContext, request: Any) -> Any:
            contexts.append(context)
            return await gates.beat(context, request)

        beats = Heartbeats(script)
        async with serving(beats) as served, client_of(served) as client:
            calls = [asyncio.create_task(client.call(None, beat(number, "all"))) for number in range(20)]
            await until(lambda: len(beats.started) == 20)
            gates["all"].set()
            assert [(await call).error_code for call in calls] == list(range(20))
            assert {(c.api_version, c.client_id, c.connection_id) for c in contexts} == {(4, "tester", 1)}

    asyncio.run(scenario())


def test_versions_are_agreed_with_older_nodes_even_by_fallback() -> None:
    class OldApiVersions(ApiVersionsHandler):
        max_version: ClassVar[int] = 1

    class OldHeartbeats(Heartbeats):
        max_version: ClassVar[int] = 2

    async def scenario() -> None:
        versions: list[int] = []

        async def script(context: RequestContext, request: Any) -> Any:
            versions.append(context.api_version)
            return await at_once(context, request)

        registry = Registry()
        old = OldApiVersions(registry)
        for handler in (old, OldHeartbeats(script)):
            registry.add(handler)
        async with serving(*registry) as served, client_of(served) as client:
            await client.call(None, beat(1))
            with pytest.raises(UnsupportedVersion):
                await client.call(None, list_groups.ListGroupsRequest())
            assert versions == [2]

    asyncio.run(scenario())


def test_no_answer_in_time_is_unavailable_and_a_late_one_harms_nobody() -> None:
    async def scenario() -> None:
        gates = Gates()
        async with serving(Heartbeats(gates.beat)) as served, client_of(served) as client:
            with pytest.raises(Unavailable, match="did not answer HeartbeatRequest"):
                await client.call(None, beat(1, "slow"), timeout_seconds=0.1)
            gates["slow"].set()
            assert (await client.call(None, beat(2))).error_code == 2

    asyncio.run(scenario())


def test_a_node_that_is_not_there_is_unavailable() -> None:
    async def scenario() -> None:
        async with serving(Heartbeats(at_once)) as served:
            address = (served.host, served.port)
        async with Client([address]) as client:
            with pytest.raises(Unavailable, match="cannot be reached"):
                await client.call(None, beat(1))

    asyncio.run(scenario())


def test_a_closed_connection_fails_calls_under_way_and_is_made_again() -> None:
    async def scenario() -> None:
        gates = Gates()
        beats = Heartbeats(gates.beat)
        async with serving(beats) as served:
            async with client_of(served) as client:
                call = asyncio.create_task(client.call(None, beat(1, "never")))
                await until(lambda: len(beats.started) == 1)
                await served.server.close(drain_seconds=0)
                with pytest.raises(Unavailable):
                    await call
                listener = Listener(name="main", host=served.host, port=served.port)
                again = Server(Registry([beats]), [listener])
                again._traffic.registry.add(ApiVersionsHandler(again._traffic.registry))
                await again.start()
                assert (await client.call(None, beat(2))).error_code == 2
                await again.close(drain_seconds=0)

    asyncio.run(scenario())


def test_bootstrap_goes_on_to_the_next_address() -> None:
    async def scenario() -> None:
        async with serving(Heartbeats(at_once)) as gone:
            nowhere = (gone.host, gone.port)
        async with serving(Heartbeats(at_once)) as served:
            async with Client([nowhere, (served.host, served.port)]) as client:
                assert (await client.call(None, beat(1))).error_code == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        struct.pack(">i", -1),
        struct.pack(">i", 2**31 - 1),
        struct.pack(">iih", 6, 1, 0),  # ends too early
        struct.pack(">iihi", 10, 1, 0, 2**30),  # an array that cannot be
    ],
)
def test_a_peer_that_answers_nonsense_is_unavailable(answer: bytes) -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(4)
        writer.write(answer)
        await writer.drain()
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
        async with Client([server.sockets[0].getsockname()[:2]], timeout_seconds=10) as client:
            with pytest.raises(Unavailable):
                await client.call(None, beat(1))
        server.close()

    asyncio.run(scenario())


def test_acks_0_does_not_wait_for_an_answer() -> None:
    async def silent(context: RequestContext, request: Any) -> None:
        return None

    async def scenario() -> None:
        produces = Produces(silent)
        async with serving(produces, Heartbeats(at_once)) as served, client_of(served) as client:
            assert await client.call(None, produce.ProduceRequest(acks=0)) is None
            assert (await client.call(None, beat(3))).error_code == 3
            assert len(produces.started) == 1

    asyncio.run(scenario())


class TwoNodes:
    """Two servers of one cluster; metadata and coordinators are what the test sets."""

    def __init__(self) -> None:
        self.controller = 0
        self.leader = 0
        self.coordinator: Callable[[], tuple[int, int]] = lambda: (0, 0)  # error code, node
        self.nodes: list[Served] = []
        self.asked: list[int] = []

    def handlers(self, node_id: int) -> list[Handler]:
        async def describe(context: RequestContext, request: Any) -> metadata.MetadataResponse:
            partition = metadata.MetadataResponsePartition(partition_index=0, leader_id=self.leader)
            topic = metadata.MetadataResponseTopic(name="t", partitions=[partition])
            return metadata.MetadataResponse(
                brokers=[
                    metadata.MetadataResponseBroker(node_id=number, host=node.host, port=node.port)
                    for number, node in enumerate(self.nodes)
                ],
                controller_id=self.controller,
                topics=[topic] if request.topics else [],
            )

        async def coordinate(context: RequestContext, request: Any) -> find_coordinator.FindCoordinatorResponse:
            error, number = self.coordinator()
            found = find_coordinator.Coordinator(
                key=request.coordinator_keys[0],
                node_id=number,
                host=self.nodes[number].host,
                port=self.nodes[number].port,
                error_code=error,
            )
            return find_coordinator.FindCoordinatorResponse(coordinators=[found])

        async def answer(context: RequestContext, request: Any) -> heartbeat.HeartbeatResponse:
            self.asked.append(node_id)
            right = request.generation_id in (node_id, -1)
            return heartbeat.HeartbeatResponse(error_code=0 if right else ErrorCode.NOT_COORDINATOR)

        return [Metadatas(describe), FindCoordinators(coordinate), Heartbeats(answer)]


def test_requests_find_leader_controller_and_coordinator() -> None:
    async def scenario() -> None:
        cluster = TwoNodes()
        async with serving(*cluster.handlers(0)) as first, serving(*cluster.handlers(1)) as second:
            cluster.nodes = [first, second]
            async with client_of(first) as client:
                assert await client.nodes() == [Node(0, first.host, first.port), Node(1, second.host, second.port)]
                cluster.leader = cluster.controller = 1
                await client.to_leader("t", 0, beat(-1))
                assert cluster.asked == [1]
                cluster.leader = 0
                await client.to_leader("t", 0, beat(-1))
                assert cluster.asked == [1, 1], "the leader is remembered"
                client.forget_leaders("t")
                await client.to_leader("t", 0, beat(-1))
                assert cluster.asked == [1, 1, 0]
                await client.to_controller(beat(-1))
                assert cluster.asked == [1, 1, 0, 1]

    asyncio.run(scenario())


def test_a_moving_coordinator_is_followed() -> None:
    async def scenario() -> None:
        cluster = TwoNodes()
        answers = iter([(int(ErrorCode.COORDINATOR_NOT_AVAILABLE), 0), (0, 0), (0, 1)])
        cluster.coordinator = lambda: next(answers)
        async with serving(*cluster.handlers(0)) as first, serving(*cluster.handlers(1)) as second:
            cluster.nodes = [first, second]
            async with client_of(first) as client:
                response = await client.to_coordinator("g", beat(1))
                assert response.error_code == 0
                assert cluster.asked == [0, 1], "the first one found said NOT_COORDINATOR"

    asyncio.run(scenario())


def test_a_coordinator_that_never_comes_is_unavailable() -> None:
    async def scenario() -> None:
        cluster = TwoNodes()
        cluster.coordinator = lambda: (int(ErrorCode.COORDINATOR_NOT_AVAILABLE), 0)
        async with serving(*cluster.handlers(0)) as first:
            cluster.nodes = [first]
            async with client_of(first, timeout_seconds=0.3) as client:
                with pytest.raises(Unavailable, match="no node would answer HeartbeatRequest"):
                    await client.to_coordinator("g", beat(1))

    asyncio.run(scenario())


def test_addresses_are_read_from_text() -> None:
    assert parse_addresses("a:1, [::1]:2") == [Address("a", 1), Address("::1", 2)]
    for wrong in ("", "a", "a:", ":1", "a:b", "a:1,"):
        with pytest.raises(ValueError, match="host:port"):
            parse_addresses(wrong)
