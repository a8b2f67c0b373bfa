"""A node: its parts made, started in order and stopped in order. What each part does stands in its own room.

Start: folder locked, bucket probed, view whole, WAL read back, listeners bound, session opened, leases taken, serving.
Stop: leases given back (flush, publish, release) while clients are still answered, session closed, connections
drained, WAL closed, folder unlocked.
"""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

from cauce.data_folder import DataFolder
from cauce.handlers import handlers_of
from cauce.http import HealthServer
from cauce.ingest_side import IngestSide
from cauce.node_metrics import StateMetrics, store_observer
from cauce.wire_metrics import WireMetrics
from infra.clock import SYSTEM_CLOCK, Clock
from infra.cluster.cluster import open_cluster
from infra.cluster.session import NodeDescription
from infra.cluster.state import ClusterState
from infra.errors import BadStart, CauceError
from infra.metrics import Metrics
from infra.segment.footer import read_extents
from infra.settings import Settings
from infra.store.open import open_store
from infra.store.port import ObjectStore
from infra.store.probe import probe_store
from infra.view.embedded import EmbeddedRedis
from infra.view.rebuild import rebuild
from infra.view.redis_view import RedisView
from infra.wire.handler import Registry
from infra.wire.server import Listener, Server

log = logging.getLogger(__name__)

_DRAIN_SECONDS = 5.0  # how long requests under way may take when the node stops


class Node:
    """One running node."""

    def __init__(self, settings: Settings, clock: Clock = SYSTEM_CLOCK) -> None:
        self._settings = settings
        self._clock = clock
        self._folder = DataFolder(settings.data)
        self._metrics = Metrics()
        self._registry = Registry()
        self._stack = AsyncExitStack()
        self._failed = asyncio.Event()
        self._failure: BaseException | None = None
        self._http: HealthServer | None = None
        self._ready = False
        self.node_id = -1
        self.endpoints: dict[str, str] = {}  # listener name → "host:port" as clients are told

    @property
    def bucket(self) -> str:
        """URL of the bucket."""
        return self._settings.bucket

    @property
    def http_address(self) -> str:
        """HOST:PORT of health and metrics, empty without."""
        return "" if self._http is None else f"{self._http.bound[0]}:{self._http.bound[1]}"

    async def start(self) -> None:
        """Start everything; on a failure what was started is stopped again. Raises `BadStart` and `Unavailable`."""
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def run_until(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set. Raises what ended the node by itself."""
        waits = [asyncio.create_task(stop.wait()), asyncio.create_task(self._failed.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if self._failure is not None:
            raise self._failure

    async def stop(self) -> None:
        """Stop cleanly: hand everything over, then leave."""
        self._ready = False
        await self._stack.aclose()

    async def _start(self) -> None:
        settings = self._settings
        self._folder.lock()
        self._stack.callback(self._folder.unlock)
        store = open_store(settings.bucket, observe=store_observer(self._metrics), clock=self._clock)
        self._stack.push_async_callback(store.close)
        _, redis_url = await asyncio.gather(probe_store(store, settings.bucket, self._clock), self._redis_url())
        cluster = await open_cluster(store, self._clock)
        view = RedisView(redis_url, cluster.cluster_id, clock=self._clock)
        self._stack.push_async_callback(view.close)

        async def recover() -> None:
            await rebuild(view, store, read_extents, self._clock)

        await recover()
        state = ClusterState(view, self._clock, cluster.cluster_id, recover=recover)
        server = await self._bind()
        await self._serve(store, view, state, server)

    async def _redis_url(self) -> str:
        given: str = self._settings["cauce.redis"]
        if given:
            return given
        redis = EmbeddedRedis(self._folder.redis)
        url = await redis.start()
        self._stack.push_async_callback(redis.stop)
        return url

    async def _bind(self) -> Server:
        settings = self._settings
        listeners = [Listener(name=name, host=host, port=port) for name, host, port in settings.listeners]
        server = Server(
            self._registry, listeners, settings.wire_limits, self._clock, observer=WireMetrics(self._metrics)
        )
        await server.bind()
        self._stack.push_async_callback(server.close, _DRAIN_SECONDS)
        for name, (host, port) in server.bound.items():
            advertised = settings.advertised_listeners.get(name)
            if advertised is not None:
                host, port = advertised.host, advertised.port or port
            self.endpoints[name] = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return server

    async def _serve(self, store: ObjectStore, view: RedisView, state: ClusterState, server: Server) -> None:
        settings = self._settings
        description = NodeDescription(
            endpoints=self.endpoints,
            rack=settings["broker.rack"] or None,
            roles=frozenset(settings["cauce.roles"]),
            ttl_seconds=settings["cauce.session.timeout.ms"] / 1000,
        )
        side = await IngestSide.open(
            settings, self._folder, store, view, state, description, self._metrics, self._clock
        )
        self._stack.push_async_callback(side.close)
        self.node_id = side.node_id
        for handler in handlers_of(settings, state, store, view, side, self._clock):
            self._registry.add(handler)
        self._run(side.run(), "leases")
        self._run(state.run(), "cluster state")
        await side.settle()
        await self._start_http(side, state)
        await server.start()
        self._ready = True

    async def _start_http(self, side: IngestSide, state: ClusterState) -> None:
        address: str = self._settings["cauce.http"]
        if not address:
            return
        host, colon, port = address.rpartition(":")
        if not colon or not port.isdecimal():
            raise BadStart(f"cauce.http={address!r} is not HOST:PORT, for example 127.0.0.1:9644")
        gauges = StateMetrics(self._metrics, side.leaders, state, side.committed, side.wal_bytes, self._clock)

        def ready() -> str | None:
            return "the node is starting or stopping" if not self._ready else side.problem()

        self._http = HealthServer(host, int(port), self._metrics.registry, ready=ready, refresh=gauges.refresh)
        await self._http.start()
        self._stack.push_async_callback(self._http.close)

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run something for as long as the node lives; its failure ends the node."""
        task = asyncio.create_task(work, name=name)

        def done(ended: asyncio.Task[None]) -> None:
            if not ended.cancelled() and (error := ended.exception()) is not None:
                log.error("%s failed: %s", name, error, exc_info=None if isinstance(error, CauceError) else error)
                self._failure = error
                self._failed.set()

        async def cancel() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        task.add_done_callback(done)
        self._stack.push_async_callback(cancel)
