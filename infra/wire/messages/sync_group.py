"""SyncGroup: the leader of a generation hands out the assignment, each member gets its own."""

from infra.wire.message import array, int16, int32, message, octets, string, struct

API_KEY = 14


@struct
class SyncGroupRequestAssignment:
    """An element of `SyncGroupRequest.assignments`."""

    member_id: str = string()
    assignment: bytes = octets()


@message("0-5", flexible="4+")
class SyncGroupRequest:
    """The question."""

    group_id: str = string()
    generation_id: int = int32()
    member_id: str = string()
    group_instance_id: str | None = string("3+", nullable="3+", default=None)
    protocol_type: str | None = string("5+", nullable="5+", default=None)
    protocol_name: str | None = string("5+", nullable="5+", default=None)
    assignments: list[SyncGroupRequestAssignment] = array(SyncGroupRequestAssignment)


@message("0-5", flexible="4+")
class SyncGroupResponse:
    """The answer."""

    throttle_time_ms: int = int32("1+")
    error_code: int = int16()
    protocol_type: str | None = string("5+", nullable="5+", default=None)
    protocol_name: str | None = string("5+", nullable="5+", default=None)
    assignment: bytes = octets()
