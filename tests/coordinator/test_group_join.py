"""JoinGroup: member ids, first members, protocols, limits, and what a rejoin does."""

import pytest

from infra.error_code import ErrorCode
from ingest.coordinator.group_effects import GroupLimits
from ingest.coordinator.group_state import GroupState, ImpossibleTransition
from tests.coordinator.groups import RANGE, REBALANCE_MS, SESSION_MS, DrivenGroup, subscription


def test_new_members_are_asked_to_come_back_with_an_id() -> None:
    group = DrivenGroup()
    first = group.joins[group.join(known=True, client_id="rdk")]
    assert first.error is ErrorCode.MEMBER_ID_REQUIRED
    assert first.member_id.startswith("rdk-")
    assert group.group.state is GroupState.EMPTY
    ticket = group.join(first.member_id, known=True)
    group.pass_time(group.limits.initial_rebalance_delay_ms)
    assert group.joins[ticket].error is ErrorCode.NONE
    assert group.joins[ticket].member_id == first.member_id
    assert group.joins[ticket].generation == 1


def test_an_id_that_is_never_used_lapses_and_holds_nobody_up() -> None:
    group = DrivenGroup()
    leader, follower = group.stable(2)
    pending = group.joins[group.join(known=True)].member_id
    first, second = group.join(leader), group.join(follower)
    assert first not in group.joins, "the pending member is waited for"
    group.pass_time(SESSION_MS)
    assert group.joins[first].generation == group.joins[second].generation == 2
    assert group.joins[group.join(pending)].error is ErrorCode.UNKNOWN_MEMBER_ID


def test_static_members_need_no_second_join() -> None:
    group = DrivenGroup()
    ticket = group.join(instance_id="one", known=True)
    group.pass_time(3_000)
    assert group.joins[ticket].member_id.startswith("one-")


def test_an_empty_group_waits_for_more_first_members() -> None:
    group = DrivenGroup()
    first = group.join()
    group.pass_time(2_999)
    second = group.join()
    group.pass_time(1)
    assert first not in group.joins, "somebody came, so the delay is extended"
    group.pass_time(2_999)
    assert first not in group.joins
    group.pass_time(1)
    assert group.joins[first].generation == group.joins[second].generation == 1


def test_the_initial_delay_ends_with_the_rebalance_timeout() -> None:
    group = DrivenGroup()
    first = group.join(rebalance_timeout_ms=7_000)
    for _ in range(6):
        group.pass_time(1_000)
        group.join(rebalance_timeout_ms=7_000)
    assert first not in group.joins
    group.pass_time(1_000)
    assert group.joins[first].generation == 1


def test_without_delay_the_first_member_is_a_generation() -> None:
    group = DrivenGroup(GroupLimits(initial_rebalance_delay_ms=0))
    assert group.joins[group.join()].generation == 1


def test_a_group_with_members_has_no_initial_delay() -> None:
    group = DrivenGroup()
    leader, follower = group.stable(2)
    newcomer = group.join()
    assert group.heartbeat(leader) is ErrorCode.REBALANCE_IN_PROGRESS
    tickets = [group.join(leader), group.join(follower)]
    assert [group.joins[ticket].generation for ticket in (*tickets, newcomer)] == [2, 2, 2]


def test_only_the_leader_hears_of_the_members() -> None:
    group = DrivenGroup()
    tickets = [group.join(client_id=name) for name in "abc"]
    group.pass_time(6_000)
    answers = [group.joins[ticket] for ticket in tickets]
    assert {answer.leader for answer in answers} == {answers[0].member_id}
    assert [len(answer.members) for answer in answers] == [3, 0, 0]
    assert {member.metadata for member in answers[0].members} == {subscription("flights")}


