import asyncio
import json
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.cluster.cluster import open_cluster
from infra.cluster.manifest import WHOLE_EVERY, Manifest, ManifestLedger
from infra.cluster.manifest_record import ManifestRecord, RecordSegment, RowGroup
from infra.cluster.producer_ids import ProducerIds
from infra.cluster.records import (
    ClusterRecord,
    EpochRecord,
    ProducerIdBlock,
    SessionRecord,
    SettingRecord,
    TopicNameRecord,
    TopicRecord,
)
from infra.cluster.rendezvous import preferred_node
from infra.errors import BadStart, Corrupt, Exists
from infra.partition import PartitionId, SessionId
from infra.ports import EpochStart
from infra.segment.extent import ProducerEntry
from tests.cluster.world import World

PARTITION = PartitionId(UUID(int=3), 4)
TOPIC = TopicRecord(UUID(int=3), "täglich.a-b", 4, {"retention.ms": "5"}, 77)
PRODUCER = ProducerEntry(9, 1, ((0, 4, 10, 99),), 99)


def segment(base: int, last: int) -> RecordSegment:
    groups = (RowGroup(base, last, 4, 1000),)
    return RecordSegment(f"records/{base}-{last}", base, last, last - base + 1, 2000, 5, groups)


RECORDS: list[Any] = [
    ClusterRecord("abc"),
    SessionRecord({"PLAINTEXT": "a:1"}, None, frozenset({"ingest", "reader"}), "w", 5),
    EpochRecord(SessionId(1, 2), 3, "wal", False, "disk", (EpochStart(0, 0), EpochStart(2, 1))),
    EpochRecord(SessionId(1, 2), 0, "object", True, None),
    TOPIC,
    TopicNameRecord(TOPIC),
    TopicNameRecord(None),
    SettingRecord({"a": "b"}),
    ProducerIdBlock(SessionId(4, 5)),
    ManifestRecord(7, (segment(7, 9),), ("records/x",), (PRODUCER,), 10),
    ManifestRecord(7, producers=(replace(PRODUCER, coordinator_epoch=4, transaction_first_offset=6), PRODUCER)),
    ManifestRecord(7, whole=True),
    ManifestRecord(7, (replace(segment(7, 9), cleaned_ms=3, rewrites=2, bytes_in=9, value_format="json"),)),
    ManifestRecord(7, whole=True, cleaned_upto=0),
    ManifestRecord(7, cleaned_upto=6),
]


@pytest.mark.parametrize("record", RECORDS)
def test_records_come_back_as_they_were_written(record: Any) -> None:
    assert type(record).decode(record.encode(), "key") == record


@pytest.mark.parametrize("record", RECORDS)
def test_a_newer_format_is_refused_and_a_newer_field_is_not(record: Any) -> None:
    fields = json.loads(record.encode())
    assert type(record).decode(json.dumps({**fields, "new": 1}).encode(), "key") == record
    with pytest.raises(BadStart, match="some/key has format version 9"):
        type(record).decode(json.dumps({**fields, "version": 9}).encode(), "some/key")


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"7", b"{}", b'{"version":1}', b"\xff", b'{"version":"x"}'])
def test_bytes_that_are_no_record_name_their_object(body: bytes) -> None:
    for record in RECORDS:
        with pytest.raises(Corrupt, match="some/key"):
            type(record).decode(body, "some/key")


def test_epochs_that_wrote_nothing_are_not_repeated() -> None:
    record = EpochRecord(SessionId(1, 0), 5, "object", False, None, (EpochStart(0, 0),))
    assert record.chain(3) == (EpochStart(0, 0), EpochStart(3, 5))
    assert record.chain_before(3, 9) == (EpochStart(0, 0), EpochStart(3, 5))
    assert record.chain_before(3, 5) == (EpochStart(0, 0),)


def test_a_manifest_is_the_fold_of_its_records() -> None:
    manifest = Manifest()
    for record in (
        ManifestRecord(0, (segment(0, 9),), (), (PRODUCER,), 10),
        ManifestRecord(0, (segment(10, 19),)),
        ManifestRecord(5),
        ManifestRecord(5, (segment(0, 19),), ("records/0-9", "records/10-19")),
    ):
        manifest = manifest.apply(record)
    assert manifest == Manifest(3, 5, (segment(0, 19),), (PRODUCER,), 10)
    assert (manifest.records_end, manifest.floor) == (20, 20)
    assert Manifest().apply(manifest.as_whole()) == Manifest(0, 5, (segment(0, 19),), (PRODUCER,), 10)
    with pytest.raises(Corrupt):
        manifest.apply(ManifestRecord(0, (segment(19, 20),)))


