"""Admin over the wire with our own client, for the command line: plain dataclasses in and out, never a back door.

Answers that carry a Kafka error become `Refused` with the server's sentence.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from cauce.config_admin import DELETE, SET, TOPIC
from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.wire.client import Client
from infra.wire.messages import (
    create_partitions,
    create_topics,
    delete_topics,
    describe_configs,
    describe_groups,
    incremental_alter_configs,
    list_groups,
    list_offsets,
    metadata,
    offset_commit,
    offset_fetch,
)

LATEST, EARLIEST = -1, -2  # timestamps of ListOffsets
_ADMIN_TIMEOUT_MS = 30_000


@dataclass(frozen=True, slots=True)
class PartitionInfo:
    """A partition as Metadata tells it."""

    partition: int
    leader: int | None
    leader_epoch: int


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """A topic as Metadata tells it."""

    name: str
    topic_id: UUID
    internal: bool
    partitions: tuple[PartitionInfo, ...]


@dataclass(frozen=True, slots=True)
class ConfigInfo:
    """One config as it stands; `own` when it was set on the resource itself."""

    name: str
    value: str | None
    own: bool
    documentation: str | None


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """A group with its members: member id → (client id, host)."""

    group: str
    state: str
    protocol: str
    members: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def check(code: int, message: str | None = None) -> None:
    """Raise `Refused` for an error code of an answer."""
    if code != ErrorCode.NONE:
        known = ErrorCode(code)
        raise Refused(known, message or f"the node answered {known.name}")


class Admin:
    """Topics, configs, groups and offsets of a cluster."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def client(self) -> Client:
        """What it asks with."""
        return self._client

    async def connect(self, seconds: float) -> None:
        """Reach any node. Raises `Unavailable` when none answers within so many seconds."""
        request = metadata.MetadataRequest(topics=[], allow_auto_topic_creation=False)
        await self._client.call(None, request, timeout_seconds=seconds)

    async def topics(self, names: Sequence[str] | None = None) -> list[TopicInfo]:
        """The named topics, all when None. Raises `Refused` for one that is not there."""
        response = await self._client.metadata(names)
        found = []
        for topic in response.topics:
            if topic.error_code:
                check(topic.error_code, f"topic {topic.name!r}: {ErrorCode(topic.error_code).name}")
            rows = sorted(topic.partitions, key=lambda row: row.partition_index)
            partitions = tuple(
                PartitionInfo(row.partition_index, row.leader_id if row.leader_id >= 0 else None, row.leader_epoch)
                for row in rows
            )
            found.append(TopicInfo(topic.name or "", topic.topic_id, topic.is_internal, partitions))
        return sorted(found, key=lambda topic: topic.name)

    async def topic(self, name: str) -> TopicInfo:
        """One topic; raises `Refused` UNKNOWN_TOPIC_OR_PARTITION with what to do."""
        try:
            return (await self.topics([name]))[0]
        except Refused as refused:
            if refused.code is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
                raise Refused(
                    refused.code, f"there is no topic {name!r}; `cauce topic list` shows those that are"
                ) from None
            raise

    async def ensure_topic(self, name: str) -> None:
        """Let the cluster create the topic when it is not there and the cluster does that. Raises `Refused`."""
        wanted = metadata.MetadataRequestTopic(name=name)
        request = metadata.MetadataRequest(topics=[wanted], allow_auto_topic_creation=True)
        code = (await self._client.call(None, request)).topics[0].error_code
        if code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
            check(code, f"there is no topic {name!r}; create it with `cauce topic create {name}`")
        if code == ErrorCode.INVALID_TOPIC_EXCEPTION:
            check(code, f"{name!r} is not a topic name; use up to 249 ASCII letters, digits, '.', '_' and '-'")
        check(code)

    async def create_topic(self, name: str, partitions: int, configs: Mapping[str, str]) -> None:
        """Create a topic; -1 partitions: the cluster's default."""
        new = create_topics.CreatableTopic(
            name=name,
            num_partitions=partitions,
            replication_factor=-1,
            configs=[create_topics.CreatableTopicConfig(name=key, value=value) for key, value in configs.items()],
        )
        request = create_topics.CreateTopicsRequest(topics=[new], timeout_ms=_ADMIN_TIMEOUT_MS)
        result = (await self._client.to_controller(request)).topics[0]
        check(result.error_code, result.error_message)

    async def delete_topic(self, name: str) -> None:
        """Delete a topic."""
        request = delete_topics.DeleteTopicsRequest(
            topics=[delete_topics.DeleteTopicState(name=name)], topic_names=[name], timeout_ms=_ADMIN_TIMEOUT_MS
        )
        result = (await self._client.to_controller(request)).responses[0]
        if result.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
            check(result.error_code, f"there is no topic {name!r}; `cauce topic list` shows those that are")
        check(result.error_code, result.error_message)

    async def add_partitions(self, name: str, count: int) -> None:
        """Grow a topic to `count` partitions."""
        wanted = create_partitions.CreatePartitionsTopic(name=name, count=count, assignments=None)
        request = create_partitions.CreatePartitionsRequest(topics=[wanted], timeout_ms=_ADMIN_TIMEOUT_MS)
        result = (await self._client.to_controller(request)).results[0]
        check(result.error_code, result.error_message)

    async def topic_configs(self, name: str) -> list[ConfigInfo]:
        """Every config of a topic."""
        resource = describe_configs.DescribeConfigsResource(
            resource_type=TOPIC, resource_name=name, configuration_keys=None
        )
        request = describe_configs.DescribeConfigsRequest(resources=[resource], include_documentation=True)
        result = (await self._client.call(None, request)).results[0]
        check(result.error_code, result.error_message)
        return [ConfigInfo(row.name, row.value, row.config_source == 1, row.documentation) for row in result.configs]

    async def alter_topic_configs(self, name: str, set_: Mapping[str, str], delete: Sequence[str]) -> None:
        """Set and delete single configs of a topic."""
        steps = [(key, SET, value) for key, value in set_.items()]
        resource = incremental_alter_configs.AlterConfigsResource(
            resource_type=TOPIC,
            resource_name=name,
            configs=[
                incremental_alter_configs.AlterableConfig(name=key, config_operation=operation, value=value)
                for key, operation, value in [*steps, *((key, DELETE, None) for key in delete)]
            ],
        )
        request = incremental_alter_configs.IncrementalAlterConfigsRequest(resources=[resource])
        result = (await self._client.to_controller(request)).responses[0]
        check(result.error_code, result.error_message)

    async def offsets(self, topic: str, partitions: Sequence[int], timestamp: int) -> dict[int, int]:
        """Partition → offset at LATEST, EARLIEST or a time in ms (-1 when there is none)."""
        found = await asyncio.gather(*(self._offset(topic, partition, timestamp) for partition in partitions))
        return dict(zip(partitions, found, strict=True))

    async def _offset(self, topic: str, partition: int, timestamp: int) -> int:
        wanted = list_offsets.ListOffsetsPartition(partition_index=partition, timestamp=timestamp)
        request = list_offsets.ListOffsetsRequest(
            replica_id=-1, topics=[list_offsets.ListOffsetsTopic(name=topic, partitions=[wanted])]
        )
        answer = (await self._client.to_leader(topic, partition, request)).topics[0].partitions[0]
        check(answer.error_code, f"{topic}-{partition}: {ErrorCode(answer.error_code).name}; try again")
        offset: int = answer.offset
        return offset

    async def groups(self) -> list[GroupInfo]:
        """All groups of all nodes, without their members."""
        found: dict[str, GroupInfo] = {}
        for node in await self._client.nodes():
            response = await self._client.call(node, list_groups.ListGroupsRequest())
            check(response.error_code)
            for row in response.groups:
                found[row.group_id] = GroupInfo(row.group_id, row.group_state, row.protocol_type)
        return [found[name] for name in sorted(found)]

    async def group(self, name: str) -> GroupInfo:
        """One group with its members; raises `Refused` when it is not there."""
        request = describe_groups.DescribeGroupsRequest(groups=[name])
        row = (await self._client.to_coordinator(name, request)).groups[0]
        if row.error_code == ErrorCode.GROUP_ID_NOT_FOUND or row.group_state == "Dead":
            check(ErrorCode.GROUP_ID_NOT_FOUND, f"there is no group {name!r}; `cauce group list` shows those that are")
        check(row.error_code)
        members = {member.member_id: (member.client_id, member.client_host) for member in row.members}
        return GroupInfo(name, row.group_state, row.protocol_data, members)

    async def committed(self, group: str) -> dict[tuple[str, int], int]:
        """(topic, partition) → committed offset of a group."""
        request = offset_fetch.OffsetFetchRequest(
            group_id=group,
            topics=None,
            groups=[offset_fetch.OffsetFetchRequestGroup(group_id=group, topics=None)],
        )
        response: Any = await self._client.to_coordinator(group, request)
        answer = response.groups[0] if response.groups else response
        check(answer.error_code)
        return {
            (topic.name, row.partition_index): row.committed_offset
            for topic in answer.topics
            for row in topic.partitions
        }

    async def commit(self, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
        """Set committed offsets of a group without members. Raises `Refused` when it has some."""
        topics: dict[str, offset_commit.OffsetCommitRequestTopic] = {}
        for (topic, partition), offset in offsets.items():
            row = topics.setdefault(topic, offset_commit.OffsetCommitRequestTopic(name=topic))
            row.partitions.append(
                offset_commit.OffsetCommitRequestPartition(
                    partition_index=partition, committed_offset=offset, committed_metadata=""
                )
            )
        request = offset_commit.OffsetCommitRequest(group_id=group, topics=list(topics.values()))
        response = await self._client.to_coordinator(group, request)
        for topic in response.topics:
            for row in topic.partitions:
                if row.error_code == ErrorCode.UNKNOWN_MEMBER_ID:
                    check(row.error_code, f"group {group!r} has members; stop its consumers first")
                check(row.error_code)
