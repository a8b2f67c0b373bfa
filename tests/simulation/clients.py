"""The clients of a simulated cluster: they find leaders by Metadata, try again what may be tried again, and write down
what they did and were told.

They speak to the product's own handlers. What a client could never excuse (an error that no retry cures, a sequence
that the leader has forgotten, an offset that is gone) is a surprise.
"""

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import Any

from infra.error_code import ErrorCode
from infra.errors import Unavailable
from infra.records.encode import encode_batch
from infra.records.record import Record
from infra.wire.messages import create_topics, init_producer_id, metadata, produce
from tests.checker.history import Operation, Partition, Send
from tests.simulation.cluster import Cluster, Pipe, node_at
from tests.simulation.loop import Process

_CALL_SECONDS = 6.0
_PRODUCE_TIMEOUT_MS = 4000
_PAUSE_SECONDS = 0.15
RETRIED = frozenset(
    {
        ErrorCode.NOT_LEADER_OR_FOLLOWER,
        ErrorCode.REQUEST_TIMED_OUT,
        ErrorCode.LEADER_NOT_AVAILABLE,
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,  # a node whose picture is old
        ErrorCode.FENCED_LEADER_EPOCH,
        ErrorCode.UNKNOWN_LEADER_EPOCH,
        ErrorCode.OFFSET_NOT_AVAILABLE,
        ErrorCode.KAFKA_STORAGE_ERROR,
        ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.NOT_COORDINATOR,
        ErrorCode.NETWORK_EXCEPTION,
    }
)


class History:
    """Operations in the order in which they ended; values are drawn here, so that none comes twice."""

    def __init__(self, cluster: Cluster) -> None:
        self.operations: list[Operation] = []
        self.ambiguous = 0
        self.acknowledged = 0
        self.duplicates_absorbed = 0
        self.ends: dict[Partition, int] = {}  # one past the highest offset that was acknowledged
        self._cluster = cluster
        self._values = 0
        self._indexes: dict[int, int] = {}

    def value(self) -> int:
        """One that nobody has."""
        self._values += 1
        return self._values

    def write(self, process: int, kind: Any, status: Any, began: float, **what: Any) -> None:
        """An operation that has just ended."""
        index = self._indexes[process] = self._indexes.get(process, -1) + 1
        operation = Operation(process, index, kind, status, began=began, ended=self._cluster.loop.time(), **what)
        self.operations.append(operation)
        self._cluster.trace.note(f"{process}.{index} {kind} {status} {operation.sends} {operation.polls}")


@dataclass(slots=True)
class Leader:
    """Who leads a partition, as a client has heard."""

    node_id: int
    epoch: int


class Client:
    """What all clients share."""

    def __init__(self, cluster: Cluster, history: History, number: int, bootstrap: list[int]) -> None:
        self.cluster = cluster
        self.history = history
        self.number = number
        self.random = Random(f"{cluster.seed}/client {number}")
        self.process = Process(cluster.loop, f"client {number}")
        self.leaders: dict[Partition, Leader] = {}
        self._nodes = bootstrap

    async def ask_any(self, api_key: int, version: int, request: Any, tries: int = 1000) -> Any:
        """Ask whoever answers."""
        for _ in range(tries):
            try:
                return await self.ask(self.random.choice(self._nodes), api_key, version, request)
            except Unavailable:
                await asyncio.sleep(_PAUSE_SECONDS)
        raise Unavailable("nobody answers")

    async def ask(self, node_id: int, api_key: int, version: int, request: Any, pipe: Pipe | None = None) -> Any:
        """Ask one node."""
        return await self.cluster.call(node_id, api_key, version, request, _CALL_SECONDS, self.number, pipe)

    async def refresh(self, *topics: str) -> None:
        """Ask somebody who leads what."""
        wanted = [metadata.MetadataRequestTopic(name=name) for name in topics]
        request = metadata.MetadataRequest(topics=wanted, allow_auto_topic_creation=False)
        answer: metadata.MetadataResponse = await self.ask_any(metadata.API_KEY, 12, request)
        reached = {broker.node_id: node_at(broker.port) for broker in answer.brokers}
        for topic in answer.topics:
            for one in topic.partitions:
                key = (topic.name or "", one.partition_index)
                known = self.leaders.get(key)
                if one.leader_id not in reached:
                    self.leaders.pop(key, None)
                elif known is None or one.leader_epoch >= known.epoch:
                    self.leaders[key] = Leader(reached[one.leader_id], one.leader_epoch)

    async def leader(self, partition: Partition) -> Leader:
        """Who leads; asks until somebody does."""
        while (known := self.leaders.get(partition)) is None:
            await self.refresh(partition[0])
            if partition not in self.leaders:
                await asyncio.sleep(_PAUSE_SECONDS)
        return known

    async def forget(self, partition: Partition) -> None:
        """That leader answered that it is none, or not at all."""
        self.leaders.pop(partition, None)
        await asyncio.sleep(self.random.uniform(0.3, 1.7) * _PAUSE_SECONDS)

    def surprise(self, sentence: str) -> None:
        """No fault excuses it."""
        self.cluster.surprises.append(f"client {self.number}: {sentence}")


