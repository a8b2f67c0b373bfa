"""DescribeCluster v0 to v1: nodes, controller, cluster id. v1 brings endpoint types; only brokers (1) exist."""

from typing import ClassVar

from infra.cluster.state import ClusterState
from infra.error_code import ErrorCode
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import describe_cluster as message

_BROKERS = 1


class DescribeClusterHandler(Handler):
    """Answers DescribeCluster from the cluster as this node last saw it."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 1

    def __init__(self, state: ClusterState) -> None:
        self._state = state

    async def handle(
        self, context: RequestContext, request: message.DescribeClusterRequest
    ) -> message.DescribeClusterResponse:
        if context.api_version >= 1 and request.endpoint_type != _BROKERS:
            return message.DescribeClusterResponse(
                error_code=ErrorCode.UNSUPPORTED_VERSION,
                error_message="there are no controllers to list; ask for brokers (endpoint type 1)",
            )
        response = message.DescribeClusterResponse(
            cluster_id=self._state.cluster_id, controller_id=self._state.controller_id, error_message=None
        )
        for node in self._state.brokers():
            endpoint = node.endpoints.get(context.listener)
            if endpoint is None:
                continue
            host, _, port = endpoint.rpartition(":")
            response.brokers.append(
                message.DescribeClusterBroker(
                    broker_id=node.session.node_id, host=host.strip("[]"), port=int(port), rack=node.rack
                )
            )
        return response
