"""The nodes of a simulated cluster: the product's own parts, joined as `cauce.node` joins them, without sockets.

A node is what stays when its process dies: an id, a disk, a wall clock. Each start makes everything else anew.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from cauce.ingest_parts import IngestParts
from cauce.leadership import Leadership
from cauce.role import Membership, Role, session_keeper
from cauce.shared_parts import SharedParts
from compactor.document import Document
from compactor.meter import Meter
from compactor.process_parts import CompactorParts
from compactor.segment_output import Bench
from infra.cluster.cluster import open_cluster
from infra.cluster.session import NodeDescription
from infra.cluster.session_keeper import SessionKeeper
from infra.cluster.state import ClusterState
from infra.errors import CauceError, Unavailable
from infra.metrics import Metrics
from infra.segment.footer import read_extents
from infra.store.hedged import HedgedStore
from infra.view.rebuild import rebuild
from ingest.wal.writer import Wal
from tests.disk_twin import TwinDisk, keep_everything, keep_some
from tests.simulation.clock import VirtualClock
from tests.simulation.cluster import LISTENER, Cluster, Door, endpoint, node_name
from tests.simulation.loop import Process
from tests.simulation.redis import ViewClient

_WAL_FOLDER = Path("/data/wal")
_WAL_FILE_BYTES = 1 << 15
_WAL_BUDGET_BYTES = 1 << 20


class SimNode:
    """Any node. `_serve` says what it does."""

    roles: frozenset[str] = frozenset()

    def __init__(self, cluster: Cluster, node_id: int) -> None:
        self.cluster = cluster
        self.node_id = node_id
        self.name = node_name(node_id)
        self.random = Random(f"{cluster.seed}/{self.name}")
        self.clock = VirtualClock(cluster.loop, self.random)
        self.process = Process(cluster.loop, self.name)
        self.process.alive = False
        self.starts = 0
        self.serving = False
        self.wanted = True  # whether it is started again when it ends
        self.role: Role | None = None

    def start(self) -> None:
        """A new process."""
        assert not self.process.alive
        self.starts += 1
        self.cluster.trace.note(f"{self.name} starts")
        self.process = Process(self.cluster.loop, self.name)
        self.process.spawn(self._live())

    def kill(self) -> None:
        """The process is gone between two steps."""
        self.cluster.trace.note(f"{self.name} dies")
        self.process.kill()
        self.serving = False
        self.role = None
        door = self.cluster.doors.pop(self.node_id, None)
        if door is not None:
            door.slam()

    async def leave(self) -> None:
        """Stop cleanly. Returns when the process has ended, however that went."""
        process, role = self.process, self.role
        if role is None or not process.alive:
            return
        ended = process.spawn(role.stop())
        try:
            async with asyncio.timeout(40):
                await asyncio.wait([ended])
        except TimeoutError:
            if process.alive:  # not killed in the middle of it
                self.cluster.surprises.append(f"{self.name} did not stop within 40 s")
        if process is self.process and process.alive:
            self.kill()

    async def _live(self) -> None:
        """Until it fails: whoever keeps nodes starts it again."""
        try:
            await self._serve()
        except CauceError as error:
            self.cluster.trace.note(f"{self.name} ends: {error}")
        except Exception as error:  # noqa: BLE001  whatever it is, no fault excuses it
            self.cluster.surprises.append(f"{self.name} ended with {error!r}")
        self.cluster.loop.call_soon(self._ended, self.process, context=self.cluster.loop.world.context)

    def _ended(self, process: Process) -> None:
        if process is self.process and process.alive:
            self.kill()

    async def _serve(self) -> None:
        raise NotImplementedError

    async def _open(self, store: Any) -> tuple[str, ViewClient, Callable[[], Awaitable[None]]]:
        """Cluster id, view, and how it is recovered."""
        opened = await open_cluster(store, self.clock)
        view = self.cluster.view()

        async def recover() -> None:
            await rebuild(view, store, read_extents, self.clock)

        await recover()
        return opened.cluster_id, view, recover

    def _sessions(self, store: Any, view: Any, failed: Callable[[BaseException], None]) -> SessionKeeper:
        description = NodeDescription(
            endpoints={LISTENER: endpoint(self.node_id)} if self.roles & {"ingest", "reader"} else {},
            rack=None,
            roles=self.roles,
            ttl_seconds=self.cluster.ttl_seconds,
        )
        return session_keeper(store, view, self.clock, description, self.node_id, failed)

    def _shared(self, store: Any, view: ViewClient, state: ClusterState) -> SharedParts:
        return SharedParts(
            settings=self.cluster.settings,
            clock=self.clock,
            metrics=Metrics(),
            store=store,
            cold_store=HedgedStore(self.cluster.store(self.clock)),
            view=view,  # type: ignore[arg-type]
            state=state,
        )

    async def _open_door(self, role: Role) -> None:
        """Start the role and let clients in once it has settled."""
        await role.start()
        self.role = role
        registry = role.handlers()
        self.process.spawn(self._guarded(role.run()))
        await role.settle()
        door = self.cluster.doors[self.node_id] = Door(self.process)
        door.registry = registry
        self.serving = True
        self.cluster.trace.note(f"{self.name} serves")

    async def _guarded(self, work: Awaitable[None]) -> None:
        """What may not fail while the node lives."""
        try:
            await work
        except Exception as error:  # noqa: BLE001  whatever it is, no fault excuses it
            self.cluster.surprises.append(f"{self.name}: a part failed with {error!r}")


class IngestNode(SimNode):
    """Leads partitions."""

    roles = frozenset({"ingest"})

    def __init__(self, cluster: Cluster, node_id: int) -> None:
        super().__init__(cluster, node_id)
        self.disk = TwinDisk()
        self.disk_seconds = 0.003  # that a write and its sync take, on average
        self.wal: Wal | None = None
        self.leadership: Leadership | None = None
        self.parts: IngestParts | None = None
        self._next_write: asyncio.Future[None] | None = None

    def kill(self) -> None:
        """As a signal does it: the disk has all that was written."""
        super().kill()
        self._break_write()
        self.disk.restart(keep_everything)

    def lose_power(self) -> None:
        """What was not synced survives by chance."""
        super().kill()
        self._break_write()
        self.disk.restart(keep_some(self.random.getrandbits(32)))

    def lose_disk(self) -> None:
        """The next start finds an empty one."""
        self.kill()
        self.disk = TwinDisk()

    def next_write(self) -> "asyncio.Future[None]":
        """Done once the next write to the WAL is asked for. One waits at a time."""
        self._next_write = self.cluster.loop.create_future()
        return self._next_write

    def _break_write(self) -> None:
        """Death in the middle of a write to the WAL, when one was under way."""
        wal, self.wal, self.leadership, self.parts = self.wal, None, None, None
        if wal is not None and self.random.random() < 0.5:
            self.disk.cut_at = self.disk.steps + self.random.randint(0, 1)
            self.process.context.run(wal._write_waiting)

    async def _serve(self) -> None:
        store = self.cluster.store(self.clock)
        cluster_id, view, recover = await self._open(store)
        state = ClusterState(view, self.clock, cluster_id, recover=recover)
        failed: asyncio.Future[BaseException] = self.cluster.loop.create_future()
        self.process.spawn(self._guarded(state.run()))

        def fail(error: BaseException) -> None:
            if not failed.done():
                failed.set_result(error)

        sessions = self._sessions(store, view, fail)
        self.wal = self._open_wal()
        self.parts = IngestParts(self._shared(store, view, state), self.wal, recover)  # type: ignore[arg-type]
        self.leadership = Leadership(self.parts, sessions, fail)
        await self._open_door(self.leadership)
        error = await failed
        raise Unavailable(f"the node ends: {error}")

    def _open_wal(self) -> Wal:
        return Wal.open(
            _WAL_FOLDER,
            loop=self.cluster.loop,
            file_bytes=_WAL_FILE_BYTES,
            budget_bytes=_WAL_BUDGET_BYTES,
            disk=self.disk,
            clock=self.clock,
            schedule=self._write_later,
        )

    def _write_later(self, write: Callable[[], None]) -> None:
        if self._next_write is not None and not self._next_write.done():
            self._next_write.set_result(None)
        self.cluster.loop.call_later(self.random.uniform(0, 2 * self.disk_seconds), write)


class CompactorNode(SimNode):
    """Rewrites, expires and deletes."""

    roles = frozenset({"compactor"})

    async def _serve(self) -> None:
        store = self.cluster.store(self.clock)
        cluster_id, view, recover = await self._open(store)
        self.process.spawn(self._guarded(ClusterState(view, self.clock, cluster_id, recover=recover).run()))
        failed: asyncio.Future[BaseException] = self.cluster.loop.create_future()
        self.role = Membership(self._sessions(store, view, failed.set_result))
        await self.role.start()
        folder = self.cluster.folder / f"compactor-{self.node_id}-{self.starts}"
        folder.mkdir()
        own_view = self.cluster.view()
        bench = Bench(store, folder, self.clock, ThreadPoolExecutor(1), asyncio.Semaphore(1))
        document = Document(replace(self.cluster.settings), self.node_id, "")
        parts = CompactorParts(document, self.clock, Meter(), store, own_view, bench, cluster_id)
        self.process.spawn(self._guarded(parts.state.run()))
        self.process.spawn(self._guarded(parts.worker.run()))
        self.serving = True
        error = await failed
        raise Unavailable(f"the node ends: {error}")