class Admin(Client):
    """Makes topics."""

    async def create(self, name: str, partitions: int, configs: dict[str, str]) -> None:
        """Until it is there."""
        rows = [create_topics.CreatableTopicConfig(name=key, value=value) for key, value in configs.items()]
        topic = create_topics.CreatableTopic(name=name, num_partitions=partitions, replication_factor=1, configs=rows)
        request = create_topics.CreateTopicsRequest(topics=[topic], timeout_ms=5000)
        while True:
            answer = await self.ask_any(create_topics.API_KEY, 7, request)
            if answer.topics[0].error_code in (ErrorCode.NONE, ErrorCode.TOPIC_ALREADY_EXISTS):
                return
            await asyncio.sleep(_PAUSE_SECONDS)


@dataclass(slots=True)
class _Identity:
    """A producer id, and how far its sequences have come."""

    producer_id: int
    sequences: dict[Partition, int] = field(default_factory=dict)


class Producer(Client):
    """Sends records of unique values, acks=all. An idempotent one sends a batch again until it knows."""

    def __init__(
        self, cluster: Cluster, history: History, number: int, bootstrap: list[int], *, idempotent: bool, acks: int = -1
    ) -> None:
        super().__init__(cluster, history, number, bootstrap)
        self.stopping = False
        self.pause_seconds = 0.2
        self._idempotent = idempotent
        self._acks = acks
        self._identity: _Identity | None = None
        self._under_way: tuple[Partition, list[int], float] | None = None

    def write_unanswered(self) -> None:
        """What it was at when it was stopped: nobody knows."""
        if self._under_way is not None:
            self.write_sent(*self._under_way)

    def write_sent(self, partition: Partition, values: list[int], began: float) -> None:
        """Without an acknowledgement that promises anything."""
        sends = tuple(Send(partition, value) for value in values)
        self.history.write(self.number, "send", "info", began, sends=sends)

    async def run(self, partitions: list[Partition]) -> None:
        """Send until it is told to stop."""
        while not self.stopping:
            await self._send(self.random.choice(partitions))
            await asyncio.sleep(self.random.expovariate(1 / self.pause_seconds))

    async def _send(self, partition: Partition) -> None:
        began = self.cluster.loop.time()
        values = [self.history.value() for _ in range(self.random.choice((1, 1, 2, 5)))]
        patience = began + self.random.choice((10.0, 40.0, 120.0))
        self._under_way = partition, values, began
        base_offset = await self._deliver(partition, values, patience)
        self._under_way = None
        if self._acks == -1:
            write_send(self.history, self.number, partition, values, base_offset, began)
        else:
            self.write_sent(partition, values, began)
            self.history.ambiguous += len(values) if base_offset is None else 0

    async def _deliver(self, partition: Partition, values: list[int], patience: float) -> int | None:
        """The base offset, None when it stays unknown."""
        sequence = -1
        if self._idempotent:
            identity = self._identity = self._identity or await self._identify()
            sequence = identity.sequences.get(partition, 0)
        sent = False
        while True:
            leader = await self.leader(partition)
            began, sent_before, sent = self.cluster.loop.time(), sent, True
            code, base_offset = await self._produce(leader, partition, values, sequence)
            if code is ErrorCode.NONE:
                if sent_before and base_offset >= 0:
                    self.history.duplicates_absorbed += 1
                if self._identity is not None and sequence >= 0:
                    self._identity.sequences[partition] = sequence + len(values)
                return base_offset if base_offset >= 0 else None
            if code is ErrorCode.DUPLICATE_SEQUENCE_NUMBER and sent_before:
                if self._identity is not None:
                    self._identity.sequences[partition] = sequence + len(values)
                return None  # it is there, nobody knows where
            if code not in RETRIED:
                self.surprise(
                    f"a send to {partition} was answered {code.name} (sequence {sequence}, since {began:.3f})"
                )
                self._identity = None
                return None
            if not self._idempotent or self.cluster.loop.time() > patience or self.stopping > 1:
                self._identity = None  # the next batch must not stand behind one that may never have been
                return None
            await self.forget(partition)

    async def _produce(
        self, leader: Leader, partition: Partition, values: list[int], sequence: int
    ) -> tuple[ErrorCode, int]:
        producer_id = self._identity.producer_id if self._identity is not None and sequence >= 0 else -1
        batch = encode(self, values, producer_id, sequence)
        return await produced(self, leader.node_id, produce_request(partition, batch, self._acks), None)

    async def _identify(self) -> _Identity:
        return _Identity(await identify(self))