def test_what_has_been_cleaned_stays_so_until_a_record_says_more() -> None:
    manifest = Manifest()
    for record in (ManifestRecord(0, (segment(0, 9),), cleaned_upto=10), ManifestRecord(4)):
        manifest = manifest.apply(record)
    assert manifest.cleaned_upto == 10
    assert Manifest().apply(manifest.as_whole()).cleaned_upto == 10
    assert manifest.apply(ManifestRecord(4, cleaned_upto=20)).cleaned_upto == 20
    assert manifest.apply(ManifestRecord(0, whole=True)).cleaned_upto == 0


def test_manifest_records_of_the_first_release_are_read_and_written_as_then() -> None:
    body = (
        b'{"added":[{"base_offset":7,"key":"records/7-9","last_offset":9,"max_timestamp":5,"records":3,'
        b'"row_groups":[[7,9,4,1000]],"size":2000}],"log_start_offset":7,"producers":null,"producers_upto":0,'
        b'"removed":[],"version":1,"whole":false}'
    )
    record = ManifestRecord(7, (segment(7, 9),))
    assert ManifestRecord.decode(body, "key") == record
    assert record.encode() == body


def test_a_manifest_ledger_lets_one_plan_win_and_stays_quick_to_read() -> None:
    async def scenario() -> None:
        world = await World().start()
        ledger = ManifestLedger(world.store)
        manifest = await ledger.read(PARTITION)
        assert manifest == Manifest()
        first = await ledger.append(PARTITION, manifest, ManifestRecord(0, (segment(0, 9),)))
        with pytest.raises(Exists):
            await ledger.append(PARTITION, manifest, ManifestRecord(3))
        for offset in range(10, 10 + 2 * WHOLE_EVERY):
            last = await ledger.raise_log_start(PARTITION, offset, first)
        assert last.log_start_offset == 9 + 2 * WHOLE_EVERY
        assert last.segments == (segment(0, 9),)
        world.store.counts.clear()
        assert await ledger.read(PARTITION) == last
        assert world.store.counts["get"] <= WHOLE_EVERY
        assert await ledger.read(PARTITION, first) == last
        assert await ledger.raise_log_start(PARTITION, 1) == last

    asyncio.run(scenario())


def test_concurrent_raises_of_the_log_start_all_take_effect() -> None:
    async def scenario() -> None:
        world = await World().start()
        ledger = ManifestLedger(world.store)
        await asyncio.gather(*(ledger.raise_log_start(PARTITION, offset) for offset in range(20)))
        assert (await ledger.read(PARTITION)).log_start_offset == 19

    asyncio.run(scenario())


def test_the_cluster_id_is_made_once() -> None:
    async def scenario() -> None:
        world = World()
        records = await asyncio.gather(*(open_cluster(world.store, world.clock) for _ in range(3)))
        assert len({record.cluster_id for record in records}) == 1
        assert len(records[0].cluster_id) == 22

    asyncio.run(scenario())


def test_producer_ids_are_never_given_twice() -> None:
    async def scenario() -> None:
        world = World()
        nodes = [ProducerIds(world.store, lambda: SessionId(1, 0)) for _ in range(2)]
        taken = [await node.next() for _ in range(1001) for node in nodes]
        assert len(set(taken)) == len(taken)
        assert max(taken) == 3000

    asyncio.run(scenario())


@given(st.sets(st.integers(0, 1000), min_size=2, max_size=8), st.integers(0, 200))
def test_only_the_partitions_of_a_node_that_goes_change_hands(nodes: set[int], number: int) -> None:
    partition = PartitionId(UUID(int=11), number)
    before = preferred_node(partition, nodes)
    gone = min(nodes)
    after = preferred_node(partition, nodes - {gone})
    assert before in nodes
    assert after == before or before == gone


def test_partitions_are_spread_over_the_nodes() -> None:
    led = [preferred_node(PartitionId(UUID(int=11), number), [1, 2, 3]) for number in range(300)]
    assert all(70 <= led.count(node) <= 130 for node in (1, 2, 3))
    assert preferred_node(PARTITION, []) is None
