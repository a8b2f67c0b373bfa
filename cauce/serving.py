"""The parts of a running node once its bucket is known to be fit: made, started in order, and what of them is asked.

It imports most of Cauce, so `cauce.node` imports it while the store is being probed.
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
from cauce.reader_parts import ReaderParts
from cauce.role import Membership, Role, session_keeper
from cauce.shared_parts import SharedParts
from compactor.document import Document
from infra.clock import Clock
from infra.cluster.cluster import open_cluster
from infra.cluster.records import ClusterRecord
from infra.cluster.session import NodeDescription
from infra.cluster.state import ClusterState
from infra.errors import BadStart, CauceError
from infra.metrics import Metrics
from infra.security.users import SCRAM_USERS, Users
from infra.segment.footer import read_extents
from infra.settings import Settings
from infra.store.hedged import HedgedStore
from infra.store.port import ObjectStore
from infra.view.gone_back import GoneBack
from infra.view.rebuild import rebuild
from infra.view.redis_view import RedisView
from infra.wire.handler import Registry
from ingest.wal.writer import Wal

log = logging.getLogger(__name__)

_DRAIN_SECONDS = 5.0  # how long requests under way may take when the node stops


class Serving:
    """One a node. What it starts is stopped with `stack`."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        metrics: Metrics,
        folder: DataFolder,
        stack: AsyncExitStack,
        open_store: Callable[[], ObjectStore],
        fail: Callable[[BaseException], None],
    ) -> None:
        """`open_store` gives the bucket once more, closed with `stack`; `fail` is told what ends the node."""
        self._settings = settings
        self._clock = clock
        self._roles: frozenset[str] = frozenset(settings["cauce.roles"])
        self._folder = folder
        self._metrics = metrics
        self._registry = Registry()
        self._stack = stack
        self._open_store = open_store
        self._fail = fail
        self._http: HealthServer | None = None
        self._ready = False
        self.node_id = -1
        self.endpoints: dict[str, str] = {}  # listener name → "host:port" as clients are told

    @property
    def http_address(self) -> str:
        """HOST:PORT of health and metrics, empty without."""
        return "" if self._http is None else f"{self._http.bound[0]}:{self._http.bound[1]}"

    def leave(self) -> None:
        """The node is about to stop: say so to whoever asks whether it is ready."""
        self._ready = False

    async def start(self, store: ObjectStore, redis: str, known: ClusterRecord | None) -> None:
        """From the view to the last listener; `known` is the bucket's cluster. Raises `BadStart` and `Unavailable`."""
        settings = self._settings
        cluster = known or await open_cluster(store, self._clock)
        view = RedisView(redis, cluster.cluster_id, clock=self._clock, gone_back=GoneBack())
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
        role = await self._role(store, view, state)
        if listeners is not None:
            self._stack.push_async_callback(listeners.server.close, _DRAIN_SECONDS)
        await self._start_role(role, state)
        if listeners is not None:
            await listeners.server.start()
            self._run(listeners.watch(), "certificates")
        await self._start_compactor(redis)
        await self._start_http(role)
        self._ready = True

    def _recover(self, view: RedisView, store: ObjectStore) -> Callable[[], Coroutine[Any, Any, None]]:
        async def recover() -> None:
            await rebuild(view, store, read_extents, self._clock)

        return recover

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

    def _description(self) -> NodeDescription:
        return NodeDescription(
            endpoints=self.endpoints,
            rack=self._settings["broker.rack"] or None,
            roles=self._roles,
            ttl_seconds=self._settings["cauce.session.timeout.ms"] / 1000,
        )

    async def _start_role(self, role: Role, state: ClusterState) -> None:
        self._run(state.run(), "cluster state")  # goes on until leases are handed over: clients follow by it
        await role.start()
        self._stack.push_async_callback(role.stop)
        self.node_id = role.node_id
        self._folder.keep(self.node_id, self._settings.bucket)
        for handler in role.handlers():
            self._registry.add(handler)
        self._run(role.run(), "role")
        await role.settle()

    async def _start_compactor(self, redis: str) -> None:
        if "compactor" not in self._roles:
            return
        metrics = CompactorMetrics()
        self._metrics.registry.register(metrics)
        process = CompactorProcess(Document(self._settings, self.node_id, redis), metrics, self._clock)
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
