"""DeleteGroups: delete empty consumer groups with their offsets."""

from infra.wire.message import array, int16, int32, message, string, struct

API_KEY = 42


@message("0-2", flexible="2+")
class DeleteGroupsRequest:
    """The question."""

    groups_names: list[str] = array("string")


@struct
class DeletableGroupResult:
    """An element of `DeleteGroupsResponse.results`."""

    group_id: str = string()
    error_code: int = int16()


@message("0-2", flexible="2+")
class DeleteGroupsResponse:
    """The answer."""

    throttle_time_ms: int = int32()
    results: list[DeletableGroupResult] = array(DeletableGroupResult)
