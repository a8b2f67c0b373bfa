"""Members of a group do anything in any order, and time passes: what must hold all the same."""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from infra.error_code import ErrorCode
from ingest.coordinator.group_effects import GroupLimits
from ingest.coordinator.group_state import GroupState
from tests.coordinator.groups import DrivenGroup, subscription

CLIENTS = 5
PROTOCOLS = (
    (("range", subscription("a")),),
    (("range", subscription("a", "b")), ("sticky", b"\x00")),
    (("sticky", b"\x00"), ("range", subscription("b"))),
)
ANSWERED = {ErrorCode.NONE, ErrorCode.MEMBER_ID_REQUIRED}

clients = st.integers(0, CLIENTS - 1)


@dataclass
class Client:
    """What one client believes about itself; it may be wrong, as after a pause."""

    instance_id: str | None
    member_id: str = ""
    generation: int = -1
    waiting: str | None = None  # ticket of the last JoinGroup
    leads: list[str] = field(default_factory=list)


class GroupMachine(RuleBasedStateMachine):
    """Clients 0 to 2 are dynamic, 3 and 4 static."""

    def __init__(self) -> None:
        super().__init__()
        self.driven = DrivenGroup()
        self.clients = [Client(f"instance-{i}" if i > 2 else None) for i in range(CLIENTS)]
        self.join_tickets: set[str] = set()
        self.sync_tickets: set[str] = set()
        self.leaders: dict[int, set[str]] = {}
        self.seen_joins: set[str] = set()

    @initialize(delay=st.sampled_from([0, 3_000]), size=st.sampled_from([2, 100]), store=st.booleans())
    def begin(self, delay: int, size: int, store: bool) -> None:
        limits = GroupLimits(initial_rebalance_delay_ms=delay, max_size=size, new_member_join_timeout_ms=90_000)
        self.driven = DrivenGroup(limits, store=store)

    @rule(who=clients, protocols=st.sampled_from(PROTOCOLS), known=st.booleans(), skip=st.booleans())
    def join(self, who: int, protocols: tuple[tuple[str, bytes], ...], known: bool, skip: bool) -> None:
        client = self.clients[who]
        client.waiting = self.driven.join(
            client.member_id, instance_id=client.instance_id, protocols=protocols, known=known, skip=skip
        )
        self.join_tickets.add(client.waiting)

    @rule(who=st.sets(clients, min_size=2))
    def join_together(self, who: set[int]) -> None:
        """Brings a group beyond its first generation more often than chance would."""
        for one in sorted(who):
            self.join(one, PROTOCOLS[0], False, False)
        self.driven.pass_time(3_000)
        self.clients_believe_their_answers()

    @rule(who=st.sets(clients, min_size=2), leader_too=st.booleans(), complete=st.booleans())
    def sync_together(self, who: set[int], leader_too: bool, complete: bool) -> None:
        for one in sorted(who, reverse=True):  # so that the leader is not always first
            if leader_too or not self.clients[one].leads:
                self.sync(one, complete)

    @rule(who=clients)
    def restart(self, who: int) -> None:
        self.clients[who] = Client(self.clients[who].instance_id)

    @rule(who=clients, complete=st.booleans())
    def sync(self, who: int, complete: bool) -> None:
        client = self.clients[who]
        assignments = {member: f"{client.generation}".encode() for member in client.leads[: None if complete else 1]}
        ticket = self.driven.sync(client.member_id, client.generation, assignments, instance_id=client.instance_id)
        self.sync_tickets.add(ticket)

    @rule(who=clients)
    def heartbeat(self, who: int) -> None:
        client = self.clients[who]
        self.driven.heartbeat(client.member_id, client.generation, client.instance_id)

    @rule(who=clients, by_instance=st.booleans())
    def leave(self, who: int, by_instance: bool) -> None:
        client = self.clients[who]
        self.driven.leave("" if by_instance else client.member_id, client.instance_id)

    @rule(who=clients, generation=st.integers(-1, 5))
    def commit(self, who: int, generation: int) -> None:
        client = self.clients[who]
        self.driven.group.check_commit(client.member_id, client.instance_id, generation, self.driven.now_ms)

    @rule(milliseconds=st.sampled_from([1, 2_999, 3_000, 9_999, 10_000, 61_000, 100_000]))
    def time_passes(self, milliseconds: int) -> None:
        self.driven.pass_time(milliseconds)

    @rule(error=st.sampled_from([ErrorCode.NONE, ErrorCode.NONE, ErrorCode.COORDINATOR_NOT_AVAILABLE]))
    def stores_finish(self, error: ErrorCode) -> None:
        self.driven.finish_stores(error)

    @invariant()
    def clients_believe_their_answers(self) -> None:
        for client in self.clients:
            answer = self.driven.joins.get(client.waiting or "")
            if answer is None:
                continue
            client.waiting = None
            if answer.error in ANSWERED:
                client.member_id, client.generation = answer.member_id, answer.generation
                client.leads = [member.member_id for member in answer.members]
            elif answer.error in (ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.FENCED_INSTANCE_ID):
                client.member_id, client.generation = "", -1

    @invariant()
    def a_generation_has_one_leader_at_a_time(self) -> None:
        for ticket, answer in self.driven.joins.items():
            if ticket not in self.seen_joins and answer.error is ErrorCode.NONE and answer.members:
                assert answer.leader == answer.member_id, "only the leader hears of the members"
                assert answer.member_id in {member.member_id for member in answer.members}
                # A static leader's new member id leads the same generation, and is told not to assign.
                if not answer.skip_assignment:
                    self.leaders.setdefault(answer.generation, set()).add(answer.leader)
        self.seen_joins = set(self.driven.joins)
        assert all(len(leaders) == 1 for leaders in self.leaders.values())

    @invariant()
    def assignments_are_of_their_generation(self) -> None:
        group = self.driven.group
        if group.state is GroupState.STABLE:
            for member in group.members:
                assert member.assignment in (b"", f"{group.generation}".encode())

    @invariant()
    def members_are_consistent(self) -> None:
        group = self.driven.group
        ids = {member.member_id for member in group.members}
        assert (group.members.leader in ids) if ids else group.members.leader is None
        assert (group.state is GroupState.EMPTY) <= (not ids)
        if group.state in (GroupState.COMPLETING_REBALANCE, GroupState.STABLE):
            assert ids
            assert len(ids) <= group.limits.max_size
            assert all(group.protocol in dict(member.protocols) for member in group.members)
        for member in group.members:
            if member.instance_id is not None:
                assert group.members.static_member_id(member.instance_id) == member.member_id
            assert member.awaiting_sync is None or group.state is GroupState.COMPLETING_REBALANCE
            if member.may_lapse:
                assert group.wake_at_ms is not None
                assert group.wake_at_ms <= member.lapses_at_ms

    @invariant()
    def nothing_is_answered_that_was_not_asked(self) -> None:
        assert set(self.driven.joins) <= self.join_tickets
        assert set(self.driven.syncs) <= self.sync_tickets

    def teardown(self) -> None:
        """Left alone, everything parked is answered, and the group runs empty."""
        for _ in range(20):
            self.driven.finish_stores()
            self.driven.pass_time(100_000)
        assert set(self.driven.joins) == self.join_tickets
        assert set(self.driven.syncs) == self.sync_tickets
        assert self.driven.group.state is GroupState.EMPTY
        assert self.driven.group.wake_at_ms is None


TestGroup = GroupMachine.TestCase
TestGroup.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
