"""A consumer group driven by hand: short calls, and what came out of it by ticket."""

import itertools
import struct

from infra.error_code import ErrorCode
from ingest.coordinator.group import ConsumerGroup
from ingest.coordinator.group_effects import (
    AnswerJoin,
    AnswerSync,
    Effect,
    GroupLimits,
    GroupSnapshot,
    JoinAnswer,
    JoinRequest,
    StoreGroup,
    SyncAnswer,
    SyncRequest,
)

SESSION_MS = 10_000
REBALANCE_MS = 60_000


def subscription(*topics: str) -> bytes:
    """A consumer's subscription (version 0) without user data."""
    names = b"".join(struct.pack(">h", len(topic.encode())) + topic.encode() for topic in topics)
    return struct.pack(">hi", 0, len(topics)) + names + struct.pack(">i", -1)


RANGE = (("range", subscription("flights")),)


class DrivenGroup:
    """Gives every request a ticket and keeps the answers; stores at once unless told to wait."""

    def __init__(self, limits: GroupLimits | None = None, *, store: bool = True) -> None:
        self.limits = limits or GroupLimits()
        self.group = ConsumerGroup("riders", self.limits)
        self.now_ms = 1_000
        self.store = store
        self.joins: dict[str, JoinAnswer] = {}
        self.syncs: dict[str, SyncAnswer] = {}
        self.unstored: list[StoreGroup] = []
        self.last_snapshot: GroupSnapshot | None = None
        self._tickets = itertools.count()
        self._ids = itertools.count(1)

    def join(
        self,
        member_id: str = "",
        *,
        instance_id: str | None = None,
        protocols: tuple[tuple[str, bytes], ...] = RANGE,
        client_id: str = "client",
        session_timeout_ms: int = SESSION_MS,
        rebalance_timeout_ms: int = REBALANCE_MS,
        protocol_type: str = "consumer",
        known: bool = False,
        skip: bool = False,
    ) -> str:
        ticket = f"join {next(self._tickets)}"
        request = JoinRequest(
            member_id=member_id,
            instance_id=instance_id,
            client_id=client_id,
            client_host="127.0.0.1",
            session_timeout_ms=session_timeout_ms,
            rebalance_timeout_ms=rebalance_timeout_ms,
            protocol_type=protocol_type,
            protocols=protocols,
            fresh_id=str(next(self._ids)),
            require_known_member_id=known,
            support_skipping_assignment=skip,
        )
        self.carry_out(self.group.join(request, ticket, self.now_ms))
        return ticket

    def sync(
        self,
        member_id: str,
        generation: int | None = None,
        assignments: dict[str, bytes] | None = None,
        *,
        instance_id: str | None = None,
        protocol_type: str | None = None,
        protocol_name: str | None = None,
    ) -> str:
        ticket = f"sync {next(self._tickets)}"
        request = SyncRequest(
            member_id=member_id,
            instance_id=instance_id,
            generation=self.group.generation if generation is None else generation,
            protocol_type=protocol_type,
            protocol_name=protocol_name,
            assignments=tuple((assignments or {}).items()),
        )
        self.carry_out(self.group.sync(request, ticket, self.now_ms))
        return ticket

    def heartbeat(self, member_id: str, generation: int | None = None, instance_id: str | None = None) -> ErrorCode:
        generation = self.group.generation if generation is None else generation
        return self.group.heartbeat(member_id, instance_id, generation, self.now_ms)

    def leave(self, member_id: str = "", instance_id: str | None = None) -> ErrorCode:
        error, effects = self.group.leave(member_id, instance_id, self.now_ms)
        self.carry_out(effects)
        return error

    def pass_time(self, milliseconds: int) -> None:
        """Let time pass, waking the group when it asks for it."""
        until = self.now_ms + milliseconds
        while (wake := self.group.wake_at_ms) is not None and wake <= until:
            self.now_ms = max(self.now_ms, wake)
            self.carry_out(self.group.on_time(self.now_ms))
        self.now_ms = until

    def finish_stores(self, error: ErrorCode = ErrorCode.NONE) -> None:
        stores, self.unstored = self.unstored, []
        for store in stores:
            self.carry_out(self.group.stored(store.store_id, error, self.now_ms))

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case AnswerJoin(ticket, joined):
                    assert ticket not in self.joins, "a JoinGroup is answered once"
                    self.joins[str(ticket)] = joined
                case AnswerSync(ticket, synced):
                    assert ticket not in self.syncs, "a SyncGroup is answered once"
                    self.syncs[str(ticket)] = synced
                case StoreGroup():
                    self.last_snapshot = effect.snapshot
                    self.unstored.append(effect)
        if self.store and self.unstored:
            self.finish_stores()

    def stable(self, members: int, *, instances: bool = False) -> list[str]:
        """Bring in members of a new generation and let them sync; answers their ids, the leader first."""
        tickets = [self.join(instance_id=f"instance-{i}" if instances else None) for i in range(members)]
        self.pass_time(self.limits.initial_rebalance_delay_ms * 2)
        ids = [self.joins[ticket].member_id for ticket in tickets]
        leader = self.joins[tickets[0]].leader
        ids.sort(key=lambda member_id: member_id != leader)
        for member_id in ids[1:]:
            self.sync(member_id)
        self.sync(leader, assignments={member_id: f"for {member_id}".encode() for member_id in ids})
        return ids
