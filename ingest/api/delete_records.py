"""DeleteRecords v0 to v2: raises the log start offset of led partitions.

Offset -1 means the high watermark. The manifest ledger has the new log start offset before readers see it and before
the answer. An offset at or below the log start offset changes nothing. Refused: internal topics, and topics that are
only compacted (POLICY_VIOLATION), as in Kafka.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar

from infra.error_code import ErrorCode
from infra.errors import CauceError, Refused
from infra.partition import PartitionId
from infra.topic_config import INTERNAL_TOPICS
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import delete_records as message
from ingest.leaders import Leaders
from ingest.partition_log import PartitionLog
from ingest.produced import FindTopic

RaiseLogStart = Callable[[PartitionLog, int], Awaitable[None]]
"""Makes a log start offset durable in the manifest ledger, then the log's own. Raises `Unavailable`."""

_AT_ONCE = 16  # ledgers changed at the same time by one request: others need the store too
_HIGH_WATERMARK = -1


class DeleteRecordsHandler(Handler):
    """Answers DeleteRecords for the partitions this node leads."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 2

    def __init__(self, leaders: Leaders, find_topic: FindTopic, raise_log_start: RaiseLogStart) -> None:
        self._leaders = leaders
        self._find_topic = find_topic
        self._raise_log_start = raise_log_start

    async def handle(
        self, context: RequestContext, request: message.DeleteRecordsRequest
    ) -> message.DeleteRecordsResponse:
        slots = asyncio.Semaphore(_AT_ONCE)
        deadline = asyncio.get_running_loop().time() + max(0, request.timeout_ms) / 1000
        response = message.DeleteRecordsResponse()
        work = []
        for topic in request.topics:
            results = [
                message.DeleteRecordsPartitionResult(partition_index=wanted.partition_index, low_watermark=-1)
                for wanted in topic.partitions
            ]
            response.topics.append(message.DeleteRecordsTopicResult(name=topic.name, partitions=results))
            for wanted, result in zip(topic.partitions, results, strict=True):
                work.append(self._answer(topic.name, wanted.offset, result, slots, deadline))
        await asyncio.gather(*work)
        return response

    async def _answer(
        self,
        topic: str,
        offset: int,
        result: message.DeleteRecordsPartitionResult,
        slots: asyncio.Semaphore,
        deadline: float,
    ) -> None:
        try:
            async with asyncio.timeout_at(deadline), slots:
                result.low_watermark = await self._delete(self._find(topic, result.partition_index), offset)
        except TimeoutError:
            result.error_code = ErrorCode.REQUEST_TIMED_OUT
        except CauceError as error:
            result.error_code = error.code

    def _find(self, topic: str, partition: int) -> PartitionLog:
        target = self._find_topic(topic)
        if target is None or not 0 <= partition < target.partitions:
            raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        if topic in INTERNAL_TOPICS:
            raise Refused(ErrorCode.INVALID_TOPIC_EXCEPTION)
        if "delete" not in target.settings.cleanup_policy:
            raise Refused(ErrorCode.POLICY_VIOLATION)
        return self._leaders.log(PartitionId(target.topic_id, partition))

    async def _delete(self, log: PartitionLog, offset: int) -> int:
        log.check_ttl()
        wanted = log.high_watermark if offset == _HIGH_WATERMARK else offset
        if not 0 <= wanted <= log.high_watermark:
            raise Refused(ErrorCode.OFFSET_OUT_OF_RANGE)
        if wanted > log.log_start_offset:
            await self._raise_log_start(log, wanted)
        return log.log_start_offset
