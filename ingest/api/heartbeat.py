"""Heartbeat v0 to v4: a member is alive; REBALANCE_IN_PROGRESS asks it to join again. v3 static members."""

from typing import ClassVar

from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import heartbeat as message
from ingest.coordinator.coordinator import GroupCoordinator


class HeartbeatHandler(Handler):
    """Answers Heartbeat for the groups this node coordinates."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 4

    def __init__(self, coordinator: GroupCoordinator) -> None:
        self._coordinator = coordinator

    async def handle(self, context: RequestContext, request: message.HeartbeatRequest) -> message.HeartbeatResponse:
        error = self._coordinator.heartbeat(
            request.group_id, request.member_id, request.group_instance_id, request.generation_id
        )
        return message.HeartbeatResponse(error_code=error)