def test_members_that_do_not_rejoin_are_out_after_the_rebalance_timeout() -> None:
    group = DrivenGroup()
    leader, follower = group.stable(2)
    ticket = group.join(follower, protocols=(("range", subscription("other")),))
    for _ in range(REBALANCE_MS // 5_000):
        group.heartbeat(leader)
        group.pass_time(5_000)
    assert group.joins[ticket].leader == follower
    assert group.joins[ticket].generation == 2
    assert group.heartbeat(leader) is ErrorCode.UNKNOWN_MEMBER_ID


def test_the_protocol_most_members_prefer_among_common_ones_wins() -> None:
    group = DrivenGroup()
    sticky, ranged, only = ("sticky", b"s"), ("range", b"r"), ("only-mine", b"o")
    tickets = [
        group.join(protocols=(only, ranged, sticky)),
        group.join(protocols=(sticky, ranged)),
        group.join(protocols=(sticky, ranged)),
    ]
    group.pass_time(6_000)
    assert {group.joins[ticket].protocol_name for ticket in tickets} == {"sticky"}
    assert {member.metadata for member in group.joins[tickets[0]].members} == {b"s"}


@pytest.mark.parametrize(
    ("protocol_type", "protocols"),
    [("consumer", ()), ("", RANGE), ("connect", RANGE), ("consumer", (("sticky", b""),))],
)
def test_members_must_speak_a_common_protocol(protocol_type: str, protocols: tuple[tuple[str, bytes], ...]) -> None:
    group = DrivenGroup()
    group.stable(1)
    answer = group.joins[group.join(protocol_type=protocol_type, protocols=protocols)]
    assert answer.error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL


@pytest.mark.parametrize("session_timeout_ms", [0, 5_999, 1_800_001])
def test_session_timeouts_have_bounds(session_timeout_ms: int) -> None:
    group = DrivenGroup()
    answer = group.joins[group.join(session_timeout_ms=session_timeout_ms)]
    assert answer.error is ErrorCode.INVALID_SESSION_TIMEOUT


def test_a_full_group_lets_nobody_in() -> None:
    group = DrivenGroup(GroupLimits(max_size=2))
    leader, follower = group.stable(2)
    assert group.joins[group.join()].error is ErrorCode.GROUP_MAX_SIZE_REACHED
    tickets = [group.join(leader), group.join(follower)]
    assert [group.joins[ticket].error for ticket in tickets] == [ErrorCode.NONE, ErrorCode.NONE]


def test_a_full_group_lets_nobody_in_while_it_rebalances() -> None:
    group = DrivenGroup(GroupLimits(max_size=2))
    group.join()
    group.join()
    assert group.joins[group.join()].error is ErrorCode.GROUP_MAX_SIZE_REACHED


def test_a_followers_identical_rejoin_is_told_what_is_current() -> None:
    group = DrivenGroup()
    _, follower = group.stable(2)
    answer = group.joins[group.join(follower)]
    assert (answer.error, answer.generation, answer.members) == (ErrorCode.NONE, 1, ())
    assert group.group.state is GroupState.STABLE


def test_the_leaders_rejoin_makes_a_stable_group_rebalance() -> None:
    group = DrivenGroup()
    leader, follower = group.stable(2)
    ticket = group.join(leader)
    assert ticket not in group.joins
    assert group.heartbeat(follower) is ErrorCode.REBALANCE_IN_PROGRESS
    group.join(follower)
    assert group.joins[ticket].generation == 2


def test_an_identical_rejoin_before_the_sync_is_told_what_is_current() -> None:
    group = DrivenGroup()
    tickets = [group.join(), group.join()]
    group.pass_time(6_000)
    leader = group.joins[tickets[0]].member_id
    again = group.joins[group.join(leader)]
    assert (again.generation, len(again.members)) == (1, 2)


def test_a_changed_rejoin_before_the_sync_rebalances() -> None:
    group = DrivenGroup()
    tickets = [group.join(), group.join()]
    group.pass_time(6_000)
    leader, follower = (group.joins[ticket].member_id for ticket in tickets)
    parked = group.sync(follower)
    group.join(leader, protocols=(("range", subscription("other")),))
    assert group.syncs[parked].error is ErrorCode.REBALANCE_IN_PROGRESS
    assert group.group.state is GroupState.PREPARING_REBALANCE


def test_a_repeated_join_answers_the_first_one_too() -> None:
    group = DrivenGroup()
    leader, follower = group.stable(2)
    first = group.join(leader)
    second = group.join(leader)
    assert group.joins[first].error is ErrorCode.REBALANCE_IN_PROGRESS
    group.join(follower)
    assert group.joins[second].generation == 2


def test_unknown_members_are_told_so() -> None:
    group = DrivenGroup()
    group.stable(1)
    assert group.joins[group.join("nobody")].error is ErrorCode.UNKNOWN_MEMBER_ID


def test_a_member_that_never_heard_its_id_lapses() -> None:
    group = DrivenGroup(GroupLimits(new_member_join_timeout_ms=20_000))
    (leader,) = group.stable(1)
    lost = group.join()  # its client is gone, and the leader does not rejoin but keeps its session
    for _ in range(5):
        group.heartbeat(leader)
        group.pass_time(5_000)
    assert group.joins[lost].error is ErrorCode.UNKNOWN_MEMBER_ID


def test_a_dead_group_sends_clients_to_look_again() -> None:
    group = DrivenGroup()
    (leader,) = group.stable(1)
    parked = group.join(leader)
    parked_too = group.join()
    assert parked in group.joins
    group.group.members[leader].awaiting_join = None
    group.carry_out(group.group.kill(ErrorCode.NOT_COORDINATOR))
    assert parked_too in group.joins
    assert group.joins[group.join()].error is ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert group.heartbeat(leader) is ErrorCode.COORDINATOR_NOT_AVAILABLE


def test_impossible_transitions_raise() -> None:
    group = DrivenGroup().group
    group.kill(ErrorCode.NOT_COORDINATOR)
    with pytest.raises(ImpossibleTransition, match="from Dead to Dead"):
        group.kill(ErrorCode.NOT_COORDINATOR)
