"""SyncGroup, Heartbeat, LeaveGroup, sessions and fencing of one group."""

import pytest

from infra.error_code import ErrorCode
from ingest.coordinator.group import ConsumerGroup
from ingest.coordinator.group_effects import GroupLimits
from ingest.coordinator.group_state import GroupState
from tests.coordinator.groups import REBALANCE_MS, SESSION_MS, DrivenGroup


def joined(members: int, *, store: bool = True) -> tuple[DrivenGroup, list[str]]:
    """A group whose members have joined and not synced; the leader first."""
    group = DrivenGroup(store=store)
    tickets = [group.join() for _ in range(members)]
    group.pass_time(6_000)
    return group, [group.joins[ticket].member_id for ticket in tickets]


def test_followers_wait_for_the_leaders_assignment() -> None:
    group, (leader, follower) = joined(2)
    parked = group.sync(follower)
    assert parked not in group.syncs
    own = group.sync(leader, assignments={leader: b"\x00one", follower: b"\x00two", "stranger": b"x"})
    assert group.syncs[own].assignment == b"\x00one"
    assert group.syncs[parked].assignment == b"\x00two"
    assert (group.syncs[parked].protocol_type, group.syncs[parked].protocol_name) == ("consumer", "range")
    assert group.group.state is GroupState.STABLE


def test_who_syncs_late_gets_the_assignment_at_once() -> None:
    group, (leader, follower) = joined(2)
    group.sync(leader, assignments={follower: b"two"})
    assert group.syncs[group.sync(follower)].assignment == b"two"
    assert group.syncs[group.sync(leader)].assignment == b""


def test_nobody_is_answered_before_the_assignment_is_stored() -> None:
    group, (leader, follower) = joined(2, store=False)
    tickets = [group.sync(follower), group.sync(leader, assignments={leader: b"1", follower: b"2"})]
    assert not group.syncs
    assert group.last_snapshot is not None
    assert {member.assignment for member in group.last_snapshot.members} == {b"1", b"2"}
    group.finish_stores()
    assert [group.syncs[ticket].assignment for ticket in tickets] == [b"2", b"1"]


