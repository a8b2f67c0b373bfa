"""Nodes that share a world, each with a real write side; rounds happen when the test says so."""

import asyncio
import io
from collections.abc import Callable, Sequence

import pyarrow.parquet as pq

from infra.cluster.session_keeper import SessionKeeper
from infra.cluster.state import ClusterState, Topic
from infra.cluster.topics import TopicLedger
from infra.errors import CauceError, NotLeader
from infra.partition import PartitionId, SessionId
from infra.ports import Durability
from infra.records.batch import BatchHeader
from infra.segment.footer import read_extents
from infra.topic_config import TopicSettings, topic_settings
from infra.view.bucket_log import BucketLogs
from infra.view.memory import MemoryView
from infra.view.port import PublishedPartition
from ingest.appender import PartitionAppend
from ingest.flush_plan import FlushPolicy
from ingest.leaders import IngestLimits, Leaders
from ingest.lease_keeper import LeaseKeeper
from ingest.left_in_wal import LeftInWal
from ingest.segment_build import segment_builder
from ingest.takeover import Takeover
from ingest.wal.recovery import RecoveredEntry
from ingest.wal_return import WalReturn
from tests.cluster.world import World
from tests.ingest.batches import make_batch
from tests.ingest.node import EAGER, FakeWal

CLUSTER = "a-cluster"
WAL = {"cauce.durability": "wal"}


class LeaseNode:
    """A node with everything that leads."""

    def __init__(
        self,
        world: World,
        view: MemoryView,
        *,
        node_id: int | None,
        wal: FakeWal | None,
        wal_id: str,
        policy: FlushPolicy,
        limits: IngestLimits | None = None,
    ) -> None:
        self.world = world
        self.view = view
        self.wal = wal or FakeWal()
        self.wal_id = wal_id
        self.fatal: list[BaseException] = []
        self.durability: Durability = "object"
        self.state = ClusterState(view, world.clock, CLUSTER, recover=self.recover)
        self.topics = TopicLedger(world.store, view, world.clock)
        self.sessions = SessionKeeper(world.registrar(view, node_id), on_fatal=self.fatal.append)
        self.leaders = Leaders(
            wal=self.wal,
            store=world.store,
            view=view,
            build=segment_builder(CLUSTER),
            repair=self.recover,
            on_lost=lambda session, error: self.keeper.lost(session, error),
            policy=policy,
            limits=limits,
            clock=world.clock,
        )
        self.left = LeftInWal(self.leaders)
        self.takeover = Takeover(
            world.store,
            view,
            world.clock,
            wal_id=wal_id,
            wal_return=WalReturn(world.store, world.clock, CLUSTER),
        )
        self.keeper = LeaseKeeper(
            store=world.store,
            view=view,
            clock=world.clock,
            state=self.state,
            sessions=self.sessions,
            takeover=self.takeover,
            leaders=self.leaders,
            left=self.left,
            topics=self.topics,
            settings=self.settings_of,
            keeps_wal=True,
        )

    async def recover(self) -> None:
        incarnation = await self.view.incarnation()
        if incarnation is not None:
            await self.view.use(incarnation)

    def settings_of(self, topic: Topic) -> TopicSettings:
        return topic_settings(topic.configs, self.state.broker_configs, self.durability)

    async def begin(self) -> None:
        self.leaders.start()
        await self.sessions.open()
        await self.state.refresh()

    async def turn(self) -> None:
        """One refresh, one round, and everything it began carried out."""
        await self.state.refresh()
        await self.keeper.round()
        await self.keeper.settle()
        await self.state.refresh()

    async def crash(self) -> None:
        """Gone without a word. What its WAL holds stays in `wal.entries`."""
        await self.leaders.stop()

    def led(self) -> dict[PartitionId, int]:
        """Partition → leader epoch."""
        return {log.partition: log.leader_epoch for log in self.leaders.logs()}

    async def append(self, partition: PartitionId, payload: bytes, *, sequence: int = -1) -> int | CauceError:
        """Append one record with acks=all: its offset once it is acknowledged, or why it was not."""
        told: asyncio.Future[CauceError | None] = asyncio.get_running_loop().create_future()
        producer = {"producer_id": 5, "epoch": 0, "sequence": sequence} if sequence >= 0 else {}
        batch = make_batch(payload=payload, **producer)
        one = PartitionAppend(partition, [(BatchHeader.parse(batch), batch)], -1, told.set_result)
        appended = self.leaders.appender.append([one], self.world.clock.now_ms())[0]
        if isinstance(appended, CauceError):
            return appended
        error = await asyncio.wait_for(told, 20)
        return appended.base_offset if error is None else error


