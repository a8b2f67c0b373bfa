"""The rules by which an object is garbage, one by one."""

from dataclasses import replace
from uuid import UUID

import pytest

from compactor.garbage import (
    LATER_MS,
    DeadSince,
    ExtentSpan,
    Ledgers,
    PartitionLedgers,
    TopicState,
    extent_is_dead,
    may_yet_be_named,
    record_segment_is_dead,
)
from compactor.segment_memory import SegmentMemory
from infra.cluster.extent_chain import is_void
from infra.cluster.records import TopicRecord
from infra.partition import PartitionId
from infra.ports import EpochStart

TOPIC = UUID(int=1)
P = PartitionId(TOPIC, 0)
RECORD = TopicRecord(TOPIC, "t", 1)
EPOCHS = (EpochStart(0, 0), EpochStart(2, 10), EpochStart(3, 20))


def ledgers(known: PartitionLedgers | None = None, record: TopicRecord | None = RECORD) -> Ledgers:
    return Ledgers({TOPIC: TopicState(0, record, 0)}, (), {} if known is None else {P: known})


@pytest.mark.parametrize(
    ("epoch", "base", "last", "void"),
    [
        (0, 0, 9, False),
        (0, 9, 9, False),
        (0, 9, 10, True),  # it straddles the next epoch's start: whoever took over found another way there
        (0, 10, 12, True),
        (1, 10, 12, True),  # an epoch that wrote nothing that exists
        (2, 10, 19, False),
        (2, 9, 12, True),
        (2, 20, 20, True),
        (3, 20, 99, False),
        (4, 20, 99, False),  # newer than what was read
    ],
)
def test_what_is_void_by_the_epoch_rule(epoch: int, base: int, last: int, void: bool) -> None:
    assert is_void(EPOCHS, epoch, base, last) == void
    assert extent_is_dead(ExtentSpan(P, epoch, base, last), ledgers(PartitionLedgers(EPOCHS))) == void


def test_nothing_is_void_without_epoch_records() -> None:
    assert not is_void((), 0, 0, 5)


@pytest.mark.parametrize(
    ("floor", "producers_upto", "dead"), [(10, 10, True), (9, 10, False), (10, 9, False), (99, 0, False)]
)
def test_an_extent_dies_below_the_floor_and_the_producers(floor: int, producers_upto: int, dead: bool) -> None:
    known = PartitionLedgers(EPOCHS, floor=floor, producers_upto=producers_upto)
    assert extent_is_dead(ExtentSpan(P, 0, 0, 9), ledgers(known)) == dead


def test_what_cannot_be_read_keeps_everything() -> None:
    span = ExtentSpan(P, 0, 0, 9)
    assert not extent_is_dead(span, ledgers())
    assert not extent_is_dead(span, ledgers(record=None))
    assert not record_segment_is_dead("k", P, ledgers())


def test_a_topic_is_gone_once_it_is_purged_or_nobody_knows_it() -> None:
    span, deleted = ExtentSpan(P, 0, 0, 9), replace(RECORD, deleted_ms=5)
    assert not extent_is_dead(span, ledgers(record=deleted))
    assert extent_is_dead(span, ledgers(record=replace(deleted, purged=True)))
    assert extent_is_dead(span, Ledgers({}, (), {}))
    assert not extent_is_dead(span, Ledgers({}, {TOPIC}, {}))  # it has no ledger and still a name: too much was removed


def test_a_record_segment_is_dead_unless_it_is_named() -> None:
    known = ledgers(PartitionLedgers(sizes={"named": 1}))
    assert not record_segment_is_dead("named", P, known)
    assert record_segment_is_dead("other", P, known)


def test_only_a_later_manifest_record_refuses_a_slow_compactor() -> None:
    assert may_yet_be_named(1_000, PartitionLedgers(manifest_ms=-1))
    assert may_yet_be_named(1_000, PartitionLedgers(manifest_ms=1_000 + LATER_MS))
    assert not may_yet_be_named(1_000, PartitionLedgers(manifest_ms=1_001 + LATER_MS))


def test_a_purge_is_due_by_the_later_of_two_clocks() -> None:
    deleted = replace(RECORD, deleted_ms=100)
    assert TopicState(1, deleted, 50).purge_due(10, 110)
    assert not TopicState(1, deleted, 150).purge_due(10, 110)
    assert not TopicState(1, deleted, 50).purge_due(10, 109)
    assert not TopicState(1, RECORD, 50).purge_due(10, 10**9)
    assert not TopicState(1, replace(deleted, purged=True), 50).purge_due(10, 10**9)
    assert not TopicState(1, None, 50).purge_due(10, 10**9)


def test_the_grace_begins_with_the_first_verdict_and_anew_after_another() -> None:
    dead = DeadSince[str](2)
    dead.note("a", True, 0.0)
    dead.note("a", True, 5.0)
    assert dead.is_ripe("a", 10.0, 10.0)
    dead.note("a", False, 11.0)
    dead.note("a", True, 12.0)
    assert not dead.is_ripe("a", 10.0, 21.0)
    assert dead.is_ripe("a", 10.0, 22.0)


def test_the_dead_that_there_is_no_room_for_are_noted_later() -> None:
    dead = DeadSince[str](1)
    dead.note("a", True, 0.0)
    dead.note("b", True, 0.0)
    assert not dead.is_ripe("b", 0.0, 99.0)
    dead.forget(["a"])
    dead.note("b", True, 99.0)
    assert dead.is_ripe("b", 0.0, 99.0)


def test_of_a_segment_few_extents_are_remembered_and_none_is_forgotten() -> None:
    spans = [ExtentSpan(PartitionId(TOPIC, number), 0, 0, number) for number in range(30)]

    def with_floor(floor: int) -> Ledgers:
        known = PartitionLedgers((EpochStart(0, 0),), floor=floor, producers_upto=floor)
        return Ledgers(ledgers().topics, (), {span.partition: known for span in spans})

    memory = SegmentMemory()
    memory.learn("s", spans)
    assert not memory.judge("s", with_floor(0))
    assert 0 < len(memory.spans("s")) < 10
    assert {span.last_offset for span in memory.spans("s")} == set(range(22, 30))  # those that die last
    assert not memory.judge("s", with_floor(25))
    assert not memory.judge("s", with_floor(30))  # all that is remembered is dead: the footer must tell the rest
    assert "s" not in memory
    memory.learn("s", spans)
    assert memory.judge("s", with_floor(30))


def test_a_full_memory_reads_the_rest_again() -> None:
    memory = SegmentMemory(1)
    for key in ("a", "b"):
        memory.learn(key, [ExtentSpan(P, 3, 20, 30)])
        assert not memory.judge(key, ledgers(PartitionLedgers(EPOCHS)))
    assert memory.remembered() == ["a"]
