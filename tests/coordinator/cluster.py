"""A coordinator over an internal topic in memory: its log can be read back, moved, fail, and hold appends up."""

import asyncio
import selectors
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from infra.clock import Clock
from infra.cluster.manifest import Manifest
from infra.error_code import ErrorCode
from infra.errors import CauceError, Fenced, NotLeader
from infra.partition import Lease, PartitionId, SessionId, TopicPartition
from infra.ports import EpochStart, Verification
from infra.records.batch import BatchHeader, stamp
from infra.store.port import Buffer
from infra.view.memory import MemoryView
from infra.view.memory_server import MemoryServer
from ingest.coordinator.coordinator import OFFSETS_TOPIC, GroupCoordinator
from ingest.coordinator.group_effects import GroupLimits
from ingest.coordinator.offsets import OffsetLimits
from ingest.verification import Verifier

T = TypeVar("T")

OFFSETS_ID = UUID(int=7)


class _VirtualSelector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Instead of waiting, lets the loop's time jump."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found and timeout:
            self.now += timeout
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes only when nothing else is left to do."""

    def __init__(self) -> None:
        self.selector = _VirtualSelector()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.now


class LoopClock(Clock):
    """Both clocks follow the running loop; the wall clock can be set apart."""

    def __init__(self) -> None:
        self.wall_offset_ms = 1_700_000_000_000

    def now_ms(self) -> int:
        return self.wall_offset_ms + int(self.monotonic() * 1_000)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


def virtually(body: Callable[[], Awaitable[T]]) -> T:
    """Run `body` in virtual time."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(asyncio.wait_for(body(), 1e9))  # type: ignore[arg-type]
    finally:
        loop.close()


@dataclass(frozen=True)
class FakeTopic:
    topic_id: UUID
    name: str
    partitions: int


NO_MANIFEST = Manifest()


@dataclass
class FakeLog:
    """One partition in memory; survives its leaders. `LogReader` of whoever leads it now."""

    partition: PartitionId
    batches: list[tuple[int, bytes]] = field(default_factory=list)
    epochs: list[EpochStart] = field(default_factory=list)
    log_start_offset: int = 0
    log_end_offset: int = 0
    closed: bool = False
    fenced: bool = False
    open_transaction_at: int | None = None
    manifest: Manifest = NO_MANIFEST
    records_end: int = 0

    @property
    def leader_epoch(self) -> int:
        return self.epochs[-1].leader_epoch if self.epochs else -1

    @property
    def high_watermark(self) -> int:
        return self.log_end_offset

    @property
    def last_stable_offset(self) -> int:
        return self.log_end_offset if self.open_transaction_at is None else self.open_transaction_at

    topic = OFFSETS_TOPIC

    def must_be_verified(self, header: BatchHeader) -> bool:
        return True

    def begin_verification(self, producer_id: int) -> Verification:
        return Verification()

    def check_ttl(self) -> None:
        if self.fenced:
            raise Fenced("the TTL has run out")

    def append(self, batch: Buffer) -> int:
        stored = bytearray(batch)
        base = self.log_end_offset
        stamp(memoryview(stored), base, self.leader_epoch)
        self.batches.append((base, bytes(stored)))
        self.log_end_offset = BatchHeader.parse(stored).next_offset
        return base


