"""Static members (group.instance.id): they come back to what they had, and fence who has the same name."""

import pytest

from infra.error_code import ErrorCode
from ingest.coordinator.group_state import GroupState
from tests.coordinator.groups import SESSION_MS, DrivenGroup


def test_a_static_member_comes_back_without_a_rebalance() -> None:
    group = DrivenGroup()
    leader, follower = group.stable(2, instances=True)
    instance_id = follower.rpartition("-")[0]
    group.pass_time(SESSION_MS - 1)
    group.heartbeat(leader, instance_id=leader.rpartition("-")[0])
    answer = group.joins[group.join(instance_id=instance_id)]
    group.pass_time(SESSION_MS - 1)  # its session began anew
    assert (answer.error, answer.generation, answer.leader) == (ErrorCode.NONE, 1, leader)
    assert answer.member_id != follower
    assert group.group.state is GroupState.STABLE
    synced = group.syncs[group.sync(answer.member_id, instance_id=instance_id)]
    assert synced.assignment == f"for {follower}".encode()
    assert group.heartbeat(follower, instance_id=instance_id) is ErrorCode.FENCED_INSTANCE_ID
    assert group.last_snapshot is not None
    assert answer.member_id in {member.member_id for member in group.last_snapshot.members}


@pytest.mark.parametrize("skip", [False, True])
def test_a_static_leader_comes_back_and_does_not_assign(skip: bool) -> None:
    group = DrivenGroup()
    leader, _ = group.stable(2, instances=True)
    answer = group.joins[group.join(instance_id=leader.rpartition("-")[0], skip=skip)]
    assert group.group.members.leader == answer.member_id
    if skip:
        assert (answer.leader, answer.skip_assignment, len(answer.members)) == (answer.member_id, True, 2)
    else:
        assert (answer.leader, answer.skip_assignment, answer.members) == (leader, False, ())


def test_a_static_member_with_another_preference_rebalances() -> None:
    group = DrivenGroup()
    both = (("range", b""), ("sticky", b""))
    tickets = [group.join(instance_id=name, protocols=both) for name in ("one", "two")]
    group.pass_time(6_000)
    ids = [group.joins[ticket].member_id for ticket in tickets]
    group.sync(ids[1])
    group.sync(ids[0])
    assert group.group.protocol == "range"
    ticket = group.join(instance_id="two", protocols=(("sticky", b""),))
    assert ticket not in group.joins
    group.join(ids[0], instance_id="one", protocols=both)
    assert group.joins[ticket].protocol_name == "sticky"


def test_a_new_id_that_cannot_be_stored_is_taken_back() -> None:
    group = DrivenGroup()
    _, follower = group.stable(2, instances=True)
    instance_id = follower.rpartition("-")[0]
    group.store = False
    ticket = group.join(instance_id=instance_id, protocols=(("range", b"new"),))
    assert ticket not in group.joins
    group.finish_stores(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    assert group.joins[ticket].error is ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert group.heartbeat(follower, instance_id=instance_id) is ErrorCode.NONE
    assert group.group.members[follower].assignment == f"for {follower}".encode()


def test_a_rebalance_while_the_new_id_is_stored_answers_the_join() -> None:
    group = DrivenGroup()
    leader, follower = group.stable(2, instances=True)
    group.store = False
    ticket = group.join(instance_id=follower.rpartition("-")[0])
    group.join(leader, instance_id=leader.rpartition("-")[0])
    assert group.joins[ticket].generation == 2
    group.finish_stores()
    assert group.group.state is GroupState.COMPLETING_REBALANCE


def test_a_static_member_that_comes_back_during_a_rebalance_fences_the_parked_join() -> None:
    group = DrivenGroup()
    first = group.join(instance_id="one")
    second = group.join(instance_id="one")
    assert group.joins[first].error is ErrorCode.FENCED_INSTANCE_ID
    group.pass_time(6_000)
    assert group.joins[second].generation == 1
    assert len(group.group.members) == 1


def test_a_static_member_that_comes_back_before_the_sync_makes_another_round() -> None:
    group = DrivenGroup()
    tickets = [group.join(instance_id=name) for name in ("one", "two")]
    group.pass_time(6_000)
    follower = group.joins[tickets[1]].member_id
    parked = group.sync(follower, instance_id="two")
    group.join(instance_id="two")
    assert group.syncs[parked].error is ErrorCode.FENCED_INSTANCE_ID
    assert group.group.state is GroupState.PREPARING_REBALANCE


def test_an_administrator_removes_a_static_member_by_its_instance() -> None:
    group = DrivenGroup()
    _, follower = group.stable(2, instances=True)
    instance_id = follower.rpartition("-")[0]
    assert group.leave("", instance_id) is ErrorCode.NONE
    assert group.leave("", instance_id) is ErrorCode.UNKNOWN_MEMBER_ID
    assert group.heartbeat(follower, instance_id=instance_id) is ErrorCode.UNKNOWN_MEMBER_ID


def test_a_leave_under_an_old_id_is_fenced() -> None:
    group = DrivenGroup()
    _, follower = group.stable(2, instances=True)
    instance_id = follower.rpartition("-")[0]
    group.join(instance_id=instance_id)
    assert group.leave(follower, instance_id) is ErrorCode.FENCED_INSTANCE_ID


def test_static_members_keep_their_place_while_a_rebalance_waits_for_nobody_else() -> None:
    group = DrivenGroup()
    leader, follower = group.stable(2, instances=True)
    ticket = group.join(leader, instance_id=leader.rpartition("-")[0], rebalance_timeout_ms=5_000)
    group.group.members[follower].session_timeout_ms = 1_000_000
    group.heartbeat(follower, instance_id=follower.rpartition("-")[0])
    group.pass_time(60_000)
    assert group.joins[ticket].generation == 2
    assert {member.member_id for member in group.joins[ticket].members} == {leader, follower}


def test_static_members_that_are_all_gone_lapse_by_their_sessions() -> None:
    group = DrivenGroup()
    ids = group.stable(2, instances=True)
    group.pass_time(SESSION_MS * 20)
    assert [group.heartbeat(member_id) for member_id in ids] == [ErrorCode.UNKNOWN_MEMBER_ID] * 2
    assert group.group.state is GroupState.EMPTY
