"""A node: started, watched, stopped. What it consists of stands in `cauce.serving`, what each part does in its room.

Start: folder locked, cluster looked up, bucket probed, view whole, WAL read back, listeners bound, session opened,
leases taken, serving.
Stop: leases given back (flush, publish, release) while clients are still answered, session closed, connections
drained, WAL closed, folder unlocked. A node without the role ingest has no WAL and no leases; one that is a compactor
alone has no listeners either.
"""

import asyncio
import contextlib
import importlib
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from cauce.data_folder import DataFolder
from cauce.store_metrics import store_observer
from infra.clock import SYSTEM_CLOCK, Clock
from infra.cluster.cluster import known_cluster
from infra.cluster.records import ClusterRecord
from infra.errors import BadStart
from infra.metrics import Metrics
from infra.settings import Settings
from infra.store.open import open_store
from infra.store.port import ObjectStore, StoreRefuses
from infra.store.probe import RACE, probe_store

if TYPE_CHECKING:
    from cauce.serving import Serving


class Node:
    """One running node."""

    def __init__(self, settings: Settings, clock: Clock = SYSTEM_CLOCK) -> None:
        self._settings = settings
        self._clock = clock
        self._folder = DataFolder(settings.data)
        self._metrics = Metrics()
        self._stack = AsyncExitStack()
        self._failed = asyncio.Event()
        self._failure: BaseException | None = None
        self._serving: Serving | None = None

    @property
    def bucket(self) -> str:
        """URL of the bucket."""
        return self._settings.bucket

    @property
    def node_id(self) -> int:
        """Kafka's broker id, -1 until it has one."""
        return -1 if self._serving is None else self._serving.node_id

    @property
    def endpoints(self) -> dict[str, str]:
        """Listener name → "host:port" as clients are told; empty until it is started, and without listeners."""
        return {} if self._serving is None else self._serving.endpoints

    @property
    def http_address(self) -> str:
        """HOST:PORT of health and metrics, empty without."""
        return "" if self._serving is None else self._serving.http_address

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
        if self._serving is not None:
            self._serving.leave()
        await self._stack.aclose()

    async def _start(self) -> None:
        self._folder.lock()
        self._stack.callback(self._folder.unlock)
        store = self._open_store()
        # The first request makes the client, which reads certificates for a while: time for what Redis needs.
        known, _ = await asyncio.gather(_known_cluster(store), _import("infra.view.redis_view"))
        loading = _import("cauce.serving")  # takes as long as the store does, which it would hold up before
        _, redis, parts = await asyncio.gather(self._probe(store), self._redis_url(), loading)
        self._serving = parts.Serving(
            self._settings, self._clock, self._metrics, self._folder, self._stack, self._open_store, self._fail
        )
        await self._serving.start(store, redis, known)

    async def _probe(self, store: ObjectStore) -> None:
        """The race of many writers once a folder and bucket: some stores let them wait for one another for seconds."""
        again = self._folder.probed_bucket() == self._settings.bucket
        await probe_store(store, self._settings.bucket, self._clock, writers=1 if again else RACE)

    def _open_store(self) -> ObjectStore:
        store = open_store(self._settings.bucket, observe=store_observer(self._metrics), clock=self._clock)
        self._stack.push_async_callback(store.close)
        return store

    async def _redis_url(self) -> str:
        given: str = self._settings["cauce.redis"]
        if given:
            return given
        if "ingest" not in self._settings["cauce.roles"]:
            raise BadStart("a node without the role ingest needs a cluster: set cauce.redis to the Redis of its nodes")
        from infra.view.embedded import EmbeddedRedis  # a node of a cluster has none

        redis = EmbeddedRedis(self._folder.redis)
        url = await redis.start()
        self._stack.push_async_callback(redis.stop)
        return url

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self._failed.set()


async def _known_cluster(store: ObjectStore) -> ClusterRecord | None:
    """What the bucket says before it is probed. The probe tells of a refusal: some stores make a bucket at the first
    write, and refuse to read from it before."""
    with contextlib.suppress(StoreRefuses):
        return await known_cluster(store)
    return None


async def _import(module: str) -> Any:
    return await asyncio.to_thread(importlib.import_module, module)
