"""ListGroups: the groups a node coordinates."""

from infra.wire.message import array, int16, int32, message, string, struct

API_KEY = 16


@message("0-5", flexible="3+")
class ListGroupsRequest:
    """The question."""

    states_filter: list[str] = array("string", "4+")
    types_filter: list[str] = array("string", "5+")


@struct
class ListedGroup:
    """An element of `ListGroupsResponse.groups`."""

    group_id: str = string()
    protocol_type: str = string()
    group_state: str = string("4+")
    group_type: str = string("5+")


@message("0-5", flexible="3+")
class ListGroupsResponse:
    """The answer."""

    throttle_time_ms: int = int32("1+")
    error_code: int = int16()
    groups: list[ListedGroup] = array(ListedGroup)
