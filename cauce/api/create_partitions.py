"""CreatePartitions v0 to v3: more partitions for a topic, or only validated. Every topic asked for is answered."""

from collections import Counter
from typing import ClassVar

from cauce.topic_admin import LEADERS_WITHIN_SECONDS, TopicAdmin
from infra.cluster.state import ClusterState
from infra.error_code import ErrorCode
from infra.errors import CauceError, Refused
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import create_partitions as message


class CreatePartitionsHandler(Handler):
    """Grows topics through the topic ledger; any node may."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 3

    def __init__(self, state: ClusterState, admin: TopicAdmin) -> None:
        self._state = state
        self._admin = admin

    async def handle(
        self, context: RequestContext, request: message.CreatePartitionsRequest
    ) -> message.CreatePartitionsResponse:
        times = Counter(topic.name for topic in request.topics)
        wait = min(max(request.timeout_ms, 0) / 1000, LEADERS_WITHIN_SECONDS)
        distinct = {topic.name: topic for topic in request.topics}.values()
        results = [await self._grow(topic, times[topic.name], request.validate_only, wait) for topic in distinct]
        return message.CreatePartitionsResponse(results=results)

    async def _grow(
        self, wanted: message.CreatePartitionsTopic, times: int, validate_only: bool, wait: float
    ) -> message.CreatePartitionsTopicResult:
        result = message.CreatePartitionsTopicResult(name=wanted.name, error_message=None)
        try:
            if times > 1:
                raise Refused(ErrorCode.INVALID_REQUEST, f"topic {wanted.name!r} stands {times} times in the request")
            topic = self._state.topic_by_name(wanted.name)
            if topic is None:
                raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"there is no topic {wanted.name!r}")
            assigned = None if wanted.assignments is None else [row.broker_ids for row in wanted.assignments]
            self._admin.check_partitions(topic, wanted.count, assigned)
            if not validate_only:
                await self._admin.add_partitions(topic, wanted.count, wait)
        except CauceError as error:
            result.error_code, result.error_message = error.code, error.message
        return result
