"""OffsetForLeaderEpoch v2 to v4: where a leader epoch ends, so that a client can tell whether its log was truncated.

v3 brings replica_id, v4 is flexible. An epoch that is not known answers epoch -1 and end offset -1, without an error.
"""

from typing import ClassVar

from infra.error_code import ErrorCode
from infra.errors import CauceError, Refused
from infra.partition import PartitionId
from infra.ports import TailSource, TopicDirectory
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import offset_for_leader_epoch as message
from reader.epochs import check_leader_epoch, end_of_epoch


class OffsetForLeaderEpochHandler(Handler):
    """Answers OffsetForLeaderEpoch for the partitions this node leads."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 2
    max_version: ClassVar[int] = 4

    def __init__(self, topics: TopicDirectory, tails: TailSource) -> None:
        self._topics = topics
        self._tails = tails

    async def handle(
        self, context: RequestContext, request: message.OffsetForLeaderEpochRequest
    ) -> message.OffsetForLeaderEpochResponse:
        response = message.OffsetForLeaderEpochResponse()
        for topic in request.topics:
            answered = message.OffsetForLeaderTopicResult(topic=topic.topic)
            answered.partitions = [self._answer(topic.topic, partition) for partition in topic.partitions]
            response.topics.append(answered)
        return response

    def _answer(self, name: str, wanted: message.OffsetForLeaderPartition) -> message.EpochEndOffset:
        answer = message.EpochEndOffset(partition=wanted.partition)
        try:
            topic = self._topics.topic_by_name(name)
            if topic is None or not 0 <= wanted.partition < topic.partitions:
                raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
            log = self._tails.log(PartitionId(topic.topic_id, wanted.partition))
            check_leader_epoch(log, wanted.current_leader_epoch)
            log.check_ttl()
            answer.leader_epoch, answer.end_offset = end_of_epoch(log, wanted.leader_epoch)
        except CauceError as error:
            answer.error_code = error.code
        return answer
