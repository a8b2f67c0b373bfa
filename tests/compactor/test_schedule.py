"""Turns: due ones in order, quiet ones seldom, failing ones later, those of other nodes last."""

from uuid import UUID

from compactor.schedule import Schedule
from infra.cluster.rendezvous import preferred_node
from infra.partition import PartitionId

PARTITIONS = [PartitionId(UUID(int=number), 0) for number in range(1, 21)]
[ONE, *_] = PARTITIONS


def taken(schedule: Schedule, now: float) -> list[PartitionId]:
    found = []
    while (partition := schedule.take(now)) is not None:
        found.append(partition)
    return found


def test_each_partition_has_one_turn_at_a_time() -> None:
    schedule = Schedule(10.0, 1)
    schedule.follow(PARTITIONS, [1], now=0.0)
    assert sorted(taken(schedule, 0.0)) == PARTITIONS
    assert taken(schedule, 1e9) == []
    schedule.done(ONE, 100.0, news=True)
    assert taken(schedule, 109.0) == []
    assert taken(schedule, 110.0) == [ONE]


def test_where_nothing_happens_one_looks_seldom_until_something_does() -> None:
    schedule = Schedule(10.0, 1)
    schedule.follow([ONE], [1], now=0.0)
    assert schedule.take(0) == ONE
    now, gaps = 0, []
    for news in (False, False, False, False, True):
        schedule.done(ONE, now, news=news)
        due = next(at for at in range(now, now + 1000) if schedule.take(at) == ONE)
        gaps.append(due - now)
        now = due
    assert gaps == [20, 40, 60, 60, 10]


def test_failures_put_a_turn_off_and_a_good_one_ends_that() -> None:
    schedule = Schedule(10.0, 1)
    schedule.follow([ONE], [1], now=0.0)
    assert schedule.take(0.0) == ONE
    assert [schedule.failed(ONE, 0.0) for _ in range(3)] == [1, 2, 3]
    assert schedule.take(79.0) is None
    assert schedule.take(80.0) == ONE
    schedule.done(ONE, 80.0, news=True)
    assert schedule.take(90.0) == ONE
    assert schedule.failed(ONE, 90.0) == 1


def test_nodes_share_partitions_without_a_word() -> None:
    nodes = [1, 2, 3]
    first: list[PartitionId] = []
    for node in nodes:
        schedule = Schedule(10.0, node)
        schedule.follow(PARTITIONS, nodes, now=0.0)
        own = taken(schedule, 0.0)
        assert all(preferred_node(partition, nodes) == node for partition in own)
        assert len(own) + len(taken(schedule, 60.0)) == len(PARTITIONS)  # the others' come too, later
        first += own
    assert sorted(first) == PARTITIONS


def test_what_another_node_leaves_comes_at_once() -> None:
    schedule = Schedule(10.0, 1)
    schedule.follow(PARTITIONS, [1, 2], now=0.0)
    own = taken(schedule, 0.0)
    schedule.follow(PARTITIONS, [1], now=5.0)
    assert sorted(own + taken(schedule, 5.0)) == PARTITIONS


def test_a_partition_that_is_gone_has_no_turn() -> None:
    schedule = Schedule(10.0, 1)
    schedule.follow(PARTITIONS, [], now=0.0)
    assert schedule.take(0.0) is not None
    assert sorted(schedule.follow([ONE], [], now=1.0)) == PARTITIONS[1:]
    for partition in PARTITIONS:
        schedule.done(partition, 1.0, news=True)
        schedule.failed(partition, 1.0)
    assert taken(schedule, 1e9) == [ONE]
