"""The consumers of a simulated cluster: they read what leaders and reader nodes give, and ask where partitions end."""

from collections.abc import Iterator
from typing import Any

from infra.error_code import ErrorCode
from infra.errors import Unavailable
from infra.records.batch import split_batches
from infra.records.decode import decode_batch
from infra.records.record import Record
from infra.wire.messages import fetch, list_offsets
from tests.checker.history import Partition, Poll
from tests.simulation.clients import RETRIED, Client, History
from tests.simulation.cluster import Cluster

_FETCH_WAIT_MS = 500


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
