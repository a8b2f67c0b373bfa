"""JoinGroup: become or stay a member of a consumer group's next generation."""

from infra.wire.message import array, boolean, int16, int32, message, octets, string, struct

API_KEY = 11


@struct
class JoinGroupRequestProtocol:
    """An element of `JoinGroupRequest.protocols`."""

    name: str = string()
    metadata: bytes = octets()


@message("0-9", flexible="6+")
class JoinGroupRequest:
    """The question."""

    group_id: str = string()
    session_timeout_ms: int = int32()
    rebalance_timeout_ms: int = int32("1+", default=-1)
    member_id: str = string()
    group_instance_id: str | None = string("5+", nullable="5+", default=None)
    protocol_type: str = string()
    protocols: list[JoinGroupRequestProtocol] = array(JoinGroupRequestProtocol)
    reason: str | None = string("8+", nullable="8+", default=None)


@struct
class JoinGroupResponseMember:
    """An element of `JoinGroupResponse.members`."""

    member_id: str = string()
    group_instance_id: str | None = string("5+", nullable="5+", default=None)
    metadata: bytes = octets()


@message("0-9", flexible="6+")
class JoinGroupResponse:
    """The answer."""

    throttle_time_ms: int = int32("2+")
    error_code: int = int16()
    generation_id: int = int32(default=-1)
    protocol_type: str | None = string("7+", nullable="7+", default=None)
    protocol_name: str | None = string(nullable="7+")
    leader: str = string()
    skip_assignment: bool = boolean("9+")
    member_id: str = string()
    members: list[JoinGroupResponseMember] = array(JoinGroupResponseMember)
