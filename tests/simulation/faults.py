"""Who makes the faults of a run: draws one after the other, several at a time, and heals everything at the end."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any

from tests.simulation.ambushes import OF_COMPACTORS, OF_NODES, OF_TAKEOVERS
from tests.simulation.bucket import BUCKET
from tests.simulation.cluster import Cluster
from tests.simulation.network import Ambush
from tests.simulation.nodes import CompactorNode, IngestNode, SimNode
from tests.simulation.redis import REDIS
from tests.simulation.services import Services

_MEAN_PAUSE_SECONDS = 2.2
_DISK_SECONDS = (0.003, 0.003, 0.02, 0.1, 0.3)  # that a write and its sync take
_STALLING_SECONDS = 0.5


class Faults:
    """One a run."""

    def __init__(
        self, cluster: Cluster, ingest: Sequence[IngestNode], nodes: Sequence[SimNode], *, disks_may_go: bool
    ) -> None:
        self.random = Random(f"{cluster.seed}/faults")
        self._cluster = cluster
        self._ingest = ingest
        self._nodes = nodes
        self._services = Services(cluster, self.random)
        self._over = False
        self._kinds: list[tuple[int, Callable[[], Coroutine[Any, Any, None]]]] = [
            (4, self._kill),
            (2, self._power),
            (4, self._pause),
            (2, self._restart),
            (2, self._services.redis_down),
            (2, self._services.redis_wiped),
            (2, self._services.redis_stale),
            (2, self._services.store_down),
            (3, self._services.store_weather),
            (2, self._services.redis_weather),
            (3, self._cut),
            (1, self._clock_jump),
            (8, self._ambush),
            (7, self._rivals),
            (4, self._orphans),
            (2, self._alone),
            (2, self._disk_slow),
            (3, self._compactor_struck),
        ]
        if disks_may_go:
            self._kinds.append((1, self._disk))

    async def run(self, seconds: float) -> None:
        """Faults for so long."""
        self._drizzle()
        end = self._cluster.loop.time() + seconds
        weights, kinds = zip(*self._kinds, strict=True)
        chosen = self.random.sample(range(len(kinds)), self.random.randint(4, len(kinds)))
        weights = tuple(weight if at in chosen else 0 for at, weight in enumerate(weights))
        while self._cluster.loop.time() < end:
            await asyncio.sleep(self.random.expovariate(1 / _MEAN_PAUSE_SECONDS))
            if self.random.random() < 0.3:
                self._services.remember()
            [kind] = self.random.choices(kinds, weights)
            self._cluster.trace.note(f"fault {kind.__name__}")
            self._cluster.loop.world.spawn(kind())

    def heal(self) -> None:
        """All is well from now on; whoever is down is started by the one who keeps nodes."""
        self._over = self._services.over = True
        self._cluster.network.mend()
        for leading in self._ingest:
            leading.disk_seconds = min(_DISK_SECONDS)
        for node in self._nodes:
            node.wanted = True
            node.clock.skew_ms = 0
            if node.process.paused:
                node.process.resume()

    def _drizzle(self) -> None:
        """Small chances of everything, at every request of this run; and disks of one kind or another."""
        self._services.drizzle([node.name for node in self._nodes])
        for node in self._ingest:
            node.disk_seconds = self.random.choice(_DISK_SECONDS)

    async def _for_a_while(self, most: float) -> None:
        await asyncio.sleep(self.random.uniform(0.2, most))

    def _count(self, kind: str) -> None:
        self._cluster.network.count(kind)

    def _some_node(self) -> SimNode | None:
        up = [node for node in self._nodes if node.process.alive and not node.process.paused and node.wanted]
        leading = [node for node in up if isinstance(node, IngestNode)]
        return self.random.choice(leading if leading and self.random.random() < 0.7 else up) if up else None

    def _some_ingest(self) -> IngestNode | None:
        up = [node for node in self._ingest if node.process.alive and not node.process.paused and node.wanted]
        return self.random.choice(up) if up else None

    # Nodes

    async def _kill(self) -> None:
        node = self._some_node()
        if node is not None:
            self._count("kill")
            node.kill()

    async def _power(self) -> None:
        node = self._some_ingest()
        if node is not None and self.random.random() < 0.5:
            await self._write_under_way(node)
        if node is not None and node.process.alive and not self._over:
            self._count("power loss")
            node.lose_power()
            if self.random.random() < 0.15:
                for other in self._ingest:
                    if other.process.alive:
                        other.lose_power()

    async def _write_under_way(self, node: IngestNode) -> None:
        """Until a disk that has become slow is in the middle of one."""
        before, node.disk_seconds = node.disk_seconds, _STALLING_SECONDS
        await asyncio.wait([node.next_write()], timeout=5.0)
        await asyncio.sleep(self.random.uniform(0, _STALLING_SECONDS))
        node.disk_seconds = min(_DISK_SECONDS) if self._over else before

    async def _disk(self) -> None:
        node = self._some_ingest()
        if node is not None:
            self._count("disk lost")
            node.lose_disk()

    async def _pause(self) -> None:
        node = self._some_node()
        if node is not None:
            self._count("pause")
            await self._stand_still(node)

    async def _restart(self) -> None:
        node = self._some_node()
        if node is not None and node.role is not None:
            self._count("clean stop")
            node.wanted = False
            await node.leave()
            if self.random.random() < 0.5 and not self._over:
                await self._for_a_while(12.0)
            node.wanted = True

    async def _ambush(self) -> None:
        """A death, a pause or a cut in the moment of a request or of its answer."""
        node = self._some_node()
        if node is None:
            return
        words = OF_COMPACTORS if isinstance(node, CompactorNode) else OF_NODES
        self._lie_in_wait(node, self.random.choice(words), self.random.choice(("kill", "power", "pause", "cut")))

    def _lie_in_wait(self, node: SimNode, word: str, action: str) -> None:
        after = self.random.random() < 0.5

        def strike() -> None:
            if not node.process.alive or self._over:
                return
            self._count(f"ambush: {action}")
            if action == "cut":
                self._cluster.loop.world.spawn(self._cut_off(node))
            elif action == "pause":
                self._cluster.loop.world.spawn(self._stand_still(node))
            elif action == "power" and isinstance(node, IngestNode):
                node.lose_power()
            else:
                node.kill()

        self._cluster.network.lie_in_wait(Ambush(node.name, word, after, self.random.choice((0, 0, 1, 3)), strike))

    async def _compactor_struck(self) -> None:
        up = [node for node in self._nodes if isinstance(node, CompactorNode) and node.process.alive]
        if up:
            word = self.random.choice(OF_COMPACTORS)
            self._lie_in_wait(self.random.choice(up), word, self.random.choice(("kill", "pause", "pause", "cut")))

    async def _rivals(self) -> None:
        """A leader stands still, or does not reach Redis, for longer than its session; whoever takes over stands still
        half way."""
        leading = [node for node in self._ingest if node.parts is not None and any(node.parts.leaders.logs())]
        up = [node for node in leading if node.process.alive and not node.process.paused and node.wanted]
        if not up:
            return
        node = self.random.choice(up)
        self._count("rivals")
        process, cut = node.process, self.random.random() < 0.5
        if cut:
            self._cluster.network.cut(node.name, REDIS)
        else:
            process.pause()
        await asyncio.sleep(self._cluster.ttl_seconds / 2)  # what is claimed until then is another's
        back = self._strike_takeover([other for other in self._ingest if other is not node])
        await asyncio.wait([back], timeout=self.random.uniform(5.0, 10.0))
        if back.done():
            await asyncio.sleep(back.result())
        else:
            back.cancel()
        if cut:
            self._cluster.network.uncut(node.name)
        else:
            process.resume()

    def _strike_takeover(self, claimants: Sequence[IngestNode]) -> "asyncio.Future[float]":
        """Let the next one of these that takes a lease stand still in the middle of it; answers, when it does, after
        how many seconds the leader of before is back. To be cancelled when it is not waited for any more."""
        word, passes = self.random.choice(OF_TAKEOVERS), self.random.choice((0, 0, 1))
        after = self.random.random() < 0.7
        back: asyncio.Future[float] = self._cluster.loop.create_future()
        for one in claimants:

            def strike(one: IngestNode = one) -> None:
                if not back.done() and one.process.alive and not one.process.paused and not self._over:
                    self._count("rivals: takeover stands still")
                    seconds = self.random.uniform(0.3, 5.0)
                    back.set_result(self.random.uniform(0, seconds))
                    self._cluster.loop.world.spawn(self._pause_for(one, seconds))

            self._cluster.network.lie_in_wait(Ambush(one.name, word, after, passes, strike))
        return back

    async def _pause_for(self, node: SimNode, seconds: float) -> None:
        process = node.process
        process.pause()
        await asyncio.sleep(seconds)
        process.resume()

    async def _stand_still(self, node: SimNode) -> None:
        await self._pause_for(node, self.random.uniform(0.2, self.random.choice((2.0, 8.0, 16.0))))

    async def _orphans(self) -> None:
        """What a leader asks for arrives long after, and it may be dead by then."""
        node, name = self._some_ingest(), self.random.choice((BUCKET, BUCKET, REDIS))
        self._count("orphans")
        await self._services.hold_back(name)
        if node is not None and node.process.alive and not self._over:
            if self.random.random() < 0.5:
                node.kill()
            else:
                await self._stand_still(node)

    async def _disk_slow(self) -> None:
        node = self._some_ingest()
        if node is not None:
            self._count("disk slow")
            node.disk_seconds = self.random.choice((0.2, 0.5))
            await self._for_a_while(15.0)
            node.disk_seconds = min(_DISK_SECONDS) if self._over else self.random.choice(_DISK_SECONDS)

    async def _clock_jump(self) -> None:
        node = self._some_ingest()
        if node is not None:
            self._count("clock jump")
            node.clock.skew_ms = self.random.choice(
                (-3_000_000, -5000, 5000, 3_000_000)
            )  # clients may be an hour ahead

    # Network

    async def _cut(self) -> None:
        node = self._some_ingest()
        if node is None:
            return
        self._count("cut")
        await self._cut_off(node)

    async def _alone(self) -> None:
        """Clients reach it, and it reaches nobody."""
        node = self._some_ingest()
        if node is not None:
            self._count("alone")
            for other in (BUCKET, REDIS, *(other.name for other in self._nodes if other is not node)):
                self._cluster.network.cut(node.name, other)
            await self._for_a_while(20.0)
            self._cluster.network.uncut(node.name)

    async def _cut_off(self, node: SimNode) -> None:
        others = [BUCKET, REDIS, *(other.name for other in self._nodes if other is not node), "client 2", "client 3"]
        for other in self.random.sample(others, self.random.choice((1, 1, 2, len(others)))):
            self._cluster.network.cut(node.name, other)
        await self._for_a_while(12.0)
        self._cluster.network.uncut(node.name)
