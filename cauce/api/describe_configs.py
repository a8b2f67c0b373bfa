"""DescribeConfigs v1 to v4 for topics and brokers (KIP-226 sources and synonyms, KIP-569 types and documentation).

A broker resource with an empty name shows the cluster-wide dynamic configs. Broker loggers and other kinds of
resources are INVALID_REQUEST.
"""

from collections.abc import Sequence
from typing import ClassVar

from cauce.api.config_entries import ConfigRow, broker_config_rows, cluster_default_rows, topic_config_rows
from cauce.config_admin import BROKER, TOPIC, check_node
from infra.cluster.state import ClusterState
from infra.config_value import ConfigType
from infra.error_code import ErrorCode
from infra.errors import CauceError, Refused
from infra.ports import Durability
from infra.topic_config import check_topic_name
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import describe_configs as message


class DescribeConfigsHandler(Handler):
    """Answers DescribeConfigs from the cluster as this node last saw it; `static` are the node's own settings.

    `durability` is that of topics for which none is set.
    """

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 1
    max_version: ClassVar[int] = 4

    def __init__(self, state: ClusterState, static: Sequence[ConfigRow], durability: Durability) -> None:
        self._state = state
        self._static = static
        self._durability = durability

    async def handle(
        self, context: RequestContext, request: message.DescribeConfigsRequest
    ) -> message.DescribeConfigsResponse:
        return message.DescribeConfigsResponse(results=[self._one(resource, request) for resource in request.resources])

    def _one(
        self, resource: message.DescribeConfigsResource, request: message.DescribeConfigsRequest
    ) -> message.DescribeConfigsResult:
        result = message.DescribeConfigsResult(
            resource_type=resource.resource_type, resource_name=resource.resource_name, error_message=None
        )
        try:
            rows = self._rows(resource.resource_type, resource.resource_name)
        except CauceError as error:
            result.error_code, result.error_message = error.code, error.message
            return result
        keys = resource.configuration_keys
        result.configs = [
            _entry(row, request.include_synonyms, request.include_documentation)
            for row in sorted(rows, key=lambda row: row.name)
            if keys is None or row.name in keys
        ]
        return result

    def _rows(self, resource_type: int, name: str) -> Sequence[ConfigRow]:
        if resource_type == TOPIC:
            check_topic_name(name)
            topic = self._state.topic_by_name(name)
            if topic is None:
                raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"there is no topic {name!r}")
            return topic_config_rows(topic.configs, self._state.broker_configs, self._durability)
        if resource_type == BROKER:
            if not name:
                return cluster_default_rows(self._state.broker_configs)
            check_node(self._state, name)
            return broker_config_rows(self._state.broker_configs, self._static)
        raise Refused(ErrorCode.INVALID_REQUEST, "only topics (2) and brokers (4) have configs here")


def _entry(row: ConfigRow, synonyms: bool, documentation: bool) -> message.DescribeConfigsResourceResult:
    return message.DescribeConfigsResourceResult(
        name=row.name,
        value=row.value,
        read_only=row.read_only,
        config_source=row.source,
        is_sensitive=row.definition.type is ConfigType.PASSWORD,
        synonyms=[
            message.DescribeConfigsSynonym(name=name, value=value, source=source)
            for name, value, source in row.synonyms
        ]
        if synonyms
        else [],
        config_type=row.definition.type,
        documentation=row.definition.doc if documentation else None,
    )
