"""ListConfigResources v0 to v1 (KIP-1142): the names of what has configs: topics and brokers.

v0 is the old list of client-metrics resources, of which there are none.
"""

from typing import ClassVar

from cauce.config_admin import BROKER, TOPIC
from infra.cluster.state import ClusterState
from infra.error_code import ErrorCode
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import list_config_resources as message

_KNOWN_TYPES = frozenset({TOPIC, BROKER, 8, 16, 32})  # broker loggers, client metrics and groups have none here


class ListConfigResourcesHandler(Handler):
    """Answers ListConfigResources from the cluster as this node last saw it."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 1

    def __init__(self, state: ClusterState) -> None:
        self._state = state

    async def handle(
        self, context: RequestContext, request: message.ListConfigResourcesRequest
    ) -> message.ListConfigResourcesResponse:
        if context.api_version == 0:
            return message.ListConfigResourcesResponse()
        wanted = set(request.resource_types) or _KNOWN_TYPES
        if not wanted <= _KNOWN_TYPES:
            return message.ListConfigResourcesResponse(error_code=ErrorCode.UNSUPPORTED_VERSION)
        names = [(TOPIC, topic.name) for topic in self._state.topics()]
        names += [(BROKER, str(node.session.node_id)) for node in self._state.brokers()]
        return message.ListConfigResourcesResponse(
            config_resources=[
                message.ConfigResource(resource_name=name, resource_type=kind) for kind, name in names if kind in wanted
            ]
        )
