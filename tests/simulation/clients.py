"""The clients of a simulated cluster: they find leaders by Metadata, try again what may be tried again, and write down
what they did and were told.

They speak to the product's own handlers. What a client could never excuse (an error that no retry cures, a sequence
that the leader has forgotten, an offset that is gone) is a surprise.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from infra.error_code import ErrorCode
from infra.errors import Unavailable
from infra.records.batch import split_batches
from infra.records.decode import decode_batch
from infra.records.encode import encode_batch
from infra.records.record import Record
from infra.wire.messages import create_topics, fetch, init_producer_id, list_offsets, metadata, produce
from tests.checker.history import Operation, Partition, Poll, Send
from tests.simulation.cluster import Cluster, Pipe, node_at
from tests.simulation.loop import Process

_CALL_SECONDS = 6.0
_PRODUCE_TIMEOUT_MS = 4000
_PAUSE_SECONDS = 0.15
_FETCH_WAIT_MS = 500
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


class Consumer(Client):
    """Reads partitions from their beginning on, each at its own pace."""

    def __init__(self, cluster: Cluster, history: History, number: int, bootstrap: list[int]) -> None:
        super().__init__(cluster, history, number, bootstrap)
        self.positions: dict[Partition, int] = {}
        self._epochs: dict[Partition, int] = {}  # of the newest batch that was read
        self._readers: dict[Partition, int] = {}

    async def run(self, partitions: list[Partition]) -> None:
        """Follow them for ever, one fetch after the other."""
        self.begin(partitions)
        while True:
            await self.poll(self.random.choice(partitions))
            draw = self.random.random()
            if draw < 0.01:
                self.begin(partitions)  # once more from the beginning
            elif draw < 0.15:
                await self.end_offset(self.random.choice(partitions))

    def begin(self, partitions: list[Partition]) -> None:
        """At offset 0."""
        self.positions = dict.fromkeys(partitions, 0)
        self._epochs.clear()
        self.history.write(self.number, "assign", "ok", self.cluster.loop.time())

    async def poll(self, partition: Partition) -> fetch.PartitionData | None:
        """One fetch, and what it gave; None when it was not answered."""
        began = self.cluster.loop.time()
        data = await self._fetch(partition)
        if data is None:
            return None
        records = list(self._records(partition, data))
        if records:
            polls = tuple(Poll(partition, record.offset, int(record.value or b"-1")) for record in records)
            self.history.write(self.number, "poll", "ok", began, polls=polls)
        return data

    def _records(self, partition: Partition, data: fetch.PartitionData) -> Iterator[Record]:
        batches: Any = data.records or []
        for batch in batches:
            for header, body in split_batches(memoryview(bytes(batch))):
                for record in decode_batch(body):
                    if record.offset >= self.positions[partition]:
                        yield record
                self.positions[partition] = max(self.positions[partition], header.next_offset)
                self._epochs[partition] = header.leader_epoch

    async def _fetch(self, partition: Partition) -> fetch.PartitionData | None:
        leader = await self.leader(partition)
        reader = self._readers.get(partition)
        wanted = fetch.FetchPartition(
            partition=partition[1],
            current_leader_epoch=leader.epoch,
            fetch_offset=self.positions[partition],
            last_fetched_epoch=self._epochs.get(partition, -1),
            partition_max_bytes=self.random.choice((400, 2000, 1 << 20)),
        )
        request = fetch.FetchRequest(
            max_wait_ms=_FETCH_WAIT_MS,
            min_bytes=1,
            topics=[fetch.FetchTopic(topic=partition[0], partitions=[wanted])],
        )
        try:
            answer = await self.ask(leader.node_id if reader is None else reader, fetch.API_KEY, 12, request)
        except Unavailable:
            answer = None
        if answer is None or answer.error_code or not answer.responses:
            self._readers.pop(partition, None)
            await self.forget(partition)
            return None
        data: fetch.PartitionData = answer.responses[0].partitions[0]
        return data if await self._judge(partition, data) else None

    async def _judge(self, partition: Partition, data: fetch.PartitionData) -> bool:
        code = ErrorCode(data.error_code)
        if code is ErrorCode.NONE and data.diverging_epoch.epoch < 0:
            if data.preferred_read_replica >= 0:
                self._readers[partition] = data.preferred_read_replica
            return True
        if code is ErrorCode.NONE:
            self.surprise(
                f"at offset {self.positions[partition]} of {partition}, epoch {self._epochs.get(partition)}: the log "
                f"diverges at {data.diverging_epoch.end_offset}, epoch {data.diverging_epoch.epoch}"
            )
            self.positions[partition] = 0
            self._epochs.pop(partition, None)
        elif code is ErrorCode.OFFSET_OUT_OF_RANGE:
            self.surprise(f"offset {self.positions[partition]} of {partition} is out of range")
            self.positions[partition] = 0
        elif code not in RETRIED:
            self.surprise(f"a fetch of {partition} was answered {code.name}")
        self._readers.pop(partition, None)
        await self.forget(partition)
        return False

    async def end_offset(self, partition: Partition) -> int:
        """The high watermark, by ListOffsets. Whatever was acknowledged before we asked lies below it."""
        while True:
            leader = await self.leader(partition)
            at_least = self.history.ends.get(partition, 0)
            wanted = list_offsets.ListOffsetsPartition(
                partition_index=partition[1], current_leader_epoch=leader.epoch, timestamp=-1
            )
            request = list_offsets.ListOffsetsRequest(
                replica_id=-1, topics=[list_offsets.ListOffsetsTopic(name=partition[0], partitions=[wanted])]
            )
            try:
                answer = await self.ask(leader.node_id, list_offsets.API_KEY, 6, request)
            except Unavailable:
                await self.forget(partition)
                continue
            one = answer.topics[0].partitions[0]
            if one.error_code == ErrorCode.NONE:
                if one.offset < at_least:
                    self.surprise(
                        f"{partition} ends at {one.offset} says node {leader.node_id}, {at_least} was acknowledged"
                    )
                return int(one.offset)
            await self.forget(partition)
