"""uvloop is an extra: server and client must work on its transports as they do on asyncio's."""

import asyncio
from typing import Any

import pytest

from infra.wire.client import Client
from infra.wire.handler import RequestContext
from infra.wire.messages import fetch, heartbeat, produce
from tests.wire_server.harness import Fetches, Gates, Heartbeats, Produces, serving, until

uvloop = pytest.importorskip("uvloop")


def test_server_and_client_work_on_uvloop() -> None:
    data = memoryview(bytes(range(256)) * 4096)

    async def serve(context: RequestContext, request: Any) -> fetch.FetchResponse:
        partition = fetch.PartitionData(records=[data, data])
        return fetch.FetchResponse(responses=[fetch.FetchableTopicResponse(topic="t", partitions=[partition])])

    async def take(context: RequestContext, request: produce.ProduceRequest) -> produce.ProduceResponse:
        records = request.topic_data[0].partition_data[0].records
        assert isinstance(records, memoryview)
        assert not records.readonly
        assert records == data
        return produce.ProduceResponse()

    async def scenario() -> None:
        gates = Gates()
        beats = Heartbeats(gates.beat)
        partition = produce.PartitionProduceData(records=data)
        request = produce.ProduceRequest(topic_data=[produce.TopicProduceData(name="t", partition_data=[partition])])
        async with serving(beats, Fetches(serve), Produces(take)) as served:
            async with Client([(served.host, served.port)]) as client:
                slow = asyncio.create_task(client.call(None, heartbeat.HeartbeatRequest(member_id="slow")))
                await until(lambda: len(beats.started) == 1)
                produces = [asyncio.create_task(client.call(None, request)) for _ in range(20)]
                gates["slow"].set()
                await asyncio.gather(slow, *produces)
                response = await client.call(None, fetch.FetchRequest(), version=11)
                assert response.responses[0].partitions[0].records == bytes(data) * 2
                closing = asyncio.create_task(served.server.close(drain_seconds=20))
                await closing

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())
