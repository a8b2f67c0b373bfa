"""A leader that serves Fetch on a socket, and a reader node that follows it, in one process over memory twins."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from cauce.api.api_versions import ApiVersionsHandler
from infra.clock import SYSTEM_CLOCK
from infra.cluster.manifest import Manifest, ManifestLedger
from infra.cluster.manifest_record import ManifestRecord
from infra.cluster.records import EpochRecord, TopicRecord
from infra.cluster.state import ClusterState
from infra.object_key import EpochKey
from infra.partition import PartitionId
from infra.view.memory import MemoryView
from infra.view.memory_server import MemoryServer
from infra.view.port import LiveSession
from infra.wire.handler import Registry, RequestContext
from infra.wire.messages import fetch as message
from infra.wire.server import Listener, Server
from reader.api.fetch import FetchHandler
from reader.catch_up import CatchUpReader
from reader.fetch import Fetcher
from reader.fetch_pass import Fetched
from reader.followers import Followers, Patience
from reader.history_source import HistorySource
from reader.leader_connection import LeaderConnections
from reader.observer import ReadObserver
from reader.subscription import Means
from tests.ingest.logs import SESSION
from tests.reader.history import records_of, write_segment
from tests.reader.world import DEADLINE_SECONDS, TOPIC_ID, Led, World, limits, wanted

_READER_ID = 9
QUICK = Patience(stand_seconds=DEADLINE_SECONDS, look_seconds=0.01)


class CountedFetches(FetchHandler):
    """Remembers which connections asked, and that they asked as replicas."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.connections: set[int] = set()

    async def handle(self, context: RequestContext, request: message.FetchRequest) -> message.FetchResponse:
        assert request.replica_state.replica_id == _READER_ID
        self.connections.add(context.connection_id)
        return await super().handle(context, request)


class Nodes:
    """Made by `run`."""

    def __init__(self, world: World, *, tail_bytes: int, patience: Patience) -> None:
        self.world = world
        self.server = MemoryServer(SYSTEM_CLOCK)
        self.view = MemoryView(self.server)
        self.fetches = CountedFetches(world.topics, world.fetcher, world.sessions)
        self._tail_bytes = tail_bytes
        self._patience = patience
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        registry = Registry([self.fetches])
        registry.add(ApiVersionsHandler(registry))
        server = Server(registry, [Listener(name="main", host="127.0.0.1", port=0)])
        await server.start()
        self._stack.push_async_callback(server.close, 0.0)
        host, port = server.bound["main"]
        await self.view.begin_rebuild("test", 60_000)
        await self.view.install("test", "first")
        await self.view.use("first")
        await self.view.register(LiveSession(SESSION, {"main": f"{host}:{port}"}, None, frozenset({"ingest"})), 600_000)
        await self.tell_topic()
        await self._start_reader()

    async def _start_reader(self) -> None:
        view = self.view.sibling()
        self.state = ClusterState(view, SYSTEM_CLOCK, "cluster")
        await self.state.refresh()
        means = Means(
            state=self.state,
            histories=HistorySource(self.world.store, view, self.state),
            connections=LeaderConnections(self.state.nodes, "main", lambda: _READER_ID, tail_bytes=self._tail_bytes),
            clock=SYSTEM_CLOCK,
            observer=ReadObserver(),
        )
        self.followers = Followers(means, tail_bytes=self._tail_bytes, patience=self._patience)
        catch_up = CatchUpReader(self.world.store, cache_bytes=1 << 24)
        self.fetcher = Fetcher(self.followers, catch_up, stand=self.followers.stand)
        self._stack.push_async_callback(catch_up.close)
        for work in (self.state.run(), self.followers.run()):
            task = asyncio.create_task(work)
            self._stack.callback(task.cancel)
        self._stack.push_async_callback(self.followers.close)

    async def close(self) -> None:
        await self._stack.aclose()

    async def tell_topic(self, *, version: int = 0, deleted_ms: int | None = None) -> None:
        record = TopicRecord(TOPIC_ID, "flights", 8, {}, deleted_ms=deleted_ms)
        await self.view.put_topic(TOPIC_ID, version, record.encode())

    async def lead(self, partition: int = 0, **options: Any) -> Led:
        """Led by the leader, as bucket and view tell."""
        led = self.world.lead(partition, **options)
        lease = led.log.lease
        epochs = led.log.epochs
        record = EpochRecord(SESSION, epochs[-1].start_offset, led.log.durability, False, None, tuple(epochs[:-1]))
        await self.world.store.create(EpochKey(lease.partition, lease.leader_epoch).key, record.encode())
        await self.view.set_leader(lease)
        return led

    async def publish(self, led: Led) -> None:
        """Flush what there is, and tell the view."""
        if led.log.published_offset < led.log.synced_offset:
            await led.flush()
        await self.view.put_partition(led.log.partition, led.log.published())

    async def compact(self, led: Led) -> Manifest:
        """All that is published becomes a record segment: ledger, view, leader, in this order."""
        base, last = led.log.records_end, led.log.published_offset - 1
        segment = await write_segment(self.world, led.log.partition, records_of(led, base), base, last)
        ledger = ManifestLedger(self.world.store)
        manifest = await ledger.append(led.log.partition, led.log.manifest, ManifestRecord(0, added=(segment,)))
        await self.view.put_manifest(led.log.partition, manifest.version)
        await self.view.trim_partition(led.log.partition, last + 1)
        led.log.adopt_manifest(manifest)
        return manifest

    async def fetch(self, offset: int, partition: int = 0, max_wait: float = 0.0, **options: Any) -> Fetched:
        """From the reader node."""
        [answer] = await self.fetcher.fetch([wanted(offset, partition, **options)], limits(max_wait))
        return answer


def followed(nodes: Nodes, partition: int = 0) -> int:
    """The high watermark as the reader knows it."""
    return nodes.followers.log(PartitionId(TOPIC_ID, partition)).high_watermark


def run(
    body: Callable[[Nodes], Awaitable[None]],
    *,
    tail_bytes: int = 1 << 24,
    patience: Patience = QUICK,
    leader_tail_bytes: int = 1 << 24,
) -> None:
    """Run a test inside a loop, with nodes of its own."""

    async def whole() -> None:
        world = World(tail_bytes=leader_tail_bytes)
        nodes = Nodes(world, tail_bytes=tail_bytes, patience=patience)
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await nodes.start()
                await body(nodes)
        finally:
            await nodes.close()
            await world.close()

    asyncio.run(whole())
