"""LeaveGroup: members go; from v3 many at once, static ones by instance id."""

from infra.wire.message import array, int16, int32, message, string, struct

API_KEY = 13


@struct
class MemberIdentity:
    """An element of `LeaveGroupRequest.members`."""

    member_id: str = string()
    group_instance_id: str | None = string(nullable="0+", default=None)
    reason: str | None = string("5+", nullable="5+", default=None)


@message("0-5", flexible="4+")
class LeaveGroupRequest:
    """The question."""

    group_id: str = string()
    member_id: str = string("0-2")
    members: list[MemberIdentity] = array(MemberIdentity, "3+")


@struct
class MemberResponse:
    """An element of `LeaveGroupResponse.members`."""

    member_id: str = string()
    group_instance_id: str | None = string(nullable="0+")
    error_code: int = int16()


@message("0-5", flexible="4+")
class LeaveGroupResponse:
    """The answer."""

    throttle_time_ms: int = int32("1+")
    error_code: int = int16()
    members: list[MemberResponse] = array(MemberResponse, "3+")
