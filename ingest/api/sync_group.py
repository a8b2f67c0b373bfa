"""SyncGroup v0 to v5: the leader hands in the assignments, every member receives its own, once they are durable.

Versions: v3 static members, v4 flexible, v5 the protocol type and name that the member believes in must be given.
"""

from typing import ClassVar

from infra.error_code import ErrorCode
from infra.errors import CauceError
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import sync_group as message
from ingest.coordinator.coordinator import GroupCoordinator
from ingest.coordinator.group_effects import SyncAnswer, SyncRequest
from ingest.coordinator.shard import answer_code


class SyncGroupHandler(Handler):
    """Answers SyncGroup for the groups this node coordinates."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 5

    def __init__(self, coordinator: GroupCoordinator) -> None:
        self._coordinator = coordinator

    async def handle(self, context: RequestContext, request: message.SyncGroupRequest) -> message.SyncGroupResponse:
        if context.api_version >= 5 and (request.protocol_type is None or request.protocol_name is None):
            return message.SyncGroupResponse(error_code=ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
        try:
            answer = await self._coordinator.sync(request.group_id, _sync(request))
        except CauceError as error:
            answer = SyncAnswer(error=answer_code(error))
        return message.SyncGroupResponse(
            error_code=answer.error,
            protocol_type=answer.protocol_type,
            protocol_name=answer.protocol_name,
            assignment=answer.assignment,
        )


def _sync(request: message.SyncGroupRequest) -> SyncRequest:
    return SyncRequest(
        member_id=request.member_id,
        instance_id=request.group_instance_id,
        generation=request.generation_id,
        protocol_type=request.protocol_type,
        protocol_name=request.protocol_name,
        assignments=tuple((given.member_id, bytes(given.assignment)) for given in request.assignments),
    )
