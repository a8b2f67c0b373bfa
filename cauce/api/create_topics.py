"""CreateTopics v2 to v7: with assignments and configs validated, or validated only.

Answers once the partitions are led, or after timeout_ms at the latest: the topic exists either way. v4 takes -1 for the
cluster's defaults, v5 answers the configs, v7 the topic id. A name that stands twice in a request is INVALID_REQUEST.
"""

import asyncio
from collections import Counter
from typing import ClassVar

from cauce.api.config_entries import topic_config_rows
from cauce.topic_admin import LEADERS_WITHIN_SECONDS, NewTopic, TopicAdmin
from infra.cluster.state import ClusterState, Topic
from infra.error_code import ErrorCode
from infra.errors import CauceError
from infra.ports import Durability
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import create_topics as message


class CreateTopicsHandler(Handler):
    """Creates topics through the topic ledger; any node may."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 2
    max_version: ClassVar[int] = 7

    def __init__(self, state: ClusterState, admin: TopicAdmin, durability: Durability) -> None:
        """`durability` is that of topics for which none is set."""
        self._state = state
        self._admin = admin
        self._durability = durability

    async def handle(
        self, context: RequestContext, request: message.CreateTopicsRequest
    ) -> message.CreateTopicsResponse:
        times = Counter(topic.name for topic in request.topics)
        wait = min(max(request.timeout_ms, 0) / 1000, LEADERS_WITHIN_SECONDS)
        results = await asyncio.gather(
            *(self._create(topic, request.validate_only, wait) for topic in request.topics if times[topic.name] == 1)
        )
        repeated = [
            message.CreatableTopicResult(
                name=name,
                error_code=ErrorCode.INVALID_REQUEST,
                error_message=f"topic {name!r} stands {count} times in the request",
            )
            for name, count in times.items()
            if count > 1
        ]
        return message.CreateTopicsResponse(topics=[*results, *repeated])

    async def _create(
        self, wanted: message.CreatableTopic, validate_only: bool, wait: float
    ) -> message.CreatableTopicResult:
        result = message.CreatableTopicResult(name=wanted.name, error_message=None)
        new = NewTopic(
            wanted.name,
            wanted.num_partitions,
            wanted.replication_factor,
            {row.partition_index: row.broker_ids for row in wanted.assignments} or None,
            {config.name: config.value for config in wanted.configs},
        )
        try:
            if validate_only:
                result.num_partitions = self._admin.check(new)
                configs = {name: text for name, text in (new.configs or {}).items() if text is not None}
            else:
                topic: Topic = await self._admin.create(new, wait)
                result.topic_id, result.num_partitions, configs = topic.topic_id, topic.partitions, dict(topic.configs)
        except CauceError as error:
            result.error_code, result.error_message = error.code, error.message
            return result
        result.replication_factor = max(1, wanted.replication_factor)
        result.configs = [
            message.CreatableTopicConfigs(
                name=row.name, value=row.value, read_only=False, config_source=row.source, is_sensitive=False
            )
            for row in topic_config_rows(configs, self._state.broker_configs, self._durability)
        ]
        return result
