"""LeaveGroup v0 to v5: members go; the others rebalance at once instead of after a session timeout.

Versions: up to v2 one member, its error is the answer's; v3 several, each with its error, a static one by its
instance id alone; v4 flexible; v5 reason.
"""

from typing import ClassVar

from infra.errors import CauceError
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import leave_group as message
from ingest.coordinator.coordinator import GroupCoordinator
from ingest.coordinator.shard import answer_code


class LeaveGroupHandler(Handler):
    """Answers LeaveGroup for the groups this node coordinates."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 5

    def __init__(self, coordinator: GroupCoordinator) -> None:
        self._coordinator = coordinator

    async def handle(self, context: RequestContext, request: message.LeaveGroupRequest) -> message.LeaveGroupResponse:
        single = context.api_version < 3
        leaving = [(member.member_id, member.group_instance_id) for member in request.members]
        try:
            errors = self._coordinator.leave(request.group_id, [(request.member_id, None)] if single else leaving)
        except CauceError as error:
            return message.LeaveGroupResponse(error_code=answer_code(error))
        if single:
            return message.LeaveGroupResponse(error_code=errors[0])
        return message.LeaveGroupResponse(
            members=[
                message.MemberResponse(member_id=member_id, group_instance_id=instance_id, error_code=error)
                for (member_id, instance_id), error in zip(leaving, errors, strict=True)
            ]
        )
