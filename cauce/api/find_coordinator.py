"""FindCoordinator v0 to v6: which node leads the partition of an internal topic that a key belongs to.

The internal topic is created when it is first asked for. Versions: v1 key types, v3 flexible, v4 several keys at once,
v5 and v6 change nothing here. A key type without coordinators is INVALID_REQUEST, so that clients fail at once.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import ClassVar, Protocol

from infra.error_code import ErrorCode
from infra.errors import CauceError
from infra.partition import Lease, PartitionId
from infra.ports import KnownTopic
from infra.view.port import LiveSession
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import find_coordinator as message
from ingest.coordinator.placement import partition_of_key

GROUP, TRANSACTION = 0, 1  # key types
COORDINATORS: Mapping[int, str] = {GROUP: "__consumer_offsets", TRANSACTION: "__transaction_state"}

EnsureTopic = Callable[[str], Awaitable[KnownTopic]]


class LeadersAndNodes(Protocol):
    """The part of the cluster's state that is needed here."""

    def leader(self, partition: PartitionId) -> Lease | None: ...
    def nodes(self) -> list[LiveSession]: ...
    def behind(self) -> list[int]: ...


class FindCoordinatorHandler(Handler):
    """Answers FindCoordinator with the endpoint of the listener asked."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 6

    def __init__(self, state: LeadersAndNodes, ensure_internal_topic: EnsureTopic) -> None:
        self._state = state
        self._ensure_internal_topic = ensure_internal_topic

    async def handle(
        self, context: RequestContext, request: message.FindCoordinatorRequest
    ) -> message.FindCoordinatorResponse:
        keys = request.coordinator_keys if context.api_version >= 4 else [request.key]
        found = [await self._find(key, request.key_type, context.listener) for key in keys]
        if context.api_version >= 4:
            return message.FindCoordinatorResponse(coordinators=found)
        (one,) = found
        return message.FindCoordinatorResponse(
            error_code=one.error_code,
            error_message=one.error_message,
            node_id=one.node_id,
            host=one.host,
            port=one.port,
        )

    async def _find(self, key: str, key_type: int, listener: str) -> message.Coordinator:
        name = COORDINATORS.get(key_type)
        if name is None:
            return _failed(key, ErrorCode.INVALID_REQUEST, f"there are no coordinators of key type {key_type}")
        behind = self._state.behind() if key_type == TRANSACTION else []
        if behind:
            why = f"transactions wait until nodes of an earlier release are upgraded: {behind}"
            return _failed(key, ErrorCode.COORDINATOR_NOT_AVAILABLE, why)
        try:
            topic = await self._ensure_internal_topic(name)
        except CauceError as error:
            return _failed(key, ErrorCode.COORDINATOR_NOT_AVAILABLE, error.message)
        return self._at(key, PartitionId(topic.topic_id, partition_of_key(key, topic.partitions)), listener)

    def _at(self, key: str, partition: PartitionId, listener: str) -> message.Coordinator:
        lease = self._state.leader(partition)
        if lease is None:
            return _failed(key, ErrorCode.COORDINATOR_NOT_AVAILABLE, "its partition has no leader at the moment")
        node = next((node for node in self._state.nodes() if node.session == lease.session), None)
        endpoint = None if node is None else node.endpoints.get(listener)
        if endpoint is None:
            return _failed(key, ErrorCode.COORDINATOR_NOT_AVAILABLE, f"its node has no listener {listener!r}")
        host, _, port = endpoint.rpartition(":")
        return message.Coordinator(
            key=key, node_id=lease.session.node_id, host=host.strip("[]"), port=int(port), error_message=None
        )


def _failed(key: str, error: ErrorCode, why: str) -> message.Coordinator:
    return message.Coordinator(key=key, node_id=-1, host="", port=-1, error_code=error, error_message=why)
