"""ListOffsets v1 to v8.

Timestamps -1 (latest: the high watermark, with read_committed the last stable offset), -2 (earliest), -3 (greatest
timestamp, v7), -4 (earliest local, v8: the log start offset, as a node keeps nothing that matters on its disk), else
the first record at or after that time. Nothing found: offset -1, timestamp -1, no error. Answers only within the
session's TTL. A partition named twice is INVALID_REQUEST.
"""

import asyncio
from collections import Counter
from typing import ClassVar

from infra.error_code import ErrorCode
from infra.errors import CauceError, NotLeader, Refused
from infra.partition import PartitionId
from infra.ports import LogReader, TailSource, TopicDirectory
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import list_offsets as message
from reader.epochs import check_leader_epoch, epoch_at
from reader.faults import code_of
from reader.offset_lookup import OffsetLookup

_LATEST, _EARLIEST, _MAX_TIMESTAMP, _EARLIEST_LOCAL = -1, -2, -3, -4
_FIRST_VERSION = {_LATEST: 1, _EARLIEST: 1, _MAX_TIMESTAMP: 7, _EARLIEST_LOCAL: 8}
_NOTHING = (-1, -1)
_SIDE_BY_SIDE = 16  # look-ups of one request under way: each may hold a decoded batch


class ListOffsetsHandler(Handler):
    """Answers ListOffsets for the partitions this node leads."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 1
    max_version: ClassVar[int] = 8

    def __init__(self, topics: TopicDirectory, tails: TailSource, lookup: OffsetLookup) -> None:
        self._topics = topics
        self._tails = tails
        self._lookup = lookup

    async def handle(self, context: RequestContext, request: message.ListOffsetsRequest) -> message.ListOffsetsResponse:
        named = Counter((topic.name, one.partition_index) for topic in request.topics for one in topic.partitions)
        slots = asyncio.Semaphore(_SIDE_BY_SIDE)

        async def answer(name: str, one: message.ListOffsetsPartition) -> message.ListOffsetsPartitionResponse:
            if named[name, one.partition_index] > 1:
                return message.ListOffsetsPartitionResponse(
                    partition_index=one.partition_index, error_code=ErrorCode.INVALID_REQUEST
                )
            async with slots:
                return await self._answer(name, one, request.isolation_level, context.api_version)

        response = message.ListOffsetsResponse()
        for topic in request.topics:
            partitions = await asyncio.gather(*(answer(topic.name, one) for one in topic.partitions))
            response.topics.append(message.ListOffsetsTopicResponse(name=topic.name, partitions=partitions))
        return response

    async def _answer(
        self, name: str, wanted: message.ListOffsetsPartition, isolation_level: int, version: int
    ) -> message.ListOffsetsPartitionResponse:
        answer = message.ListOffsetsPartitionResponse(partition_index=wanted.partition_index)
        try:
            topic = self._topics.topic_by_name(name)
            if topic is None or not 0 <= wanted.partition_index < topic.partitions:
                raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
            _check_timestamp(wanted.timestamp, version)
            log = self._tails.log(PartitionId(topic.topic_id, wanted.partition_index))
            check_leader_epoch(log, wanted.current_leader_epoch)
            upto = log.last_stable_offset if isolation_level == 1 else log.high_watermark
            answer.offset, answer.timestamp = await self._find(log, wanted.timestamp, upto)
            if log.closed:
                raise NotLeader(f"this node leads {log.partition} no more")
            log.check_ttl()
            if answer.offset >= 0:
                latest = wanted.timestamp == _LATEST
                answer.leader_epoch = log.leader_epoch if latest else epoch_at(log.epochs, answer.offset)
        except CauceError as error:
            answer.error_code, answer.offset, answer.timestamp = code_of(error), -1, -1
        return answer

    async def _find(self, log: LogReader, timestamp: int, upto: int) -> tuple[int, int]:
        if timestamp == _LATEST:
            return upto, -1
        if timestamp in (_EARLIEST, _EARLIEST_LOCAL):
            return log.log_start_offset, -1
        if timestamp == _MAX_TIMESTAMP:
            found = await self._lookup.greatest(log, upto)
        else:
            found = await self._lookup.at_or_after(log, timestamp, upto)
        return (found.offset, found.timestamp) if found else _NOTHING


def _check_timestamp(timestamp: int, version: int) -> None:
    if timestamp < 0 and version < _FIRST_VERSION.get(timestamp, version + 1):
        raise Refused(ErrorCode.UNSUPPORTED_VERSION, f"timestamp {timestamp} means nothing in v{version}")