async def start_node(
    world: World,
    *,
    node_id: int | None = None,
    wal: FakeWal | None = None,
    wal_id: str | None = None,
    policy: FlushPolicy = EAGER,
    durability: Durability = "object",
    recovered: Sequence[RecoveredEntry] = (),
    limits: IngestLimits | None = None,
) -> LeaseNode:
    """A node that has registered and done nothing else yet."""
    name = wal_id or f"wal-{len(world.store.keys('sessions/'))}"
    view = await world.view()
    node = LeaseNode(world, view, node_id=node_id, wal=wal, wal_id=name, policy=policy, limits=limits)
    node.durability = durability
    node.left.recover(recovered)
    await node.begin()
    return node


async def lapse(world: World, *living: LeaseNode, seconds: float = 8) -> None:
    """Time passes in which only some renew."""
    until = world.clock.seconds + seconds
    while world.clock.seconds < until:
        world.clock.seconds += 2
        for node in living:
            await node.sessions.session.renew()


async def settle(*nodes: LeaseNode) -> None:
    """Rounds of all nodes, until nothing changes any more."""
    for _ in range(20):
        before = [node.led() for node in nodes]
        for node in nodes:
            if not node.sessions.session.lost:
                await node.sessions.session.renew()
                await node.turn()
        if before == [node.led() for node in nodes]:
            return
    raise AssertionError("the nodes never come to rest")


def entries_of(wal: FakeWal) -> list[RecoveredEntry]:
    """What recovery would give of a WAL that was never trimmed."""
    entries = []
    end = 0
    for entry in wal.entries:
        end += len(entry.batch)
        entries.append(RecoveredEntry(entry, end))
    return entries


async def bucket_log(world: World, partition: PartitionId) -> PublishedPartition:
    """What the bucket alone says."""
    return (await BucketLogs(world.store, read_extents).read_one(partition)).published


async def payloads(world: World, partition: PartitionId) -> list[bytes]:
    """The payload of every batch that the bucket says the partition has."""
    found: list[bytes] = []
    for extent in (await bucket_log(world, partition)).extents:
        rows = pq.read_table(io.BytesIO(await world.store.get(extent.segment)))["records"]
        found.extend(bytes(rows[extent.first_row + row].as_py())[61:] for row in range(extent.batches))
    return found


async def until_payloads(world: World, partition: PartitionId, wanted: list[bytes]) -> None:
    """At durability `wal` batches come into the bucket after they were acknowledged."""
    async with asyncio.timeout(20):
        while await payloads(world, partition) != wanted:  # noqa: ASYNC110  nothing announces it
            await asyncio.sleep(0.005)


def run(scenario: Callable[[World], object]) -> None:
    """Run a test in a world of its own."""

    async def whole() -> None:
        world = await World().start()
        async with asyncio.timeout(60):
            await scenario(world)  # type: ignore[misc]

    asyncio.run(whole())


def partitions_of(topic: Topic) -> list[PartitionId]:
    return [PartitionId(topic.topic_id, number) for number in range(topic.partitions)]


def is_not_leader(error: object) -> bool:
    return isinstance(error, NotLeader)


def previous(session: SessionId) -> SessionId:
    return SessionId(session.node_id, session.node_epoch - 1)