def write_send(
    history: History, process: int, partition: Partition, values: list[int], base_offset: int | None, began: float
) -> None:
    """A batch that was sent with acks=all; no base offset when nobody knows what became of it."""
    if base_offset is None:
        history.ambiguous += len(values)
        sends = [Send(partition, value) for value in values]
    else:
        history.acknowledged += len(values)
        history.ends[partition] = max(history.ends.get(partition, 0), base_offset + len(values))
        sends = [Send(partition, value, base_offset + at) for at, value in enumerate(values)]
    history.write(process, "send", "info" if base_offset is None else "ok", began, sends=tuple(sends))


def encode(client: Client, values: list[int], producer_id: int, sequence: int) -> bytes:
    """A batch; both are -1 without a producer."""
    now_ms = client.cluster.clock.now_ms()
    return encode_batch(
        [Record(at, now_ms, b"%d" % (value % 7), b"%d" % value) for at, value in enumerate(values)],
        codec=client.random.choice((0, 0, 2, 4)),
        producer_id=producer_id,
        producer_epoch=0 if producer_id >= 0 else -1,
        base_sequence=sequence,
    )


def produce_request(partition: Partition, batch: bytes, acks: int) -> produce.ProduceRequest:
    """Of one batch."""
    data = produce.PartitionProduceData(index=partition[1], records=memoryview(batch))
    topic = produce.TopicProduceData(name=partition[0], partition_data=[data])
    return produce.ProduceRequest(acks=acks, timeout_ms=_PRODUCE_TIMEOUT_MS, topic_data=[topic])


async def produced(
    client: Client, node_id: int, request: produce.ProduceRequest, pipe: Pipe | None
) -> tuple[ErrorCode, int]:
    """What became of it, and the base offset."""
    try:
        answer = await client.ask(node_id, produce.API_KEY, 9, request, pipe)
    except Unavailable:
        return ErrorCode.NETWORK_EXCEPTION, -1
    one = answer.responses[0].partition_responses[0]
    return ErrorCode(one.error_code), one.base_offset


async def identify(client: Client) -> int:
    """A new producer id."""
    while True:
        request = init_producer_id.InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=0)
        answer = await client.ask_any(init_producer_id.API_KEY, 3, request)
        if answer.error_code == ErrorCode.NONE:
            return int(answer.producer_id)
        await asyncio.sleep(_PAUSE_SECONDS)
