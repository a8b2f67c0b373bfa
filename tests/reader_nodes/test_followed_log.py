"""A follower's log: whatever the leader does and in whatever steps it is heard of, both answer the same."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from infra.ports import EpochStart
from reader.fetch_plan import RecordRead, SegmentRead, TailRead, plan_read
from reader.followed_log import FollowedLog
from tests.reader_nodes.model import Follower, Leader, joined

_LEADER_STEPS = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 3)),
    st.tuples(st.just("advance"), st.integers(0, 100)),
    st.tuples(st.just("publish"), st.integers(1, 4)),
    st.tuples(st.just("grow"), st.integers(1, 4)),
    st.tuples(st.just("replace"), st.integers(1, 3)),
    st.tuples(st.just("compact"), st.integers(1, 3)),
    st.tuples(st.just("forget"), st.just(0)),
    st.tuples(st.just("raise_log_start"), st.integers(0, 100)),
    st.tuples(st.just("take_over"), st.just(0)),
)
_FOLLOWER_STEPS = st.one_of(
    st.tuples(st.just("look_at_view"), st.just(0)),
    st.tuples(st.just("look_at_manifest"), st.just(0)),
    st.tuples(st.just("look_at_old_manifest"), st.integers(0, 100)),
    st.tuples(st.just("look_at_lost_view"), st.integers(0, 100)),
    st.tuples(st.just("fetch"), st.integers(0, 5)),
    st.tuples(st.just("keep_up"), st.integers(0, 1500)),
    st.tuples(st.just("trim"), st.integers(0, 1500)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(_LEADER_STEPS, _FOLLOWER_STEPS), min_size=20, max_size=120))
def test_both_answer_the_same(steps: Sequence[tuple[str, int]]) -> None:
    leader = Leader()
    follower = Follower(leader)
    for step, number in steps:
        owner = leader if hasattr(leader, step) else follower
        method = getattr(owner, step)
        if step in ("forget", "take_over", "look_at_view", "look_at_manifest"):
            method()
        else:
            method(number)
        if follower.log is not None and follower.log.heard:
            _check(leader, follower.log)
    follower.look_at_manifest()
    assert follower.log is None or _catches_up(leader, follower)


def _catches_up(leader: Leader, follower: Follower) -> bool:
    """Once nothing changes any more, the follower comes to know all that the leader has."""
    leader.forget()
    for _ in range(3):
        follower.look_at_manifest()
        follower.fetch(1000)
    assert follower.log is not None
    _check(leader, follower.log)
    return follower.log.high_watermark == leader.high_watermark


def _check(leader: Leader, log: FollowedLog) -> None:
    upto = log.high_watermark
    assert upto <= leader.high_watermark
    assert log.log_start_offset <= leader.manifest.log_start_offset
    for offset in range(log.log_start_offset, upto):
        plan = plan_read(log, offset, 300, upto, at_least_one=True)
        if isinstance(plan, TailRead):
            expected = [data for _, data in leader.from_offset(offset)]
            given_ = [bytes(batch) for batch in plan.batches]
            assert given_
            assert given_ == expected[: len(given_)]
        elif isinstance(plan, SegmentRead):
            _check_extents(leader, offset, plan)
        else:
            assert isinstance(plan, RecordRead)
            assert plan.groups[0].group.base_offset <= offset <= plan.groups[0].group.last_offset
            assert {read.segment for read in plan.groups} <= leader.keys


def _check_extents(leader: Leader, offset: int, plan: SegmentRead) -> None:
    assert plan.extents[0].base_offset <= offset <= plan.extents[0].last_offset
    for extent in plan.extents:
        headers = [header for header, _ in leader.batches if extent.base_offset <= header.base_offset]
        headers = [header for header in headers if header.last_offset <= extent.last_offset]
        assert headers[0].base_offset == extent.base_offset
        assert headers[-1].last_offset == extent.last_offset
        assert {header.leader_epoch for header in headers} == {extent.leader_epoch}


def _followed(leader: Leader) -> FollowedLog:
    follower = Follower(leader)
    follower.look_at_manifest()
    follower.fetch(1000)
    assert follower.log is not None
    return follower.log


def test_what_an_unclean_election_lost_is_cut_off() -> None:
    leader = Leader()
    for _ in range(4):
        leader.append(2)
    leader.advance(100)
    log = _followed(leader)
    assert log.high_watermark == 8
    leader.batches = leader.batches[:2]
    leader.high_watermark = 4
    leader.epochs.append(EpochStart(1, 4))
    log.follow(leader.epochs)
    assert (log.high_watermark, log.next_offset) == (4, 4)
    leader.append(3)
    leader.advance(100)
    assert log.take(7, 7, 0, memoryview(leader.batches[-1][1]))
    assert [bytes(one) for one in log.read_tail(4, 1000, 7, True)] == [leader.batches[-1][1]]


def test_what_a_leader_that_was_never_heard_of_lost_is_cut_off_too() -> None:
    leader = Leader()
    for _ in range(4):
        leader.append(2)
    leader.advance(100)
    log = _followed(leader)
    leader.batches = leader.batches[:2]
    leader.high_watermark = 4
    leader.epochs.append(EpochStart(1, 4))
    leader.append(5)
    leader.advance(100)
    leader.epochs.append(EpochStart(2, leader.end))
    log.follow(leader.epochs)
    assert (log.high_watermark, log.next_offset) == (4, 4)
    assert log.take(9, 9, 0, memoryview(leader.batches[-1][1]))
    assert [bytes(one) for one in log.read_tail(4, 1000, 9, True)] == [leader.batches[-1][1]]


def test_batches_that_leave_a_gap_are_not_taken() -> None:
    leader = Leader()
    log = _followed(leader)
    for _ in range(2):
        leader.append(2)
    leader.advance(100)
    assert not log.take(4, 4, 0, memoryview(leader.batches[1][1]))
    assert log.high_watermark == 0


def test_nothing_above_the_high_watermark_is_taken() -> None:
    leader = Leader()
    log = _followed(leader)
    for _ in range(2):
        leader.append(2)
    assert log.take(2, 2, 0, joined(leader.batches))
    assert (log.high_watermark, log.next_offset) == (2, 2)


def test_a_tail_is_trimmed_of_nothing_that_segments_lack() -> None:
    leader = Leader()
    for _ in range(4):
        leader.append(2)
    leader.advance(100)
    follower = Follower(leader)
    follower.look_at_manifest()
    follower.fetch(1000)
    log = follower.log
    assert log is not None
    assert not log.trim(0)
    assert log.tail_start_offset == 0
    leader.publish(2)
    follower.look_at_manifest()
    assert not log.trim(0)
    assert log.tail_start_offset == 4
    leader.publish(2)
    follower.look_at_manifest()
    assert log.trim(0)
    assert log.tail_start_offset == log.high_watermark == 8


def test_waiters_are_woken_by_answers_and_by_the_end() -> None:
    leader = Leader()
    log = _followed(leader)
    woken: list[bool] = []
    stop = log.on_advance(lambda: woken.append(log.closed))
    leader.append(1)
    leader.advance(100)
    assert log.take(1, 1, 0, memoryview(leader.batches[0][1]))
    log.close()
    assert woken == [False, True]
    stop()
    log.close()
    assert len(woken) == 2
