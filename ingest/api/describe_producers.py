"""DescribeProducers v0: what the leaders of partitions know of their producers, as `kafka-transactions.sh` asks for.

Each with its epoch, its last sequence, when it appended last (the leader's clock), the coordinator epoch of the last
marker, and where its open transaction began here (-1: it has none).
"""

from typing import ClassVar

from infra.error_code import ErrorCode
from infra.errors import CauceError, Refused
from infra.partition import PartitionId
from infra.segment.extent import ProducerEntry
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import describe_producers as message
from ingest.leaders import Leaders
from ingest.produced import FindTopic


class DescribeProducersHandler(Handler):
    """Answers DescribeProducers for the partitions this node leads."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 0

    def __init__(self, leaders: Leaders, find_topic: FindTopic) -> None:
        self._leaders = leaders
        self._find_topic = find_topic

    async def handle(
        self, context: RequestContext, request: message.DescribeProducersRequest
    ) -> message.DescribeProducersResponse:
        return message.DescribeProducersResponse(
            topics=[
                message.TopicResponse(
                    name=topic.name,
                    partitions=[self._partition(topic.name, number) for number in topic.partition_indexes],
                )
                for topic in request.topics
            ]
        )

    def _partition(self, topic: str, number: int) -> message.PartitionResponse:
        try:
            target = self._find_topic(topic)
            if target is None or not 0 <= number < target.partitions:
                raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
            log = self._leaders.log(PartitionId(target.topic_id, number))
            log.check_ttl()
        except CauceError as error:
            return message.PartitionResponse(partition_index=number, error_code=error.code, error_message=error.message)
        return message.PartitionResponse(
            partition_index=number, active_producers=[_told(entry) for entry in log.producers()]
        )


def _told(entry: ProducerEntry) -> message.ProducerState:
    return message.ProducerState(
        producer_id=entry.producer_id,
        producer_epoch=entry.producer_epoch,
        last_sequence=entry.batches[-1][1] if entry.batches else -1,
        last_timestamp=entry.last_timestamp,
        coordinator_epoch=entry.coordinator_epoch,
        current_txn_start_offset=entry.transaction_first_offset,
    )
