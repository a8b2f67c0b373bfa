"""JoinGroup v0 to v9: become, or stay, a member of a group; answered when the next generation is complete.

Versions: v1 rebalance timeout (v0 uses the session timeout), v4 a new dynamic member is first given an id and asked to
come back (MEMBER_ID_REQUIRED), v5 static members, v6 flexible, v7 protocol type and name may be null, v8 reason,
v9 skip_assignment for a static leader that is back. The members are listed for the leader only.
"""

from typing import ClassVar

from infra.clock import SYSTEM_CLOCK, Clock
from infra.error_code import ErrorCode
from infra.errors import CauceError
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import join_group as message
from ingest.coordinator.coordinator import GroupCoordinator
from ingest.coordinator.group_effects import JoinAnswer, JoinRequest
from ingest.coordinator.shard import answer_code


class JoinGroupHandler(Handler):
    """Answers JoinGroup for the groups this node coordinates."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 9

    def __init__(self, coordinator: GroupCoordinator, clock: Clock = SYSTEM_CLOCK) -> None:
        self._coordinator = coordinator
        self._clock = clock

    async def handle(self, context: RequestContext, request: message.JoinGroupRequest) -> message.JoinGroupResponse:
        try:
            answer = await self._coordinator.join(request.group_id, self._join(context, request))
        except CauceError as error:
            answer = JoinAnswer(error=answer_code(error), member_id=request.member_id)
        return _response(answer, context.api_version)

    def _join(self, context: RequestContext, request: message.JoinGroupRequest) -> JoinRequest:
        version = context.api_version
        return JoinRequest(
            member_id=request.member_id,
            instance_id=request.group_instance_id,
            client_id=context.client_id or "",
            client_host=f"/{context.peer}",
            session_timeout_ms=request.session_timeout_ms,
            rebalance_timeout_ms=request.rebalance_timeout_ms if version >= 1 else request.session_timeout_ms,
            protocol_type=request.protocol_type,
            protocols=tuple((protocol.name, bytes(protocol.metadata)) for protocol in request.protocols),
            fresh_id=str(self._clock.uuid()),
            require_known_member_id=version >= 4 and request.group_instance_id is None,
            support_skipping_assignment=version >= 9,
        )


def _response(answer: JoinAnswer, version: int) -> message.JoinGroupResponse:
    failed = answer.error is not ErrorCode.NONE
    name = answer.protocol_name if version >= 7 else answer.protocol_name or ""
    return message.JoinGroupResponse(
        error_code=answer.error,
        generation_id=answer.generation,
        protocol_type=None if failed else answer.protocol_type,
        protocol_name=name,
        leader=answer.leader,
        skip_assignment=answer.skip_assignment,
        member_id=answer.member_id,
        members=[
            message.JoinGroupResponseMember(
                member_id=member.member_id, group_instance_id=member.instance_id, metadata=member.metadata
            )
            for member in answer.members
        ],
    )
