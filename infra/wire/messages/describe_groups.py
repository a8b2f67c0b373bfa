"""DescribeGroups: state and members of classic consumer groups."""

from infra.wire.message import array, boolean, int16, int32, message, octets, string, struct

API_KEY = 15


@message("0-6", flexible="5+")
class DescribeGroupsRequest:
    """The question."""

    groups: list[str] = array("string")
    include_authorized_operations: bool = boolean("3+")


@struct
class DescribedGroupMember:
    """An element of `DescribedGroup.members`."""

    member_id: str = string()
    group_instance_id: str | None = string("4+", nullable="4+", default=None)
    client_id: str = string()
    client_host: str = string()
    member_metadata: bytes = octets()
    member_assignment: bytes = octets()


@struct
class DescribedGroup:
    """An element of `DescribeGroupsResponse.groups`."""

    error_code: int = int16()
    error_message: str | None = string("6+", nullable="6+", default=None)
    group_id: str = string()
    group_state: str = string()
    protocol_type: str = string()
    protocol_data: str = string()
    members: list[DescribedGroupMember] = array(DescribedGroupMember)
    authorized_operations: int = int32("3+", default=-(2**31))


@message("0-6", flexible="5+")
class DescribeGroupsResponse:
    """The answer."""

    throttle_time_ms: int = int32("1+")
    groups: list[DescribedGroup] = array(DescribedGroup)
