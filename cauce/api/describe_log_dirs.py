"""DescribeLogDirs v1 to v4: the size of what this node leads, in one log dir that is the bucket.

v3 has a top-level error code, v4 the size of the volume, which a bucket does not have (-1).
"""

from collections.abc import Iterable
from typing import ClassVar

from infra.cluster.state import ClusterState, Topic
from infra.errors import NotLeader
from infra.partition import PartitionId
from infra.ports import TailSource
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import describe_log_dirs as message


class DescribeLogDirsHandler(Handler):
    """Answers DescribeLogDirs for the partitions this node leads."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 1
    max_version: ClassVar[int] = 4

    def __init__(self, state: ClusterState, tails: TailSource, bucket: str) -> None:
        self._state = state
        self._tails = tails
        self._bucket = bucket

    async def handle(
        self, context: RequestContext, request: message.DescribeLogDirsRequest
    ) -> message.DescribeLogDirsResponse:
        result = message.DescribeLogDirsResult(log_dir=self._bucket)
        for topic, partitions in self._wanted(request):
            rows = [row for number in partitions if (row := self._partition(topic, number))]
            if rows:
                result.topics.append(message.DescribeLogDirsTopic(name=topic.name, partitions=rows))
        return message.DescribeLogDirsResponse(results=[result])

    def _wanted(self, request: message.DescribeLogDirsRequest) -> Iterable[tuple[Topic, Iterable[int]]]:
        if request.topics is None:
            for topic in self._state.topics():
                yield topic, range(topic.partitions)
            return
        for wanted in request.topics:
            known = self._state.topic_by_name(wanted.topic)
            if known is not None:
                yield known, wanted.partitions

    def _partition(self, topic: Topic, number: int) -> message.DescribeLogDirsPartition | None:
        try:
            log = self._tails.log(PartitionId(topic.topic_id, number))
        except NotLeader:
            return None
        segments, extents = log.record_segments_from(log.log_start_offset), log.extents_from(log.log_start_offset)
        flushed = sum(segment.size for segment in segments) + sum(extent.size for extent in extents)
        flushed_to = max((extent.last_offset + 1 for extent in extents), default=log.records_end)
        offset = max(log.tail_start_offset, flushed_to)
        return message.DescribeLogDirsPartition(
            partition_index=number,
            partition_size=flushed + log.tail_bytes(offset, log.log_end_offset, 2**62),
            offset_lag=0,
        )
