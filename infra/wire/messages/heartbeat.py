"""Heartbeat: a group member is alive, and hears of rebalances."""

from infra.wire.message import int16, int32, message, string

API_KEY = 12


@message("0-4", flexible="4+")
class HeartbeatRequest:
    """The question."""

    group_id: str = string()
    generation_id: int = int32()
    member_id: str = string()
    group_instance_id: str | None = string("3+", nullable="3+", default=None)


@message("0-4", flexible="4+")
class HeartbeatResponse:
    """The answer."""

    throttle_time_ms: int = int32("1+")
    error_code: int = int16()
