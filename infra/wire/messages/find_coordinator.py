"""FindCoordinator: the node that coordinates a group or a transactional id; from v4 many at once."""

from infra.wire.message import array, int8, int16, int32, message, string, struct

API_KEY = 10


@message("0-6", flexible="3+")
class FindCoordinatorRequest:
    """The question."""

    key: str = string("0-3")
    key_type: int = int8("1+")
    coordinator_keys: list[str] = array("string", "4+")


@struct
class Coordinator:
    """An element of `FindCoordinatorResponse.coordinators`."""

    key: str = string()
    node_id: int = int32()
    host: str = string()
    port: int = int32()
    error_code: int = int16()
    error_message: str | None = string(nullable="0+")


@message("0-6", flexible="3+")
class FindCoordinatorResponse:
    """The answer."""

    throttle_time_ms: int = int32("1+")
    error_code: int = int16("0-3")
    error_message: str | None = string("1-3", nullable="1-3")
    node_id: int = int32("0-3")
    host: str = string("0-3")
    port: int = int32("0-3")
    coordinators: list[Coordinator] = array(Coordinator, "4+")
