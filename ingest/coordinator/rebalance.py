"""How a group gets from one generation to the next: the waiting, the deadlines, the bookkeeping of parked requests.

The base of `ConsumerGroup` (group.py), which decides what single requests are answered. No I/O and no clock either.
Deadlines are kept lazily: `wake_at_ms` is never later than the earliest of them, but may be earlier, so that a
heartbeat costs the same in a group of a thousand.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from infra.error_code import ErrorCode
from ingest.coordinator.group_effects import (
    AnswerJoin,
    AnswerSync,
    Effect,
    GroupLimits,
    GroupSnapshot,
    JoinAnswer,
    JoinedMember,
    JoinRequest,
    StoreGroup,
    SyncAnswer,
    Ticket,
)
from ingest.coordinator.group_state import TRANSITIONS, GroupState, ImpossibleTransition
from ingest.coordinator.membership import Member, Membership
from ingest.coordinator.subscription import CONSUMER_PROTOCOL_TYPE, all_subscribed_topics


@dataclass(frozen=True, slots=True)
class StaticSwap:
    """A static member's new member id is being stored; its JoinGroup waits for that."""

    old: Member
    new: Member
    ticket: Ticket
    old_leader: str
    support_skipping_assignment: bool


@dataclass(frozen=True, slots=True)
class AssignmentStore:
    """The leader's assignment of one generation is being stored; every SyncGroup waits for that."""

    generation: int
    assignments: Mapping[str, bytes]  # of every member


Waiting: TypeAlias = StaticSwap | AssignmentStore | None


