"""Metadata v0 to v12: nodes, topics, leaders; creates topics on demand.

Versions: v0 an empty topic list means all, from v1 a null one does; v1 racks and controller, v4
allow_auto_topic_creation, v7 leader epochs, v10 topic ids in requests and answers (v12 by id alone). Endpoints are
those of the listener asked. Replicas and in-sync replicas are the leader and the reader nodes: the bucket replicates.
"""

from typing import ClassVar
from uuid import UUID

from cauce.topic_admin import NewTopic, TopicAdmin
from infra.cluster.state import ClusterState, Topic
from infra.error_code import ErrorCode
from infra.errors import CauceError, Refused
from infra.partition import PartitionId
from infra.topic_config import INTERNAL_TOPICS, check_topic_name
from infra.view.port import LiveSession
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import metadata as message

_NO_TOPIC = UUID(int=0)


class MetadataHandler(Handler):
    """Answers Metadata from the cluster as this node last saw it."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 12

    def __init__(self, state: ClusterState, admin: TopicAdmin, *, auto_create: bool) -> None:
        self._state = state
        self._admin = admin
        self._auto_create = auto_create

    async def handle(self, context: RequestContext, request: message.MetadataRequest) -> message.MetadataResponse:
        wanted = request.topics
        if wanted is None or (context.api_version == 0 and not wanted):
            topics = [self._describe(topic) for topic in self._state.topics()]
        else:
            create = self._auto_create and (request.allow_auto_topic_creation or context.api_version < 4)
            null_name = None if context.api_version >= 12 else ""
            topics = [await self._one(topic, create, null_name) for topic in wanted]
        return message.MetadataResponse(
            brokers=[broker for node in self._state.brokers() if (broker := _broker(node, context.listener))],
            cluster_id=self._state.cluster_id,
            controller_id=self._state.controller_id,
            topics=topics,
        )

    async def _one(
        self, wanted: message.MetadataRequestTopic, create: bool, null_name: str | None
    ) -> message.MetadataResponseTopic:
        if wanted.topic_id != _NO_TOPIC:
            topic = self._state.topic_by_id(wanted.topic_id)
            if topic is None:
                return _failed(null_name, wanted.topic_id, ErrorCode.UNKNOWN_TOPIC_ID)
            return self._describe(topic)
        name = wanted.name or ""
        try:
            check_topic_name(name)
            topic = self._state.topic_by_name(name)
            if topic is None and create:
                topic = await self._create(name)
        except Refused as refused:
            return _failed(name, _NO_TOPIC, refused.code)
        except CauceError:
            return _failed(name, _NO_TOPIC, ErrorCode.LEADER_NOT_AVAILABLE)
        if topic is None:
            return _failed(name, _NO_TOPIC, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        return self._describe(topic)

    async def _create(self, name: str) -> Topic | None:
        if name in INTERNAL_TOPICS:
            return await self._admin.ensure(name)
        try:
            return await self._admin.create(NewTopic(name))
        except Refused as refused:
            if refused.code is not ErrorCode.TOPIC_ALREADY_EXISTS:
                raise
            await self._state.refresh()
            return self._state.topic_by_name(name)

    def _describe(self, topic: Topic) -> message.MetadataResponseTopic:
        return message.MetadataResponseTopic(
            name=topic.name,
            topic_id=topic.topic_id,
            is_internal=topic.name in INTERNAL_TOPICS,
            partitions=[self._partition(topic, number) for number in range(topic.partitions)],
        )

    def _partition(self, topic: Topic, number: int) -> message.MetadataResponsePartition:
        lease = self._state.leader(PartitionId(topic.topic_id, number))
        if lease is None:
            return message.MetadataResponsePartition(
                error_code=ErrorCode.LEADER_NOT_AVAILABLE, partition_index=number, leader_id=-1
            )
        replicas = self._state.replicas(lease)
        return message.MetadataResponsePartition(
            partition_index=number,
            leader_id=lease.session.node_id,
            leader_epoch=lease.leader_epoch,
            replica_nodes=replicas,
            isr_nodes=replicas,
        )


def _broker(node: LiveSession, listener: str) -> message.MetadataResponseBroker | None:
    endpoint = node.endpoints.get(listener)
    if endpoint is None:
        return None
    host, _, port = endpoint.rpartition(":")
    return message.MetadataResponseBroker(
        node_id=node.session.node_id, host=host.strip("[]"), port=int(port), rack=node.rack
    )


def _failed(name: str | None, topic_id: UUID, code: ErrorCode) -> message.MetadataResponseTopic:
    return message.MetadataResponseTopic(error_code=code, name=name, topic_id=topic_id)