def test_an_assignment_that_cannot_be_stored_means_another_round() -> None:
    group, (leader, follower) = joined(2, store=False)
    tickets = [group.sync(follower), group.sync(leader, assignments={leader: b"1", follower: b"2"})]
    group.finish_stores(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    assert {group.syncs[ticket].error for ticket in tickets} == {ErrorCode.COORDINATOR_NOT_AVAILABLE}
    assert group.group.state is GroupState.PREPARING_REBALANCE


def test_an_assignment_stored_too_late_is_not_given_out() -> None:
    group, (leader, follower) = joined(2, store=False)
    own = group.sync(leader, assignments={leader: b"old", follower: b"old"})
    group.leave(follower)
    assert group.syncs[own].error is ErrorCode.REBALANCE_IN_PROGRESS
    group.join(leader)
    group.finish_stores()
    assert group.group.state is GroupState.COMPLETING_REBALANCE
    assert group.group.members[leader].assignment == b""


@pytest.mark.parametrize(
    ("generation", "protocol_type", "protocol_name", "error"),
    [
        (0, None, None, ErrorCode.ILLEGAL_GENERATION),
        (2, None, None, ErrorCode.ILLEGAL_GENERATION),
        (1, "connect", "range", ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
        (1, "consumer", "sticky", ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
        (1, "consumer", "range", ErrorCode.NONE),
    ],
)
def test_a_sync_must_fit_generation_and_protocol(
    generation: int, protocol_type: str | None, protocol_name: str | None, error: ErrorCode
) -> None:
    group, (leader,) = joined(1)
    ticket = group.sync(leader, generation, protocol_type=protocol_type, protocol_name=protocol_name)
    assert group.syncs[ticket].error is error


def test_a_sync_of_a_stranger_or_during_a_rebalance_is_refused() -> None:
    group, (leader, follower) = joined(2)
    assert group.syncs[group.sync("nobody")].error is ErrorCode.UNKNOWN_MEMBER_ID
    group.leave(follower)
    assert group.syncs[group.sync(leader)].error is ErrorCode.REBALANCE_IN_PROGRESS


def test_members_that_never_sync_are_out_after_the_rebalance_timeout() -> None:
    group, (leader, follower) = joined(2)
    group.sync(leader, assignments={})
    for _ in range(REBALANCE_MS // 5_000):
        group.heartbeat(leader)
        group.heartbeat(follower)
        group.pass_time(5_000)
    assert group.heartbeat(follower) is ErrorCode.UNKNOWN_MEMBER_ID
    assert group.heartbeat(leader) is ErrorCode.REBALANCE_IN_PROGRESS


def test_heartbeats_are_fenced_by_member_and_generation() -> None:
    group = DrivenGroup()
    leader, _ = group.stable(2)
    assert group.heartbeat(leader) is ErrorCode.NONE
    assert group.heartbeat(leader, 0) is ErrorCode.ILLEGAL_GENERATION
    assert group.heartbeat(leader, 2) is ErrorCode.ILLEGAL_GENERATION
    assert group.heartbeat("nobody") is ErrorCode.UNKNOWN_MEMBER_ID


def test_heartbeats_before_the_sync_are_welcome() -> None:
    group, (leader, _) = joined(2)
    assert group.heartbeat(leader) is ErrorCode.NONE


def test_a_silent_member_is_out_after_its_session() -> None:
    group = DrivenGroup()
    leader, follower = group.stable(2)
    group.pass_time(SESSION_MS - 1)
    assert group.heartbeat(leader) is ErrorCode.NONE
    group.pass_time(1)
    assert group.heartbeat(follower) is ErrorCode.UNKNOWN_MEMBER_ID
    assert group.heartbeat(leader) is ErrorCode.REBALANCE_IN_PROGRESS
    assert group.joins[group.join(leader)].generation == 2


def test_whoever_waits_for_a_join_does_not_lapse() -> None:
    group = DrivenGroup()
    leader, follower = group.stable(2)
    ticket = group.join(leader)
    for _ in range(3):
        group.heartbeat(follower)
        group.pass_time(SESSION_MS - 1)
    assert ticket not in group.joins
    group.join(follower)
    assert group.joins[ticket].error is ErrorCode.NONE
    assert group.heartbeat(leader) is ErrorCode.NONE


def test_leaving_makes_the_others_rebalance_and_the_last_one_empties_the_group() -> None:
    group = DrivenGroup()
    leader, follower = group.stable(2)
    assert group.leave(leader) is ErrorCode.NONE
    assert group.leave(leader) is ErrorCode.UNKNOWN_MEMBER_ID
    assert group.heartbeat(follower) is ErrorCode.REBALANCE_IN_PROGRESS
    answer = group.joins[group.join(follower)]
    assert (answer.leader, answer.generation) == (follower, 2)
    assert group.leave(follower) is ErrorCode.NONE
    assert group.group.state is GroupState.EMPTY
    assert group.last_snapshot is not None
    assert (group.last_snapshot.members, group.last_snapshot.generation) == ((), 3)


def test_leaving_answers_what_was_parked() -> None:
    group = DrivenGroup()
    leader, _ = group.stable(2)
    parked = group.join(leader)
    group.leave(leader)
    assert group.joins[parked].error is ErrorCode.UNKNOWN_MEMBER_ID


def test_a_pending_member_can_leave() -> None:
    group = DrivenGroup()
    pending = group.joins[group.join(known=True)].member_id
    assert group.leave(pending) is ErrorCode.NONE
    assert group.joins[group.join(pending)].error is ErrorCode.UNKNOWN_MEMBER_ID


def test_commits_are_fenced_and_keep_the_session() -> None:
    group, (leader, follower) = joined(2)
    commit = group.group.check_commit
    assert commit(leader, None, 1, group.now_ms) is ErrorCode.REBALANCE_IN_PROGRESS
    group.sync(leader)
    group.sync(follower)
    assert commit(leader, None, 0, group.now_ms) is ErrorCode.ILLEGAL_GENERATION
    assert commit("nobody", None, 1, group.now_ms) is ErrorCode.UNKNOWN_MEMBER_ID
    assert commit("", None, -1, group.now_ms) is ErrorCode.UNKNOWN_MEMBER_ID
    assert commit(leader, None, -1, group.now_ms) is ErrorCode.ILLEGAL_GENERATION
    for _ in range(3):
        group.pass_time(SESSION_MS - 1)
        assert commit(leader, None, 1, group.now_ms) is ErrorCode.NONE
        group.heartbeat(follower)
    group.join(follower, protocols=(("range", b"changed"),))
    assert commit(leader, None, 1, group.now_ms) is ErrorCode.NONE, "commits go on until the member rejoins"


def test_simple_consumers_may_commit_to_an_empty_group_only() -> None:
    group = DrivenGroup()
    assert group.group.check_commit("", None, -1, 0) is ErrorCode.NONE
    assert group.group.check_commit("", None, 0, 0) is ErrorCode.UNKNOWN_MEMBER_ID


def test_a_restored_group_goes_on_without_a_rebalance() -> None:
    before = DrivenGroup()
    leader, follower = before.stable(2)
    assert before.last_snapshot is not None
    group, effects = ConsumerGroup.restore("riders", before.last_snapshot, GroupLimits(), now_ms=50)
    assert not effects
    assert (group.state, group.generation, group.members.leader) == (GroupState.STABLE, 1, leader)
    assert group.topics == {"flights"}
    assert group.heartbeat(follower, None, 1, 60) is ErrorCode.NONE
    assert group.members[follower].assignment == f"for {follower}".encode()
    group.on_time(50 + SESSION_MS)
    assert group.heartbeat(leader, None, 1, 60 + SESSION_MS) is ErrorCode.UNKNOWN_MEMBER_ID


def test_a_restored_group_above_the_limit_rebalances() -> None:
    before = DrivenGroup()
    before.stable(3)
    assert before.last_snapshot is not None
    group, _ = ConsumerGroup.restore("riders", before.last_snapshot, GroupLimits(max_size=2), now_ms=50)
    assert group.state is GroupState.PREPARING_REBALANCE
