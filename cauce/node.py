"""A node: its parts made, started in order and stopped in order. What each part does stands in its own room.

Start: folder locked, bucket probed, view whole, WAL read back, listeners bound, session opened, leases taken, serving.
Stop: leases given back (flush, publish, release) while clients are still answered, session closed, connections
drained, WAL closed, folder unlocked. A node without the role ingest has no WAL and no leases; one that is a compactor
alone has no listeners either.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

from cauce.client_throttle import ClientThrottle
from cauce.compactor_metrics import CompactorMetrics
from cauce.compactor_process import CompactorProcess
from cauce.data_folder import DataFolder
from cauce.following import Following
from cauce.http import HealthServer
from cauce.ingest_parts import IngestParts
from cauce.leadership import Leadership
from cauce.listeners import Listeners
from cauce.node_metrics import store_observer
from cauce.reader_parts import ReaderParts
from cauce.role import Membership, Role, session_keeper
from cauce.shared_parts import SharedParts
from compactor.document import Document
from infra.clock import SYSTEM_CLOCK, Clock
from infra.cluster.cluster import open_cluster
from infra.cluster.session import NodeDescription
from infra.cluster.state import ClusterState
from infra.errors import BadStart, CauceError
from infra.metrics import Metrics
from infra.security.users import SCRAM_USERS, Users
from infra.segment.footer import read_extents
from infra.settings import Settings
from infra.store.hedged import HedgedStore
from infra.store.open import open_store
from infra.store.port import ObjectStore
from infra.store.probe import probe_store
from infra.view.embedded import EmbeddedRedis
from infra.view.gone_back import GoneBack
from infra.view.rebuild import rebuild
from infra.view.redis_view import RedisView
from infra.wire.handler import Registry
from ingest.wal.writer import Wal

log = logging.getLogger(__name__)

_DRAIN_SECONDS = 5.0  # how long requests under way may take when the node stops


class Node:
    """One running node."""

    def __init__(self, settings: Settings, clock: Clock = SYSTEM_CLOCK) -> None:
        self._settings = settings
        self._clock = clock
        self._roles: frozenset[str] = frozenset(settings["cauce.roles"])
        self._folder = DataFolder(settings.data)
        self._metrics = Metrics()
        self._registry = Registry()
        self._stack = AsyncExitStack()
        self._failed = asyncio.Event()
        self._failure: BaseException | None = None
        self._http: HealthServer | None = None
        self._ready = False
        self._redis = ""  # URL
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
        store = self._open_store()
        _, self._redis = await asyncio.gather(probe_store(store, settings.bucket, self._clock), self._redis_url())
        cluster = await open_cluster(store, self._clock)
        view = RedisView(self._redis, cluster.cluster_id, clock=self._clock, gone_back=GoneBack())
        self._stack.push_async_callback(view.close)
        recover = self._recover(view, store)
        await recover()
        state = ClusterState(view, self._clock, cluster.cluster_id, recover=recover)
        listeners = None
        if self._roles & {"ingest", "reader"}:
            users = Users(lambda: state.settings(SCRAM_USERS), settings.own_users)
            throttle = ClientThrottle(state, self._clock)
            listeners = Listeners(settings, self._registry, self._metrics, users, self._clock, throttle)
            self.endpoints = await listeners.bind()
        await self._serve(store, view, state, listeners)

    def _open_store(self) -> ObjectStore:
        store = open_store(self._settings.bucket, observe=store_observer(self._metrics), clock=self._clock)
        self._stack.push_async_callback(store.close)
        return store

    async def _redis_url(self) -> str:
        given: str = self._settings["cauce.redis"]
        if given:
            return given
        if "ingest" not in self._roles:
            raise BadStart("a node without the role ingest needs a cluster: set cauce.redis to the Redis of its nodes")
        redis = EmbeddedRedis(self._folder.redis)
        url = await redis.start()
        self._stack.push_async_callback(redis.stop)
        return url

    async def _serve(
        self, store: ObjectStore, view: RedisView, state: ClusterState, listeners: Listeners | None
    ) -> None:
        role = await self._role(store, view, state)
        if listeners is not None:
            self._stack.push_async_callback(listeners.server.close, _DRAIN_SECONDS)
        self._run(state.run(), "cluster state")  # goes on until leases are handed over: clients follow by it
        await role.start()
        self._stack.push_async_callback(role.stop)
        self.node_id = role.node_id
        self._folder.keep_node_id(self.node_id)
        for handler in role.handlers():
            self._registry.add(handler)
        self._run(role.run(), "role")
        await role.settle()
        await self._start_compactor()
        await self._start_http(role)
        if listeners is not None:
            await listeners.server.start()
            self._run(listeners.watch(), "certificates")
        self._ready = True

    async def _role(self, store: ObjectStore, view: RedisView, state: ClusterState) -> Role:
        """What this node is in its cluster, its parts made; not started."""
        given: int = self._settings["node.id"]
        node_id = given if given >= 0 else self._folder.node_id()
        sessions = session_keeper(store, view, self._clock, self._description(), node_id, self._fail)
        if not self._roles & {"ingest", "reader"}:
            return Membership(sessions)
        wal = await self._open_wal() if "ingest" in self._roles else None
        shared = SharedParts(
            settings=self._settings,
            clock=self._clock,
            metrics=self._metrics,
            store=store,
            cold_store=HedgedStore(self._open_store()),
            view=view,
            state=state,
        )
        self._stack.push_async_callback(shared.catch_up.close)
        if wal is None:
            return Following(ReaderParts(shared), sessions)
        return Leadership(IngestParts(shared, wal, self._recover(view, store)), sessions, self._fail)

    async def _open_wal(self) -> Wal:
        def synced(seconds: float, size: int) -> None:
            self._metrics.wal_sync_seconds.observe(seconds)

        loop = asyncio.get_running_loop()
        wal = await asyncio.to_thread(
            Wal.open,
            self._folder.wal,
            loop=loop,
            budget_bytes=self._settings["cauce.wal.bytes"],
            clock=self._clock,
            on_sync=synced,
        )
        self._stack.push_async_callback(asyncio.to_thread, wal.close)
        return wal

    def _recover(self, view: RedisView, store: ObjectStore) -> Callable[[], Coroutine[Any, Any, None]]:
        async def recover() -> None:
            await rebuild(view, store, read_extents, self._clock)

        return recover

    def _description(self) -> NodeDescription:
        return NodeDescription(
            endpoints=self.endpoints,
            rack=self._settings["broker.rack"] or None,
            roles=self._roles,
            ttl_seconds=self._settings["cauce.session.timeout.ms"] / 1000,
        )

    async def _start_compactor(self) -> None:
        if "compactor" not in self._roles:
            return
        metrics = CompactorMetrics()
        self._metrics.registry.register(metrics)
        process = CompactorProcess(Document(self._settings, self.node_id, self._redis), metrics, self._clock)
        await process.start()
        self._stack.push_async_callback(process.stop)

    async def _start_http(self, role: Role) -> None:
        address: str = self._settings["cauce.http"]
        if not address:
            return
        host, colon, port = address.rpartition(":")
        if not colon or not port.isdecimal():
            raise BadStart(f"cauce.http={address!r} is not HOST:PORT, for example 127.0.0.1:9644")

        def ready() -> str | None:
            return role.problem() if self._ready else "the node is starting or stopping"

        self._http = HealthServer(host, int(port), self._metrics.registry, ready=ready, refresh=role.refresh)
        await self._http.start()
        self._stack.push_async_callback(self._http.close)

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self._failed.set()

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run something for as long as the node lives; its failure ends the node."""
        task = asyncio.create_task(work, name=name)

        def done(ended: asyncio.Task[None]) -> None:
            if not ended.cancelled() and (error := ended.exception()) is not None:
                log.error("%s failed: %s", name, error, exc_info=None if isinstance(error, CauceError) else error)
                self._fail(error)

        async def cancel() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        task.add_done_callback(done)
        self._stack.push_async_callback(cancel)
