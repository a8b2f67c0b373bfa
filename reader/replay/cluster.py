"""What a replay asks of a running cluster: the topic, where its partitions begin and end, and where the bucket is."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from infra.clock import SYSTEM_CLOCK, Clock
from infra.error_code import ErrorCode
from infra.errors import Refused, Unavailable
from infra.wire.client import Client
from infra.wire.messages import describe_configs, list_offsets, metadata
from reader.replay.plan import Span
from reader.replay.request import ReplayRequest, milliseconds

LATEST, EARLIEST = -1, -2  # timestamps of ListOffsets
_READ_COMMITTED = 1
_BROKER = 4  # resource type
_PATIENCE_SECONDS = 30.0
_PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """A topic as the cluster knows it."""

    topic: str
    topic_id: UUID
    cluster_id: str | None
    partitions: tuple[int, ...]


class ClusterSource:
    """Asks any node, and leaders for offsets. Raises `Unavailable` when they do not answer."""

    def __init__(self, client: Client, clock: Clock = SYSTEM_CLOCK) -> None:
        self._client = client
        self._clock = clock

    async def connect(self, seconds: float) -> None:
        """Reach any node within so many seconds."""
        request = metadata.MetadataRequest(topics=[], allow_auto_topic_creation=False)
        await self._client.call(None, request, timeout_seconds=seconds)

    async def topic(self, name: str) -> TopicFacts:
        """Raises `Refused` when there is no such topic."""
        response = await self._client.metadata([name])
        found = response.topics[0]
        if found.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
            raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"there is no topic {name!r}")
        if found.error_code not in (ErrorCode.NONE, ErrorCode.LEADER_NOT_AVAILABLE):
            code = ErrorCode(found.error_code)
            raise Refused(code, f"topic {name!r} cannot be read: {code.name}")
        partitions = tuple(sorted(row.partition_index for row in found.partitions))
        return TopicFacts(name, found.topic_id, response.cluster_id, partitions)

    async def topics(self) -> list[str]:
        """Names of all topics."""
        return sorted(topic.name for topic in (await self._client.metadata()).topics if topic.name)

    async def bucket_url(self) -> str:
        """Where the nodes keep their objects, as they name it."""
        node = (await self._client.nodes())[0]
        resource = describe_configs.DescribeConfigsResource(
            resource_type=_BROKER, resource_name=str(node.node_id), configuration_keys=["cauce.bucket"]
        )
        request = describe_configs.DescribeConfigsRequest(resources=[resource])
        [answer] = (await self._client.call(node, request)).results
        values = [row.value for row in answer.configs if row.name == "cauce.bucket" and row.value]
        if answer.error_code or not values:
            raise Refused(
                ErrorCode(answer.error_code or ErrorCode.INVALID_REQUEST),
                f"{node.host}:{node.port} does not say where its bucket is: name it with --bucket",
            )
        return str(values[0])

    async def spans(self, facts: TopicFacts, request: ReplayRequest) -> dict[int, Span]:
        """What is asked for of each partition: never beyond what is committed now. Raises `Refused`."""
        wanted = _wanted(facts, request.partitions)
        return dict(
            zip(wanted, await asyncio.gather(*(self._span(facts, one, request) for one in wanted)), strict=True)
        )

    async def _span(self, facts: TopicFacts, partition: int, request: ReplayRequest) -> Span:
        first, end = await asyncio.gather(
            self._offset(facts, partition, EARLIEST), self._offset(facts, partition, LATEST)
        )
        start = first
        if isinstance(request.start, datetime):
            found = await self._offset(facts, partition, milliseconds(request.start))
            start = end if found < 0 else max(first, found)
        elif request.start is not None:
            start = max(first, request.start)
        return Span(start, min(end, request.end) if isinstance(request.end, int) else end)

    async def _offset(self, facts: TopicFacts, partition: int, timestamp: int) -> int:
        """The offset at a place or time, -1 when there is none; leaders that move are waited for."""
        begin = self._clock.monotonic()
        row = list_offsets.ListOffsetsPartition(partition_index=partition, timestamp=timestamp)
        request = list_offsets.ListOffsetsRequest(
            replica_id=-1,
            isolation_level=_READ_COMMITTED,
            topics=[list_offsets.ListOffsetsTopic(name=facts.topic, partitions=[row])],
        )
        while True:
            try:
                response = await self._client.to_leader(facts.topic, partition, request)
                answer = response.topics[0].partitions[0]
                if answer.error_code == ErrorCode.NONE:
                    return int(answer.offset)
                self._client.forget_leaders(facts.topic)
                trouble = Unavailable(f"{facts.topic}-{partition} answers {ErrorCode(answer.error_code).name}")
            except Unavailable as error:
                trouble = error
            if self._clock.monotonic() - begin > _PATIENCE_SECONDS:
                raise trouble
            await asyncio.sleep(_PAUSE_SECONDS)


def _wanted(facts: TopicFacts, partitions: Sequence[int] | None) -> list[int]:
    if partitions is None:
        return list(facts.partitions)
    missing = set(partitions) - set(facts.partitions)
    if missing:
        raise Refused(
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            f"topic {facts.topic!r} has no partition {min(missing)}; it has 0 to {facts.partitions[-1]}",
        )
    return sorted(set(partitions))
