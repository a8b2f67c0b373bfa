"""A classic consumer group: who is in it, which generation it is at, and what every request is answered.

Decides only: no socket, no log, no clock. Every call takes `now_ms` (a clock that never goes back) and returns the
effects to carry out, in order: answers to parked requests and snapshots to store. `wake_at_ms` says when `on_time`
has to be called at the latest. What the states are stands in group_state.py; committed offsets are none of its
business (offsets.py). Behaves as Kafka's coordinator does, request by request.
"""

from collections.abc import Sequence

from infra.error_code import ErrorCode
from ingest.coordinator.group_effects import (
    AnswerSync,
    Effect,
    GroupLimits,
    GroupSnapshot,
    JoinAnswer,
    JoinRequest,
    SyncAnswer,
    SyncRequest,
    Ticket,
)
from ingest.coordinator.group_state import GroupState
from ingest.coordinator.membership import Member
from ingest.coordinator.rebalance import AssignmentStore, Rebalance, StaticSwap, joined_answer

_EMPTY, _PREPARING, _COMPLETING, _STABLE, _DEAD = GroupState


class ConsumerGroup(Rebalance):
    """One group. Requests come in here; how a rebalance proceeds is its base, `Rebalance`."""

    @classmethod
    def restore(
        cls, group_id: str, snapshot: GroupSnapshot, limits: GroupLimits, now_ms: int
    ) -> tuple["ConsumerGroup", list[Effect]]:
        """A group as it was stored: members go on heartbeating, their sessions start anew."""
        group = cls(group_id, limits)
        group.generation = snapshot.generation
        group.protocol_type = snapshot.protocol_type or None
        group.protocol = snapshot.protocol
        group.state_since_ms = snapshot.state_since_ms
        for stored in snapshot.members:
            member = Member(
                member_id=stored.member_id,
                instance_id=stored.instance_id,
                client_id=stored.client_id,
                client_host=stored.client_host,
                rebalance_timeout_ms=stored.rebalance_timeout_ms,
                session_timeout_ms=stored.session_timeout_ms,
                protocols=((snapshot.protocol or "", stored.subscription),),
                assignment=stored.assignment,
            )
            group.members.add(member)
            group._touch(member, now_ms)
        if len(group.members):
            group.state = GroupState.STABLE  # a restored group starts there: no transition led to it
            if snapshot.leader is not None and snapshot.leader in group.members:
                group.members.leader = snapshot.leader
        group._note_subscriptions()
        if len(group.members) > limits.max_size:
            group._prepare_rebalance(now_ms)
        return group, group._take_effects()

    # requests

    def join(self, request: JoinRequest, ticket: Ticket, now_ms: int) -> list[Effect]:
        """JoinGroup: answered at once, or parked until the rebalance is through."""
        error = self._refuse_join(request)
        if error is not ErrorCode.NONE:
            self._answer_join_now(ticket, JoinAnswer(error=error, member_id=request.member_id))
        elif not request.member_id:
            self._join_unknown(request, ticket, now_ms)
        elif request.member_id in self._pending:
            self._add_member(request, request.member_id, ticket, now_ms)
        else:
            self._rejoin(self.members[request.member_id], request, ticket, now_ms)
        self._maybe_complete_join(now_ms)
        return self._take_effects()

    def sync(self, request: SyncRequest, ticket: Ticket, now_ms: int) -> list[Effect]:
        """SyncGroup: parked until the leader's assignment is stored, or answered from what a stable group has."""
        error = self._refuse_sync(request)
        if error is not ErrorCode.NONE:
            self._effects.append(AnswerSync(ticket, SyncAnswer(error=error)))
            return self._take_effects()
        member = self.members[request.member_id]
        self._synced(member.member_id)
        if self.state is _STABLE:
            self._touch(member, now_ms)
            self._effects.append(AnswerSync(ticket, self._assignment_answer(member)))
            return self._take_effects()
        # The same member asking again gave up on its first request; that one must not stay without an answer.
        self._answer_sync(member, SyncAnswer(error=ErrorCode.REBALANCE_IN_PROGRESS))
        member.awaiting_sync = ticket
        if member.member_id == self.members.leader:
            self._store_assignment(dict(request.assignments))
        return self._take_effects()

    def heartbeat(self, member_id: str, instance_id: str | None, generation: int, now_ms: int) -> ErrorCode:
        """Heartbeat: keeps the session; REBALANCE_IN_PROGRESS asks the member to rejoin."""
        error = self._refuse_member(member_id, instance_id)
        if error is ErrorCode.NONE and generation != self.generation:
            error = ErrorCode.ILLEGAL_GENERATION
        if error is not ErrorCode.NONE:
            return error
        if self.state is _EMPTY:
            return ErrorCode.UNKNOWN_MEMBER_ID
        self._touch(self.members[member_id], now_ms)
        return ErrorCode.REBALANCE_IN_PROGRESS if self.state is _PREPARING else ErrorCode.NONE

    def leave(self, member_id: str, instance_id: str | None, now_ms: int) -> tuple[ErrorCode, list[Effect]]:
        """LeaveGroup of one member; an administrator names a static member by its instance id alone."""
        if not member_id and instance_id is not None:
            member_id = self.members.static_member_id(instance_id) or ""
        if member_id in self._pending:
            del self._pending[member_id]
            self._maybe_complete_join(now_ms)
            return ErrorCode.NONE, self._take_effects()
        error = self._refuse_member(member_id, instance_id)
        if error is ErrorCode.NONE:
            self._drop_member(member_id, now_ms)
        return error, self._take_effects()

    def check_commit(
        self, member_id: str, instance_id: str | None, generation: int, now_ms: int, *, transactional: bool = False
    ) -> ErrorCode:
        """Whether offsets may be committed under this identity; a member's session is kept by it."""
        if self.state is _DEAD:
            return ErrorCode.COORDINATOR_NOT_AVAILABLE
        if generation < 0 and self.state is _EMPTY:
            return ErrorCode.NONE  # a simple consumer, or an administrator
        if generation < 0 and not member_id and instance_id is None:
            return ErrorCode.NONE if transactional else ErrorCode.UNKNOWN_MEMBER_ID
        error = self._refuse_member(member_id, instance_id)
        if error is ErrorCode.NONE and generation != self.generation:
            error = ErrorCode.ILLEGAL_GENERATION
        if error is ErrorCode.NONE and not transactional:
            if self.state is _COMPLETING:
                return ErrorCode.REBALANCE_IN_PROGRESS
            self._touch(self.members[member_id], now_ms)
        return error

    # what happens by itself

    def on_time(self, now_ms: int) -> list[Effect]:
        """Time has passed: drop who was silent too long, end what waited too long."""
        for member_id in [pending for pending, lapses in self._pending.items() if lapses <= now_ms]:
            del self._pending[member_id]
        for member in self.members:
            gone = member.member_id not in self.members  # dropping one can end the wait for others
            if not gone and member.may_lapse and member.lapses_at_ms <= now_ms:
                self._drop_member(member.member_id, now_ms)
        self._maybe_complete_join(now_ms)
        self._end_waiting(now_ms)
        self._rearm()
        return self._take_effects()

    def stored(self, store_id: int, error: ErrorCode, now_ms: int) -> list[Effect]:
        """A snapshot is durable, or could not be written."""
        waiting = self._stores.pop(store_id, None)
        if isinstance(waiting, StaticSwap):
            self._swap_stored(waiting, error, now_ms)
        elif isinstance(waiting, AssignmentStore):
            self._assignment_stored(waiting, error, now_ms)
        return self._take_effects()

    def kill(self, error: ErrorCode) -> list[Effect]:
        """The group is deleted, expired, or led elsewhere: every parked request is answered with the error."""
        self._enter(_DEAD)
        for member in self.members:
            self._answer_join(member, JoinAnswer(error=error, member_id=member.member_id))
            self._answer_sync(member, SyncAnswer(error=error))
        self._stores.clear()
        return self._take_effects()

    # JoinGroup

    def _refuse_join(self, request: JoinRequest) -> ErrorCode:
        limits = self.limits
        if not limits.min_session_timeout_ms <= request.session_timeout_ms <= limits.max_session_timeout_ms:
            return ErrorCode.INVALID_SESSION_TIMEOUT
        if self.state is _DEAD:
            return ErrorCode.COORDINATOR_NOT_AVAILABLE
        if not self._has_room(request):
            self._pending.pop(request.member_id, None)
            return ErrorCode.GROUP_MAX_SIZE_REACHED
        if not self._speaks(request.protocol_type, request.protocols):
            return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
        if not request.member_id or request.member_id in self._pending:
            return ErrorCode.NONE
        return self._refuse_member(request.member_id, request.instance_id)

    def _has_room(self, request: JoinRequest) -> bool:
        if self.state is _EMPTY:
            return True
        known = self.members.static_member_id(request.instance_id) if request.instance_id is not None else None
        member_id = request.member_id or known or ""
        if self.state is _PREPARING:
            parked = member_id in self.members and self.members[member_id].awaiting_join is not None
            return parked or self.members.awaiting_join < self.limits.max_size
        return member_id in self.members or len(self.members) < self.limits.max_size

    def _speaks(self, protocol_type: str, protocols: Sequence[tuple[str, bytes]]) -> bool:
        if self.state is _EMPTY:
            return bool(protocol_type) and bool(protocols)
        if protocol_type != self.protocol_type:
            return False
        if not len(self.members):
            return bool(protocols)
        return not self.members.common_protocols().isdisjoint(name for name, _ in protocols)

    def _join_unknown(self, request: JoinRequest, ticket: Ticket, now_ms: int) -> None:
        member_id = f"{request.instance_id or request.client_id}-{request.fresh_id}"
        if request.instance_id is None:
            if request.require_known_member_id:
                self._pending[member_id] = now_ms + request.session_timeout_ms
                self._wake_by(self._pending[member_id])
                answer = JoinAnswer(error=ErrorCode.MEMBER_ID_REQUIRED, member_id=member_id)
                self._answer_join_now(ticket, answer)
                return
        elif (old_id := self.members.static_member_id(request.instance_id)) is not None:
            self._replace_static(old_id, member_id, request, ticket, now_ms)
            return
        self._add_member(request, member_id, ticket, now_ms)

    def _rejoin(self, member: Member, request: JoinRequest, ticket: Ticket, now_ms: int) -> None:
        """A known member: told what is current when nothing changed for it, else a rebalance."""
        unchanged = member.protocols == request.protocols
        follows = member.member_id != self.members.leader  # a leader rejoins a stable group to have it rebalance
        if unchanged and (self.state is _COMPLETING or (self.state is _STABLE and follows)):
            self._answer_join_now(ticket, self._joined(member))
        else:
            self._update_member(member, request, ticket)
            if self.state is not _PREPARING:
                self._prepare_rebalance(now_ms)

    def _replace_static(self, old_id: str, new_id: str, request: JoinRequest, ticket: Ticket, now_ms: int) -> None:
        """A static member is back under a new member id: it keeps its assignment if the protocol stays."""
        old_leader = self.members.leader or ""
        old, new = self.members.rename(old_id, new_id)
        self._pending_sync.discard(old_id)
        self._answer_join(old, JoinAnswer(error=ErrorCode.FENCED_INSTANCE_ID, member_id=old_id))
        self._answer_sync(old, SyncAnswer(error=ErrorCode.FENCED_INSTANCE_ID))
        self._update_member(new, request, ticket)
        self._touch(new, now_ms)
        if self.state is _STABLE and self.members.elect_protocol() == self.protocol:
            swap = StaticSwap(old, new, ticket, old_leader, request.support_skipping_assignment)
            self._store(self.snapshot(), swap)
        elif self.state is not _PREPARING:
            self._prepare_rebalance(now_ms)

    def _swap_stored(self, swap: StaticSwap, error: ErrorCode, now_ms: int) -> None:
        new = swap.new
        if self.state is not _STABLE or new.awaiting_join is not swap.ticket:
            return  # a rebalance came between: it answers, or has answered
        self._touch(new, now_ms)
        if error is not ErrorCode.NONE:
            self._answer_join(new, JoinAnswer(error=error))
            _, back = self.members.rename(new.member_id, swap.old.member_id)
            back.protocols = swap.old.protocols
            back.rebalance_timeout_ms = swap.old.rebalance_timeout_ms
            back.session_timeout_ms = swap.old.session_timeout_ms
            self._touch(back, now_ms)
        elif swap.support_skipping_assignment:
            leads = self.members.leader == new.member_id
            self._answer_join(new, joined_answer(self, new, skip_assignment=leads))
        else:
            # Told the old leader's id, it does not take itself for the leader and assigns nothing.
            self._answer_join(new, joined_answer(self, new, leader=swap.old_leader, with_members=False))

    # SyncGroup

    def _refuse_sync(self, request: SyncRequest) -> ErrorCode:
        error = self._refuse_member(request.member_id, request.instance_id)
        if error is not ErrorCode.NONE:
            return error
        if request.generation != self.generation:
            return ErrorCode.ILLEGAL_GENERATION
        if request.protocol_type is not None and request.protocol_type != self.protocol_type:
            return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
        if request.protocol_name is not None and request.protocol_name != self.protocol:
            return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
        return ErrorCode.REBALANCE_IN_PROGRESS if self.state is _PREPARING else ErrorCode.NONE

    def _store_assignment(self, assignments: dict[str, bytes]) -> None:
        whole = {member.member_id: assignments.get(member.member_id, b"") for member in self.members}
        self._store(self.snapshot(whole), AssignmentStore(self.generation, whole))

    def _assignment_stored(self, waiting: AssignmentStore, error: ErrorCode, now_ms: int) -> None:
        if self.state is not _COMPLETING or self.generation != waiting.generation:
            return  # another rebalance began, or this generation is stable already
        if error is not ErrorCode.NONE:
            self._fail_syncs(error, now_ms)
            self._prepare_rebalance(now_ms)
            return
        for member in self.members:
            member.assignment = waiting.assignments[member.member_id]
        self._enter(_STABLE)
        for member in self.members:
            if self._answer_sync(member, self._assignment_answer(member)):
                self._touch(member, now_ms)
