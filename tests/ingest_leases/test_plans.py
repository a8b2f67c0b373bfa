"""Decisions without I/O: which leases to claim and give back, and what of a WAL is returned."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from infra.cluster.extent_chain import ChainedLog
from infra.cluster.rendezvous import preferred_node
from infra.cluster.state import Topic
from infra.partition import Lease, PartitionId, SessionId
from infra.records.batch import BatchHeader
from infra.segment.extent import ProducerEntry
from infra.topic_config import topic_settings
from ingest.lease_plan import HeldLease, LeasePlan, LeasePlanner, Picture, Waiting
from ingest.wal_return import plan_return
from tests.ingest.batches import make_batch

TOPIC = Topic(UUID(int=1), "t", 12, {}, 0)
PARTITIONS = [PartitionId(TOPIC.topic_id, number) for number in range(TOPIC.partitions)]
OWN, OTHER = SessionId(1, 4), SessionId(2, 0)


def plan(
    leaders: Mapping[PartitionId, Lease] | None = None, live: tuple[SessionId, ...] = (OWN, OTHER), **changes: Any
) -> LeasePlan:
    known = leaders or {}

    def leader(partition: PartitionId) -> Lease | None:
        lease = known.get(partition)
        return lease if lease is not None and lease.session in live else None

    values: dict[str, Any] = {
        "session": OWN,
        "ingest_nodes": [session.node_id for session in live],
        "topics": [TOPIC],
        "is_deleted": lambda topic_id: False,
        "settings": lambda topic: topic_settings(topic.configs, {}, "object"),
        "leader": leader,
        "held": {},
        "busy": set(),
        "may_claim": True,
        "search_own_wal": False,
        "in_own_wal": set(),
    }
    return LeasePlanner().plan(Picture(**{**values, **changes}))


def held(partition: PartitionId, durability: str = "object", unclean: bool = False) -> HeldLease:
    return HeldLease(Lease(partition, OWN, 3), durability, unclean)


def mine(partition: PartitionId) -> bool:
    return preferred_node(partition, [1, 2]) == 1


def test_both_kinds_of_partition_are_there() -> None:
    assert 0 < sum(map(mine, PARTITIONS)) < len(PARTITIONS)


def test_a_node_claims_what_it_prefers_and_nobody_leads() -> None:
    claims = plan().claims
    assert [claim.partition for claim in claims] == [one for one in PARTITIONS if mine(one)]
    assert not any(claim.only_own_wal for claim in claims)
    assert [claim.partition for claim in plan(live=(OWN,)).claims] == PARTITIONS
    assert [claim.partition for claim in plan(live=()).claims] == PARTITIONS  # its own session counts in any case


def test_nothing_is_claimed_that_is_busy_held_led_or_too_early() -> None:
    assert plan(may_claim=False).claims == ()
    assert plan(busy=set(PARTITIONS)).claims == ()
    assert plan({one: Lease(one, OTHER, 0) for one in PARTITIONS}).claims == ()
    assert plan(held={one: held(one) for one in PARTITIONS}).claims == ()


def test_what_a_lapsed_session_led_is_claimed() -> None:
    leaders = {one: Lease(one, SessionId(3, 0), 0) for one in PARTITIONS}
    assert {claim.partition for claim in plan(leaders).claims} == {one for one in PARTITIONS if mine(one)}


def test_what_another_prefers_is_given_back_and_changed_terms_too() -> None:
    leases = {one: held(one) for one in PARTITIONS}
    assert {lease.partition for lease in plan(held=leases).releases} == {one for one in PARTITIONS if not mine(one)}
    assert plan(held=leases, live=(OWN,)).releases == ()
    changed = {one: held(one, "wal") for one in PARTITIONS}
    assert len(plan(held=changed, live=(OWN,)).releases) == len(PARTITIONS)
    unclean = {one: held(one, "object", True) for one in PARTITIONS}
    assert len(plan(held=unclean, live=(OWN,)).releases) == len(PARTITIONS)


def test_only_a_deleted_topic_is_dropped_not_a_forgotten_one() -> None:
    leases = {one: held(one) for one in PARTITIONS}
    assert plan(held=leases, topics=[]) == LeasePlan()
    gone = plan(held=leases, topics=[], is_deleted=lambda topic_id: True).gone
    assert {lease.partition for lease in gone} == set(PARTITIONS)


def test_a_lease_that_is_over_is_stale_and_may_be_claimed_anew() -> None:
    leaders = {one: Lease(one, OWN, 0) for one in PARTITIONS}
    made = plan(leaders)
    assert {lease.partition for lease in made.stale} == set(PARTITIONS)
    assert {claim.partition for claim in made.claims if not claim.only_own_wal} == {
        one for one in PARTITIONS if mine(one)
    }


def test_what_may_stand_in_the_own_wal_is_asked_for() -> None:
    others = {one for one in PARTITIONS if not mine(one)}

    def asked(**changes: Any) -> set[PartitionId]:
        return {claim.partition for claim in plan(**changes).claims if claim.only_own_wal}

    assert asked() == set()
    assert asked(search_own_wal=True) == others
    assert asked(in_own_wal=others) == others
    lapsed = {one: Lease(one, SessionId(2, 3), 0) for one in PARTITIONS}
    assert asked(leaders=lapsed, search_own_wal=True) == others
    led = {one: Lease(one, OTHER, 0) for one in PARTITIONS}
    assert asked(leaders=led, search_own_wal=True) == set()
    assert asked(leaders=led, in_own_wal=set(PARTITIONS)) == set(PARTITIONS)


def test_waiting_ends_with_time_or_another_leader() -> None:
    waiting = Waiting()
    leaders: dict[PartitionId, Lease] = {}
    for partition in PARTITIONS[:3]:
        waiting.add(partition, 10.0, None)
    assert waiting.now(9.0, leaders.get) == set(PARTITIONS[:3])
    leaders[PARTITIONS[0]] = Lease(PARTITIONS[0], OTHER, 0)
    assert waiting.now(9.0, leaders.get) == set(PARTITIONS[1:3])
    assert waiting.now(10.0, leaders.get) == set()


def stamped(base: int, count: int, leader_epoch: int, **producer: int) -> memoryview:
    batch = make_batch(count, **producer)  # type: ignore[arg-type]
    batch[:8] = base.to_bytes(8, "big")
    batch[12:16] = leader_epoch.to_bytes(4, "big")
    return batch


def returned(end: int, left: list[memoryview], epoch: int = 2, **limits: int) -> list[list[int]]:
    parts = plan_return(PARTITIONS[0], epoch, ChainedLog(end, (), ()), left, 7, **limits)
    return [[BatchHeader.parse(batch).base_offset for batch in part.batches] for part in parts]


def test_only_what_continues_the_log_at_its_last_epoch_is_returned() -> None:
    left = [stamped(0, 5, 2), stamped(5, 5, 2), stamped(10, 5, 2)]
    assert returned(0, left) == [[0, 5, 10]]
    assert returned(5, left) == [[5, 10]]
    assert returned(15, left) == []
    assert returned(7, left) == [[5, 10]]  # the log start was raised into a batch
    assert returned(0, left[1:]) == []  # a hole
    assert returned(0, [left[0], left[2]]) == [[0]]
    assert returned(0, left, epoch=3) == []
    assert returned(0, [stamped(0, 5, 1), *left]) == [[0, 5, 10]]
    assert returned(0, [*left, *left]) == [[0, 5, 10]]  # recovered, and lost again in this process
    assert returned(0, left, segment_bytes=1) == [[0], [5], [10]]


def test_returned_batches_carry_their_producers_on() -> None:
    before = ProducerEntry(5, 0, ((0, 0, 0, 1),))
    log = ChainedLog(1, (), (before,))
    left = [stamped(1, 1, 2, producer_id=5, epoch=0, sequence=1), stamped(2, 1, 2, producer_id=6, epoch=0, sequence=0)]
    [part] = plan_return(PARTITIONS[0], 2, log, left, 7)
    assert [(entry.producer_id, len(entry.batches), entry.last_timestamp) for entry in part.producers] == [
        (5, 2, 7),
        (6, 1, 7),
    ]


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 2)), max_size=8), st.integers(0, 12))
def test_whatever_is_returned_is_contiguous_from_the_end(sizes: list[tuple[int, int]], end: int) -> None:
    left = []
    base = 0
    for count, epoch in sizes:
        left.append(stamped(base, count, epoch))
        base += count
    offset = end
    for part in plan_return(PARTITIONS[0], 2, ChainedLog(end, (), ()), left, 7):
        for batch in part.batches:
            header = BatchHeader.parse(batch)
            assert header.base_offset <= offset < header.next_offset
            assert header.leader_epoch == 2
            offset = header.next_offset