class FakeLogs:
    """All partitions of the internal topic: `LogAppender`, `LogSource` and `TopicDirectory` of a one-node cluster."""

    def __init__(self, partitions: int = 1) -> None:
        self.topics = {
            topic.name: topic
            for topic in (
                FakeTopic(OFFSETS_ID, OFFSETS_TOPIC, partitions),
                FakeTopic(UUID(int=1), "flights", 3),
                FakeTopic(UUID(int=2), "trains", 1),
            )
        }
        names = [PartitionId(OFFSETS_ID, number) for number in range(partitions)]
        self.logs = {name: FakeLog(name) for name in names}
        self.leaders: dict[PartitionId, Lease] = {}
        self.append_error: CauceError | None = None
        self.lose_answer = False  # append, then fail all the same
        self.read_error: CauceError | None = None
        self.gate: asyncio.Event | None = None  # appends wait for it
        self.appends: list[int] = []  # records of each
        self.reads: list[int] = []  # from which offsets

    # TopicDirectory
    def topic_by_name(self, name: str) -> FakeTopic | None:
        return self.topics.get(name)

    def topic_by_id(self, topic_id: UUID) -> FakeTopic | None:
        return next((topic for topic in self.topics.values() if topic.topic_id == topic_id), None)

    def leader(self, partition: PartitionId) -> Lease | None:
        return self.leaders.get(partition)

    # LogAppender
    async def append(
        self,
        partition: PartitionId,
        leader_epoch: int,
        batches: Sequence[Buffer],
        verification: Verification | None = None,
    ) -> int:
        log = self.logs[partition]
        if log.closed or log.leader_epoch != leader_epoch:
            raise NotLeader("somebody else leads")
        if self.append_error is not None and not self.lose_answer:
            raise self.append_error
        (batch,) = batches
        base = log.append(batch)
        self.appends.append(BatchHeader.parse(batch).record_count)
        if self.gate is not None:
            await self.gate.wait()
        else:
            await asyncio.sleep(0.001)
        if self.append_error is not None:
            raise self.append_error
        if log.leader_epoch != leader_epoch:
            raise NotLeader("somebody else leads")
        return base

    # LogSource
    async def read_log(self, partition: PartitionId, from_offset: int, upto: int) -> AsyncIterator[Sequence[Buffer]]:
        self.reads.append(from_offset)
        await asyncio.sleep(0.001)
        if self.read_error is not None:
            raise self.read_error
        for base, batch in list(self.logs[partition].batches):
            if base < upto and BatchHeader.parse(batch).next_offset > from_offset:
                yield [batch]


class Guard:
    """A session that is never over by itself."""

    def __init__(self, node_id: int) -> None:
        self.session = SessionId(node_id, 0)

    def check_ttl(self) -> None: ...

    async def look_for_fence(self) -> None: ...


class Transactions:
    """A transaction coordinator that says the same of every partition."""

    says = ErrorCode.NONE

    async def verify(
        self, transactional_id: str, producer_id: int, producer_epoch: int, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, ErrorCode]:
        await asyncio.sleep(0.001)
        return dict.fromkeys(partitions, self.says)


class Cluster:
    """Nodes that can lead the partitions, one view, one set of logs."""

    def __init__(
        self, *, partitions: int = 1, limits: GroupLimits | None = None, offset_limits: OffsetLimits | None = None
    ) -> None:
        self.clock = LoopClock()
        self.logs = FakeLogs(partitions)
        self.server = MemoryServer(self.clock)
        self.limits = limits or GroupLimits()
        self.offset_limits = offset_limits or OffsetLimits()
        self.coordinators: list[GroupCoordinator] = []
        self.led: dict[PartitionId, GroupCoordinator] = {}
        self.transactions = Transactions()

    async def node(self) -> GroupCoordinator:
        """One more node, leading nothing yet."""
        view = MemoryView(self.server)
        if not self.server.down and await view.incarnation() is None:
            await view.begin_rebuild("tests", 1_000)
            await view.install("tests", "first")
        await view.use("first")
        coordinator = GroupCoordinator(
            directory=self.logs,
            appender=self.logs,
            source=self.logs,
            view=view,
            guard=Guard(len(self.coordinators)),
            clock=self.clock,
            limits=self.limits,
            offset_limits=self.offset_limits,
            view_interval_seconds=0.05,
            find_log=self.logs.logs.__getitem__,
            verifier=Verifier(self.transactions),
        )
        self.coordinators.append(coordinator)
        return coordinator

    async def leading(self) -> GroupCoordinator:
        """A new node that leads everything from now on, and has loaded it."""
        coordinator = await self.node()
        for partition in self.logs.logs:
            self.move(partition, coordinator)
        await self.loaded(coordinator)
        return coordinator

    def move(self, partition: PartitionId, coordinator: GroupCoordinator) -> None:
        """Let a node take the lease."""
        log = self.logs.logs[partition]
        if partition in self.led:
            self.led[partition].on_release(partition, log.leader_epoch)
        log.epochs.append(EpochStart(log.leader_epoch + 1, log.log_end_offset))
        lease = Lease(partition, SessionId(self.coordinators.index(coordinator), 0), log.leader_epoch)
        self.logs.leaders[partition] = lease
        self.led[partition] = coordinator
        coordinator.on_lead(log)  # type: ignore[arg-type]

    @staticmethod
    async def loaded(coordinator: GroupCoordinator) -> None:
        for shard in coordinator._shards.values():
            await shard.loaded.wait()

    async def close(self) -> None:
        for coordinator in self.coordinators:
            await coordinator.close()
