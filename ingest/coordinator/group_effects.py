"""What goes into a consumer group and what comes out of it: requests, answers, and things to carry out.

Values only. A ticket stands for a parked request: whoever calls the group hands one in and gets it back, once, in
the effect that answers it.
"""

from dataclasses import dataclass
from typing import TypeAlias

from infra.error_code import ErrorCode

Ticket: TypeAlias = object


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRequest:
    """A JoinGroup, free of its version."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocol_type: str
    protocols: tuple[tuple[str, bytes], ...]  # (name, metadata), preferred first
    fresh_id: str  # what makes a new member id unique
    require_known_member_id: bool  # v4+
    support_skipping_assignment: bool = False  # v9+


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRequest:
    """A SyncGroup, free of its version; protocol type and name are None before v5."""

    member_id: str
    instance_id: str | None
    generation: int
    protocol_type: str | None = None
    protocol_name: str | None = None
    assignments: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class JoinedMember:
    """A member as the leader is told of it: metadata is what it said under the chosen protocol."""

    member_id: str
    instance_id: str | None
    metadata: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinAnswer:
    """What a JoinGroup is answered."""

    error: ErrorCode = ErrorCode.NONE
    member_id: str = ""
    generation: int = -1
    protocol_type: str | None = None
    protocol_name: str | None = None
    leader: str = ""
    members: tuple[JoinedMember, ...] = ()
    skip_assignment: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncAnswer:
    """What a SyncGroup is answered."""

    error: ErrorCode = ErrorCode.NONE
    protocol_type: str | None = None
    protocol_name: str | None = None
    assignment: bytes = b""


@dataclass(frozen=True, slots=True)
class MemberSnapshot:
    """One member as it is stored; subscription is its metadata under the chosen protocol."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    rebalance_timeout_ms: int
    session_timeout_ms: int
    subscription: bytes
    assignment: bytes


@dataclass(frozen=True, slots=True)
class GroupSnapshot:
    """A group as it is stored: enough to go on after a restart without a rebalance."""

    protocol_type: str
    generation: int
    protocol: str | None
    leader: str | None
    state_since_ms: int  # wall clock; -1 when not known
    members: tuple[MemberSnapshot, ...]


@dataclass(frozen=True, slots=True)
class AnswerJoin:
    """Answer the parked JoinGroup behind the ticket."""

    ticket: Ticket
    answer: JoinAnswer


@dataclass(frozen=True, slots=True)
class AnswerSync:
    """Answer the parked SyncGroup behind the ticket."""

    ticket: Ticket
    answer: SyncAnswer


@dataclass(frozen=True, slots=True)
class StoreGroup:
    """Write the snapshot durably, then call `ConsumerGroup.stored(store_id, …)`."""

    store_id: int
    snapshot: GroupSnapshot


Effect: TypeAlias = AnswerJoin | AnswerSync | StoreGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLimits:
    """Limits of every group, with Kafka's defaults."""

    initial_rebalance_delay_ms: int = 3_000  # group.initial.rebalance.delay.ms
    min_session_timeout_ms: int = 6_000  # group.min.session.timeout.ms
    max_session_timeout_ms: int = 1_800_000  # group.max.session.timeout.ms
    max_size: int = 2_147_483_647  # group.max.size
    new_member_join_timeout_ms: int = 300_000  # a member that never heard its id cannot heartbeat: drop it after this
