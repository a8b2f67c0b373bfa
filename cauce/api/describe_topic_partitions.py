"""DescribeTopicPartitions v0 (KIP-966): topics and partitions page by page, in order of name."""

from typing import ClassVar

from infra.cluster.state import ClusterState, Topic
from infra.error_code import ErrorCode
from infra.partition import PartitionId
from infra.topic_config import INTERNAL_TOPICS
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import describe_topic_partitions as message

_MOST_PARTITIONS = 2000  # Kafka's max.request.partition.size.limit


class DescribeTopicPartitionsHandler(Handler):
    """Answers DescribeTopicPartitions from the cluster as this node last saw it."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 0

    def __init__(self, state: ClusterState) -> None:
        self._state = state

    async def handle(
        self, context: RequestContext, request: message.DescribeTopicPartitionsRequest
    ) -> message.DescribeTopicPartitionsResponse:
        names = sorted({topic.name for topic in request.topics} or {topic.name for topic in self._state.topics()})
        first_partition = 0
        if request.cursor is not None:
            names = [name for name in names if name >= request.cursor.topic_name]
            if names and names[0] == request.cursor.topic_name:
                first_partition = max(0, request.cursor.partition_index)
        left = max(1, min(request.response_partition_limit, _MOST_PARTITIONS))
        response = message.DescribeTopicPartitionsResponse()
        for name in names:
            if left <= 0:
                response.next_cursor = message.Cursor(topic_name=name, partition_index=first_partition)
                break
            topic = self._state.topic_by_name(name)
            if topic is None:
                response.topics.append(
                    message.DescribeTopicPartitionsResponseTopic(
                        error_code=ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, name=name
                    )
                )
                first_partition = 0
                continue
            first_partition = min(first_partition, topic.partitions)
            end = min(topic.partitions, first_partition + left)
            response.topics.append(self._describe(topic, range(first_partition, end)))
            left -= end - first_partition
            if end < topic.partitions:
                response.next_cursor = message.Cursor(topic_name=name, partition_index=end)
                break
            first_partition = 0
        return response

    def _describe(self, topic: Topic, partitions: range) -> message.DescribeTopicPartitionsResponseTopic:
        return message.DescribeTopicPartitionsResponseTopic(
            name=topic.name,
            topic_id=topic.topic_id,
            is_internal=topic.name in INTERNAL_TOPICS,
            partitions=[self._partition(topic, number) for number in partitions],
        )

    def _partition(self, topic: Topic, number: int) -> message.DescribeTopicPartitionsResponsePartition:
        lease = self._state.leader(PartitionId(topic.topic_id, number))
        if lease is None:
            return message.DescribeTopicPartitionsResponsePartition(
                error_code=ErrorCode.LEADER_NOT_AVAILABLE,
                partition_index=number,
                leader_id=-1,
                eligible_leader_replicas=[],
                last_known_elr=[],
            )
        replicas = self._state.replicas(lease)
        return message.DescribeTopicPartitionsResponsePartition(
            partition_index=number,
            leader_id=lease.session.node_id,
            leader_epoch=lease.leader_epoch,
            replica_nodes=replicas,
            isr_nodes=replicas,
            eligible_leader_replicas=[],  # the Java client cannot read null here
            last_known_elr=[],
        )
