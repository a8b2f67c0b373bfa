"""Seeded histories of crashes, pauses, restarts and a view that forgets: nothing acknowledged is lost or doubled."""

import asyncio
import contextlib
from random import Random

import pytest

from infra.cluster.state import Topic
from infra.errors import CauceError
from infra.partition import PartitionId
from infra.segment.footer import read_extents
from infra.view.memory import MemoryView
from infra.view.memory_server import MemoryState
from infra.view.rebuild import rebuild
from ingest.flush_plan import FlushPolicy
from tests.cluster.world import World
from tests.ingest.node import EAGER, NEVER
from tests.ingest_leases.node import LeaseNode, entries_of, partitions_of, payloads, run, start_node

STEPS = 60
NODES = 3


class History:
    """Nodes by id, what they acknowledged, and what may happen to them."""

    def __init__(self, world: World, random: Random, durability: str) -> None:
        self.world = world
        self.random = random
        self.durability = durability
        self.nodes: dict[int, LeaseNode] = {}
        self.gone: dict[int, LeaseNode] = {}
        self.acknowledged: dict[PartitionId, dict[int, bytes]] = {}
        self.snapshot: MemoryState | None = None
        self.written = 0

    async def start(self, node_id: int) -> None:
        before = self.gone.pop(node_id, None)
        policy = (
            EAGER
            if self.durability == "object"
            else FlushPolicy(object=EAGER.object, wal=self.random.choice([EAGER.wal, NEVER]))
        )
        self.nodes[node_id] = await start_node(
            self.world,
            node_id=node_id,
            wal_id=f"disk-{node_id}",
            policy=policy,
            recovered=entries_of(before.wal) if before is not None else (),
        )
        if before is not None:  # one WAL goes on behind what it held
            self.nodes[node_id].wal.entries[:0] = before.wal.entries

    async def crash(self) -> None:
        if len(self.nodes) > 1:
            node_id = self.random.choice(sorted(self.nodes))
            self.gone[node_id] = self.nodes.pop(node_id)
            await self.gone[node_id].crash()

    async def restart(self) -> None:
        if self.gone:
            await self.start(self.random.choice(sorted(self.gone)))

    async def pause(self) -> None:
        """Time passes; some nodes do not renew."""
        living = [node for node in self.nodes.values() if self.random.random() < 0.7]
        for _ in range(self.random.randint(1, 4)):
            self.world.clock.seconds += 2
            for node in living:
                await self.renew(node)

    async def renew(self, node: LeaseNode) -> None:
        with contextlib.suppress(CauceError):
            await node.sessions.session.renew()
        if node.sessions.session.lost:
            await node.keeper.settle()
            await node.sessions.open()

    async def turn(self) -> None:
        node = self.random.choice([self.nodes[node_id] for node_id in sorted(self.nodes)])
        await self.renew(node)
        with contextlib.suppress(CauceError):
            await asyncio.wait_for(node.turn(), 20)

    async def write(self, topic: Topic) -> None:
        """Through whoever believes to lead: several may."""
        partition = self.random.choice(partitions_of(topic))
        for node_id in sorted(self.nodes):
            if partition in self.nodes[node_id].led():
                self.written += 1
                payload = b"%d by %d" % (self.written, node_id)
                offset = await self.nodes[node_id].append(partition, payload)
                if not isinstance(offset, CauceError):
                    told = self.acknowledged.setdefault(partition, {})
                    assert offset not in told, f"offset {offset} of {partition} acknowledged twice"
                    told[offset] = payload

    async def forget(self) -> None:
        """The view is wiped and rebuilt, or fails over to a replica that lags."""
        if self.snapshot is None:
            self.snapshot = self.world.server.snapshot()
        elif self.random.random() < 0.5:
            self.world.server.restore(self.snapshot)
            self.world.server.state.generation += 1000 + self.written
            self.snapshot = None
        else:
            self.world.server.wipe()
            await rebuild(MemoryView(self.world.server), self.world.store, read_extents, self.world.clock)
            self.snapshot = None
        for node_id in sorted(self.nodes):
            await self.nodes[node_id].recover()

    async def settle(self) -> None:
        """Everybody comes back, and time passes until all is led."""
        for node_id in sorted(self.gone):
            await self.start(node_id)
        for _ in range(12):
            self.world.clock.seconds += 3
            for node_id in sorted(self.nodes):
                await self.renew(self.nodes[node_id])
            for node_id in sorted(self.nodes):
                with contextlib.suppress(CauceError):
                    await self.nodes[node_id].turn()


async def live_through(world: World, seed: int, durability: str) -> None:
    random = Random(seed)
    history = History(world, random, durability)
    for node_id in range(1, NODES + 1):
        await history.start(node_id)
    topic = await history.nodes[1].topics.create("t", 4, {"cauce.durability": durability})
    for _ in range(STEPS):
        step = random.choices(
            [history.turn, lambda: history.write(topic), history.pause, history.crash, history.restart, history.forget],
            [8, 12, 3, 1, 2, 1],
        )[0]
        await step()
    await history.settle()
    led = [partition for node in history.nodes.values() for partition in node.led()]
    assert sorted(led) == partitions_of(topic)
    for node in history.nodes.values():
        for partition in node.led():
            end = node.leaders.log(partition).log_end_offset
            assert await node.append(partition, b"last") == end
            found = await payloads(world, partition)
            told = history.acknowledged.get(partition, {})
            if durability == "object":
                assert len(found) == end + 1
            kept = (
                [
                    bytes(view)[61:]
                    for view in node.leaders.log(partition).read_tail(len(found), 1 << 30, 1 << 40, False)
                ]
                if len(found) <= end
                else []
            )
            log = [*found, *kept]
            assert {offset: log[offset] for offset in told} == told, f"seed {seed}"
    for node in history.nodes.values():
        await node.crash()


@pytest.mark.parametrize("seed", range(20))
def test_nothing_acknowledged_at_object_durability_is_lost(seed: int) -> None:
    run(lambda world: live_through(world, seed, "object"))


@pytest.mark.parametrize("seed", range(100, 120))
def test_nothing_acknowledged_at_wal_durability_is_lost_while_the_disks_are_kept(seed: int) -> None:
    run(lambda world: live_through(world, seed, "wal"))
