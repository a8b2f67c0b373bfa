"""Transaction coordinators over logs in memory, and partitions that take markers: held up, refused, or lost."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from infra.error_code import ErrorCode
from infra.errors import Fenced, Unavailable
from infra.partition import Lease, PartitionId, SessionId, TopicPartition
from infra.ports import EpochStart
from ingest.coordinator.marker_sender import Ending, EndingOf, MarkerSender, Results
from ingest.coordinator.transaction_coordinator import TRANSACTIONS_TOPIC, TransactionCoordinator
from ingest.coordinator.transaction_shard import TransactionParts
from ingest.coordinator.transactions import TransactionLimits
from ingest.observer import IngestObserver
from tests.coordinator.cluster import FakeLog, FakeLogs, FakeTopic, Guard, LoopClock

TRANSACTIONS_ID = UUID(int=8)
A, B = ("flights", 0), ("flights", 1)


class Logs(FakeLogs):
    """A topic of transactions beside the others; every data partition is led by node 0."""

    def __init__(self, partitions: int) -> None:
        super().__init__()
        self.topics[TRANSACTIONS_TOPIC] = FakeTopic(TRANSACTIONS_ID, TRANSACTIONS_TOPIC, partitions)
        self.logs = {name: FakeLog(name) for name in (PartitionId(TRANSACTIONS_ID, n) for n in range(partitions))}
        for topic in ("flights", "trains"):
            for number in range(self.topics[topic].partitions):
                name = PartitionId(self.topics[topic].topic_id, number)
                self.leaders[name] = Lease(name, SessionId(0, 0), 0)


class Led:
    """A log as one of its leaders sees it, who may have outlived its session without a word."""

    def __init__(self, log: FakeLog) -> None:
        self._log = log
        self.leader_epoch = log.leader_epoch
        self.over = False

    def check_ttl(self) -> None:
        if self.over:
            raise Fenced("the TTL has run out")
        self._log.check_ttl()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


@dataclass
class Partitions:
    """A `MarkerCarrier`: what each data partition has been told, with fencing by coordinator epoch."""

    written: dict[TopicPartition, list[Ending]] = field(default_factory=dict)
    errors: dict[TopicPartition, ErrorCode] = field(default_factory=dict)  # what a partition answers for now
    away: bool = False
    lose_answers: bool = False
    gate: asyncio.Event | None = None
    stuck: set[int] = field(default_factory=set)  # nodes that never answer
    requests: list[tuple[int, int]] = field(default_factory=list)  # (node, endings in it)

    async def carry(self, node_id: int, endings: Sequence[EndingOf]) -> list[Results]:
        self.requests.append((node_id, len(endings)))
        if node_id in self.stuck:
            await asyncio.Event().wait()
        if self.gate is not None:
            await self.gate.wait()
        await asyncio.sleep(0.001)
        if self.away:
            raise Unavailable("the node does not answer")
        results = [{place: self._one(place, one.ending) for place in one.partitions} for one in endings]
        if self.lose_answers:
            raise Unavailable("the answer was lost")
        return results  # type: ignore[return-value]

    def _one(self, place: TopicPartition, ending: Ending) -> ErrorCode:
        if place in self.errors:
            return self.errors[place]
        known = self.written.setdefault(place, [])
        if known and ending.coordinator_epoch < known[-1].coordinator_epoch:
            return ErrorCode.TRANSACTION_COORDINATOR_FENCED
        known.append(ending)
        return ErrorCode.NONE

    def outcomes(self, place: TopicPartition) -> list[tuple[int, bool]]:
        """(producer epoch, commit) of the markers of a partition, without repetitions."""
        found: list[tuple[int, bool]] = []
        for ending in self.written.get(place, []):
            one = (ending.producer.epoch, ending.commit)
            if not found or found[-1] != one:
                found.append(one)
        return found


class Ids:
    """Producer ids from 1,000 on."""

    def __init__(self) -> None:
        self.given = 999
        self.fails = False

    async def next(self) -> int:
        await asyncio.sleep(0)
        if self.fails:
            raise Unavailable("the store is down")
        self.given += 1
        return self.given


class Counted(IngestObserver):
    """What coordinators tell whoever counts."""

    def __init__(self) -> None:
        self.decisions: list[bool] = []
        self.time_outs = 0

    def decided(self, commit: bool) -> None:
        self.decisions.append(commit)

    def timed_out(self) -> None:
        self.time_outs += 1


class Cluster:
    """Nodes that can lead the partitions of `__transaction_state`."""

    def __init__(self, *, partitions: int = 1, limits: TransactionLimits | None = None) -> None:
        self.clock = LoopClock()
        self.logs = Logs(partitions)
        self.data = Partitions()
        self.ids = Ids()
        self.limits = limits or TransactionLimits()
        self.topics_of_bucket = {name: self.logs.topics[name].partitions for name in ("flights", "trains")}
        self.bucket_away = False
        self.observer = Counted()
        self.coordinators: list[TransactionCoordinator] = []
        self.led: dict[PartitionId, TransactionCoordinator] = {}
        self._seen: dict[PartitionId, Led] = {}

    async def _partitions_of(self, name: str) -> int:
        if self.bucket_away:
            raise Unavailable("the store is down")
        return self.topics_of_bucket.get(name, 0)

    def node(self) -> TransactionCoordinator:
        """One more node, leading nothing yet."""
        coordinator = TransactionCoordinator(
            directory=self.logs,
            guard=Guard(len(self.coordinators)),
            producer_ids=self.ids,
            parts=TransactionParts(
                appender=self.logs,
                source=self.logs,
                markers=MarkerSender(self.logs, self.data, self._partitions_of),
                clock=self.clock,
                limits=self.limits,
                observer=self.observer,
            ),
            clock=self.clock,
        )
        self.coordinators.append(coordinator)
        return coordinator

    async def leading(self) -> TransactionCoordinator:
        """A new node that leads everything from now on, and has loaded it."""
        coordinator = self.node()
        for partition in self.logs.logs:
            self.move(partition, coordinator)
        await self.loaded(coordinator)
        return coordinator

    def move(self, partition: PartitionId, coordinator: TransactionCoordinator) -> None:
        """Let a node take the lease. The one before is told, as when it was released."""
        log = self.logs.logs[partition]
        if partition in self.led:
            self.led[partition].on_release(partition, log.leader_epoch)
        self.take(partition, coordinator)

    def take(self, partition: PartitionId, coordinator: TransactionCoordinator) -> None:
        """Let a node take the lease of one that does not notice: whose TTL has run out, claimants wait for that."""
        log = self.logs.logs[partition]
        if partition in self._seen:
            self._seen[partition].over = True
        log.epochs.append(EpochStart(log.leader_epoch + 1, log.log_end_offset))
        lease = Lease(partition, SessionId(self.coordinators.index(coordinator), 0), log.leader_epoch)
        self.logs.leaders[partition] = lease
        self.led[partition] = coordinator
        led = self._seen[partition] = Led(log)
        coordinator.on_lead(led)  # type: ignore[arg-type]

    @staticmethod
    async def loaded(coordinator: TransactionCoordinator) -> None:
        for shard in coordinator._shards.values():
            await shard.loaded.wait()

    async def close(self) -> None:
        for coordinator in self.coordinators:
            await coordinator.close()


async def settled(coordinator: TransactionCoordinator, transactional_id: str, *labels: str) -> str:
    """Wait until an id is in one of these states."""
    while True:
        label = coordinator.describe(transactional_id).record.state.label
        if label in labels:
            return label
        await asyncio.sleep(0.01)