class Rebalance:
    """State, members and deadlines of a group, and the steps of a rebalance."""

    def __init__(self, group_id: str, limits: GroupLimits) -> None:
        self.group_id = group_id
        self.limits = limits
        self.state = GroupState.EMPTY
        self.state_since_ms = -1  # wall clock: -1 after a transition, until the caller, who has a clock, fills it in
        self.generation = 0
        self.protocol_type: str | None = None
        self.protocol: str | None = None  # the chosen one
        self.topics: frozenset[str] | None = None  # subscribed by its members, None when that is not known
        self.members = Membership()
        self.wake_at_ms: int | None = None
        self._pending: dict[str, int] = {}  # member ids given out that have not joined yet → when they lapse
        self._pending_sync: set[str] = set()  # members of this generation that have not synced yet
        self._join_ends_at: int | None = None
        self._sync_ends_at: int | None = None
        self._initial_left_ms: int | None = None  # not None while an empty group's first members are waited for
        self._new_member_added = False
        self._stores: dict[int, Waiting] = {}
        self._last_store_id = 0
        self._effects: list[Effect] = []

    def __repr__(self) -> str:
        return f"<group {self.group_id!r} {self.state.value} generation {self.generation}, {len(self.members)} members>"

    @property
    def idle(self) -> bool:
        """Nobody is in it, nobody is about to be."""
        return not len(self.members) and not self._pending and self.state in (GroupState.EMPTY, GroupState.DEAD)

    def snapshot(self, assignments: Mapping[str, bytes] | None = None) -> GroupSnapshot:
        """The group as it is stored, with the assignments it has or those that are to come."""
        return GroupSnapshot(
            self.protocol_type or "",
            self.generation,
            self.protocol,
            self.members.leader,
            self.state_since_ms,
            tuple(
                member.snapshot(
                    self.protocol, member.assignment if assignments is None else assignments[member.member_id]
                )
                for member in self.members
            ),
        )

    # steps

    def _enter(self, state: GroupState) -> None:
        if state not in TRANSITIONS[self.state]:
            raise ImpossibleTransition(self.group_id, self.state, state)
        self.state = state
        self.state_since_ms = -1

    def _prepare_rebalance(self, now_ms: int) -> None:
        """Wait for everybody to (re)join. An empty group waits a little longer for more first members."""
        if self.state is GroupState.COMPLETING_REBALANCE:
            self._fail_syncs(ErrorCode.REBALANCE_IN_PROGRESS, now_ms)
        self._pending_sync.clear()
        self._sync_ends_at = None
        timeout_ms = self.members.rebalance_timeout_ms
        if self.state is GroupState.EMPTY:
            delay_ms = self.limits.initial_rebalance_delay_ms
            self._initial_left_ms = max(timeout_ms - delay_ms, 0)
            self._new_member_added = False
            timeout_ms = delay_ms
        self._enter(GroupState.PREPARING_REBALANCE)
        self._wait_for_joins(now_ms + timeout_ms)

    def _wait_for_joins(self, until_ms: int) -> None:
        self._join_ends_at = until_ms
        self._wake_by(until_ms)

    def _maybe_complete_join(self, now_ms: int) -> None:
        """End the wait when nobody is missing; the initial delay is waited out in any case."""
        if self.state is not GroupState.PREPARING_REBALANCE:
            return
        if self._initial_left_ms is not None:
            self._end_join_wait(now_ms)
        elif not self._pending and self.members.awaiting_join == len(self.members):
            self._complete_join(now_ms)

    def _end_join_wait(self, now_ms: int) -> None:
        if self._join_ends_at is None or self._join_ends_at > now_ms:
            return
        if self._initial_left_ms and self._new_member_added:
            self._new_member_added = False
            delay_ms = min(self.limits.initial_rebalance_delay_ms, self._initial_left_ms)
            self._initial_left_ms -= delay_ms
            self._wait_for_joins(now_ms + delay_ms)
            return
        self._initial_left_ms = None
        self._complete_join(now_ms)

    def _complete_join(self, now_ms: int) -> None:
        """Who did not rejoin is out, static members excepted; the rest is the next generation."""
        for member in self.members:
            if member.awaiting_join is None and member.instance_id is None:
                self.members.remove(member.member_id)
        if not self.members.elect_joined_leader() and len(self.members):
            # Only static members are left and none is back: wait on, until their sessions lapse.
            self._wait_for_joins(now_ms + max(self.members.rebalance_timeout_ms, 1))
            return
        self._join_ends_at = None
        self.generation += 1
        if len(self.members):
            self._begin_generation(now_ms)
        else:
            self._become_empty()

    def _become_empty(self) -> None:
        self.protocol = None
        self._note_subscriptions()
        self._enter(GroupState.EMPTY)
        self._store(self.snapshot(), None)

    def _begin_generation(self, now_ms: int) -> None:
        self.protocol = self.members.elect_protocol()
        self._note_subscriptions()
        self._enter(GroupState.COMPLETING_REBALANCE)
        for member in self.members:
            self._answer_join(member, self._joined(member))
            self._touch(member, now_ms)
            member.is_new = False
            self._pending_sync.add(member.member_id)
        self._sync_ends_at = now_ms + max(self.members.rebalance_timeout_ms, 1)
        self._wake_by(self._sync_ends_at)

    def _end_waiting(self, now_ms: int) -> None:
        """Deadlines of the group as a whole: for joins, then for syncs."""
        if self.state is GroupState.PREPARING_REBALANCE:
            self._end_join_wait(now_ms)
        if self._sync_ends_at is None or self._sync_ends_at > now_ms:
            return
        self._sync_ends_at = None
        late = tuple(self._pending_sync)
        for member_id in late:
            self._forget_member(member_id)
        if late:
            self._prepare_rebalance(now_ms)
            self._maybe_complete_join(now_ms)

    def _fail_syncs(self, error: ErrorCode, now_ms: int) -> None:
        for member in self.members:
            member.assignment = b""
            if self._answer_sync(member, SyncAnswer(error=error)):
                self._touch(member, now_ms)

    def _synced(self, member_id: str) -> None:
        self._pending_sync.discard(member_id)
        if not self._pending_sync:
            self._sync_ends_at = None

    # members

    def _refuse_member(self, member_id: str, instance_id: str | None) -> ErrorCode:
        """Whether this is a current member under the identity it claims."""
        if self.state is GroupState.DEAD:
            return ErrorCode.COORDINATOR_NOT_AVAILABLE
        if instance_id is not None:
            current = self.members.static_member_id(instance_id)
            if current is not None and current != member_id:
                return ErrorCode.FENCED_INSTANCE_ID
            return ErrorCode.NONE if current is not None else ErrorCode.UNKNOWN_MEMBER_ID
        return ErrorCode.NONE if member_id in self.members else ErrorCode.UNKNOWN_MEMBER_ID

    def _add_member(self, request: JoinRequest, member_id: str, ticket: Ticket, now_ms: int) -> None:
        if self.state is GroupState.PREPARING_REBALANCE and self.generation == 0:
            self._new_member_added = True
        if not len(self.members):
            self.protocol_type = request.protocol_type
        self._pending.pop(member_id, None)
        member = Member(
            member_id=member_id,
            instance_id=request.instance_id,
            client_id=request.client_id,
            client_host=request.client_host,
            rebalance_timeout_ms=request.rebalance_timeout_ms,
            session_timeout_ms=request.session_timeout_ms,
            protocols=request.protocols,
            is_new=True,
            lapses_at_ms=now_ms + self.limits.new_member_join_timeout_ms,
            awaiting_join=ticket,
        )
        self.members.add(member)
        self._wake_by(member.lapses_at_ms)
        if self.state is not GroupState.PREPARING_REBALANCE:
            self._prepare_rebalance(now_ms)

    def _update_member(self, member: Member, request: JoinRequest, ticket: Ticket) -> None:
        # The same member asking again gave up on its first request; that one must not stay without an answer.
        self._answer_join(member, JoinAnswer(error=ErrorCode.REBALANCE_IN_PROGRESS, member_id=member.member_id))
        member.protocols = request.protocols
        member.rebalance_timeout_ms = request.rebalance_timeout_ms
        member.session_timeout_ms = request.session_timeout_ms
        member.awaiting_join = ticket

    def _forget_member(self, member_id: str) -> None:
        member = self.members.remove(member_id)
        self._pending_sync.discard(member_id)
        self._answer_join(member, JoinAnswer(error=ErrorCode.UNKNOWN_MEMBER_ID))
        self._answer_sync(member, SyncAnswer(error=ErrorCode.UNKNOWN_MEMBER_ID))

    def _drop_member(self, member_id: str, now_ms: int) -> None:
        """A member left or lapsed: the others rebalance."""
        self._forget_member(member_id)
        if self.state in (GroupState.STABLE, GroupState.COMPLETING_REBALANCE):
            self._prepare_rebalance(now_ms)
        self._maybe_complete_join(now_ms)

    def _note_subscriptions(self) -> None:
        self.topics = None
        if self.protocol_type == CONSUMER_PROTOCOL_TYPE:
            self.topics = all_subscribed_topics(member.metadata(self.protocol) for member in self.members)

    # deadlines

    def _touch(self, member: Member, now_ms: int) -> None:
        member.lapses_at_ms = now_ms + member.session_timeout_ms
        self._wake_by(member.lapses_at_ms)

    def _wake_by(self, at_ms: int) -> None:
        if self.wake_at_ms is None or at_ms < self.wake_at_ms:
            self.wake_at_ms = at_ms

    def _rearm(self) -> None:
        """Whoever has a request parked has no deadline of its own: it gets one with the answer."""
        waits = [at for at in (self._join_ends_at, self._sync_ends_at) if at is not None]
        lapses = [member.lapses_at_ms for member in self.members if member.may_lapse]
        self.wake_at_ms = min((*waits, *lapses, *self._pending.values()), default=None)

    # answers and stores

    def _joined(self, member: Member) -> JoinAnswer:
        return joined_answer(self, member)

    def _assignment_answer(self, member: Member) -> SyncAnswer:
        return SyncAnswer(protocol_type=self.protocol_type, protocol_name=self.protocol, assignment=member.assignment)

    def _answer_join_now(self, ticket: Ticket, answer: JoinAnswer) -> None:
        self._effects.append(AnswerJoin(ticket, answer))

    def _answer_join(self, member: Member, answer: JoinAnswer) -> bool:
        """Answer the member's parked JoinGroup, if there is one."""
        ticket, member.awaiting_join = member.awaiting_join, None
        if ticket is not None:
            self._effects.append(AnswerJoin(ticket, answer))
        return ticket is not None

    def _answer_sync(self, member: Member, answer: SyncAnswer) -> bool:
        """Answer the member's parked SyncGroup, if there is one."""
        ticket, member.awaiting_sync = member.awaiting_sync, None
        if ticket is not None:
            self._effects.append(AnswerSync(ticket, answer))
        return ticket is not None

    def _store(self, snapshot: GroupSnapshot, waiting: Waiting) -> None:
        self._last_store_id += 1
        self._stores[self._last_store_id] = waiting
        self._effects.append(StoreGroup(self._last_store_id, snapshot))

    def _take_effects(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects


def joined_answer(
    group: Rebalance,
    member: Member,
    *,
    leader: str | None = None,
    with_members: bool = True,
    skip_assignment: bool = False,
) -> JoinAnswer:
    """What a member of the current generation is told; the leader alone hears of the others."""
    leads = with_members and member.member_id == group.members.leader
    members = group.members if leads else ()
    return JoinAnswer(
        member_id=member.member_id,
        generation=group.generation,
        protocol_type=group.protocol_type,
        protocol_name=group.protocol,
        leader=leader if leader is not None else group.members.leader or "",
        members=tuple(JoinedMember(one.member_id, one.instance_id, one.metadata(group.protocol)) for one in members),
        skip_assignment=skip_assignment,
    )
