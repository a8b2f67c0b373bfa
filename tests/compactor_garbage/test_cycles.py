"""Garbage collection on a small cluster, step by step."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import UUID

import pytest

from compactor.reconcile import Garbage
from compactor.replace import Replacer
from compactor.unnamed_segments import UnnamedSegments
from infra.cluster.manifest_record import ManifestRecord
from infra.errors import Exists
from infra.object_key import BatchSegmentKey, ProbeKey, RecordSegmentKey
from infra.partition import PartitionId, SessionId
from infra.segment.footer import read_extents
from tests.compactor_garbage.cluster import GRACE_MS, LIMITS, UNDELETE_MS, Crashed, SmallCluster, is_alive

ULID = "0" * 26
GRACE = GRACE_MS / 1000


def run(scenario: Callable[[SmallCluster, Garbage], Awaitable[None]]) -> None:
    async def whole() -> None:
        cluster = await SmallCluster(7).start()
        await scenario(cluster, cluster.collectors[0])

    asyncio.run(whole())


async def a_topic(cluster: SmallCluster, name: str = "t") -> PartitionId:
    """A topic whose first partition is led."""
    topic = await cluster.ledger.create(name, 1, {})
    cluster.discover()
    partition = PartitionId(topic.topic_id, 0)
    while partition not in cluster.led:
        await cluster.lead()
    return partition


async def flushed(cluster: SmallCluster, partition: PartitionId) -> str:
    """A batch segment of one partition."""
    led = cluster.led[partition]
    [one] = await cluster._put(led.session, [(partition, led, 5)])
    led.end = one.extent.last_offset + 1
    led.extents.append(one)
    cluster.acknowledged[partition] = led.end
    return one.extent.segment


async def compacted(cluster: SmallCluster, partition: PartitionId) -> str:
    """Everything becomes one more record segment."""
    manifest = await cluster.manifests.read(partition)
    last = cluster.led[partition].end - 1
    added = await cluster._record_segment(partition, manifest.floor, last)
    record = ManifestRecord(manifest.log_start_offset, added=(added,), producers=(), producers_upto=last + 1)
    await cluster.manifests.append(partition, manifest, record)
    return added.key


def test_a_compacted_segment_goes_after_the_grace_and_not_before() -> None:
    async def scenario(cluster: SmallCluster, garbage: Garbage) -> None:
        partition = await a_topic(cluster)
        key = await flushed(cluster, partition)
        assert (await garbage.run()).waiting == 0
        named = await compacted(cluster, partition)
        assert (await garbage.run()).waiting == 1
        cluster.clock.seconds += GRACE - 1
        assert (await garbage.run()).deleted == ()
        cluster.clock.seconds += 1
        assert (await garbage.run()).deleted == (key,)
        assert cluster.store.keys("records/") == [named]

    run(scenario)


def test_the_grace_of_a_record_segment_begins_when_it_is_named_no_more() -> None:
    async def scenario(cluster: SmallCluster, garbage: Garbage) -> None:
        partition = await a_topic(cluster)
        await flushed(cluster, partition)
        manifest = await cluster.manifests.read(partition)
        added = await cluster._record_segment(partition, 0, 4)  # PUT, and not yet named
        assert (await garbage.run()).waiting == 1
        cluster.clock.seconds += GRACE - 10
        record = ManifestRecord(0, added=(added,), producers=(), producers_upto=5)
        manifest = await cluster.manifests.append(partition, manifest, record)
        await cluster.manifests.append(partition, manifest, ManifestRecord(5, removed=(added.key,)))
        cluster.clock.seconds += 20
        await garbage.run()
        assert added.key in cluster.store.keys("")  # somebody may have read the manifest that named it
        cluster.clock.seconds += GRACE
        assert added.key in (await garbage.run()).deleted

    run(scenario)


def test_a_slow_compactor_cannot_bring_in_what_was_deleted() -> None:
    async def scenario(cluster: SmallCluster, garbage: Garbage) -> None:
        partition = await a_topic(cluster)
        await flushed(cluster, partition)
        manifest = await cluster.manifests.read(partition)
        added = await cluster._record_segment(partition, 0, 4)
        await garbage.run()
        cluster.clock.seconds += GRACE
        assert (await garbage.run()).deleted == (added.key,)
        after = await cluster.manifests.read(partition)
        assert (after.version, after.segments, after.floor) == (manifest.version + 1, (), manifest.floor)
        record = ManifestRecord(0, added=(added,), producers=(), producers_upto=5)
        with pytest.raises(Exists):
            await cluster.manifests.append(partition, manifest, record)

    run(scenario)


def test_a_record_segment_that_is_named_at_the_last_moment_stays() -> None:
    async def scenario(cluster: SmallCluster, garbage: Garbage) -> None:
        partition = await a_topic(cluster)
        await flushed(cluster, partition)
        manifest = await cluster.manifests.read(partition)
        added = await cluster._record_segment(partition, 0, 4)
        await garbage.run()
        cluster.clock.seconds += GRACE

        class FasterCompactor(Replacer):
            async def read(self, partition: PartitionId):  # type: ignore[no-untyped-def]
                record = ManifestRecord(0, added=(added,), producers=(), producers_upto=5)
                await cluster.manifests.append(partition, manifest, record)
                return await super().read(partition)

        replacer = FasterCompactor(cluster.manifests, cluster.view)
        garbage._unnamed = UnnamedSegments(cluster.store, replacer, read_extents)
        assert (await garbage.run()).deleted == ()
        assert added.key in cluster.store.keys("")

    run(scenario)


def test_what_a_table_names_stays() -> None:
    async def scenario(cluster: SmallCluster, _: Garbage) -> None:
        partition = await a_topic(cluster)
        await flushed(cluster, partition)
        kept, gone = [await cluster._record_segment(partition, 0, 4) for _ in range(2)]

        async def named(topic_id: UUID) -> set[str]:
            assert topic_id == partition.topic_id
            return {kept.key}

        replacer = Replacer(cluster.manifests, cluster.view)
        garbage = Garbage(
            cluster.store, cluster.view, cluster.clock, replacer, LIMITS, owner="c", named_by_tables=named
        )
        await garbage.run()
        cluster.clock.seconds += GRACE
        assert (await garbage.run()).deleted == (gone.key,)

    run(scenario)


def test_an_idle_bucket_costs_eight_lists_a_cycle_and_nothing_else() -> None:
    async def scenario(cluster: SmallCluster, garbage: Garbage) -> None:
        partition = await a_topic(cluster)
        await flushed(cluster, partition)
        await compacted(cluster, partition)
        await flushed(cluster, partition)
        for _ in range(3):
            await garbage.run()
            cluster.clock.seconds += GRACE
        cluster.store.counts.clear()
        report = await garbage.run()
        assert (report.deleted, report.waiting, report.listed) == ((), 0, 2)
        assert cluster.store.counts == {"list": 8}

    run(scenario)


def test_what_is_not_ours_is_told_and_never_touched() -> None:
    async def scenario(cluster: SmallCluster, garbage: Garbage) -> None:
        strange = "records/notes.txt"
        await cluster.store.create(strange, b"mine")
        for _ in range(4):
            assert (await garbage.run()).unknown == (strange,)
            cluster.clock.seconds += GRACE
        assert cluster.store.keys() == [strange]

    run(scenario)


def test_a_segment_that_cannot_be_read_is_told_and_stays() -> None:
    async def scenario(cluster: SmallCluster, garbage: Garbage) -> None:
        partition = await a_topic(cluster)
        key = BatchSegmentKey(SessionId(9, 9), 0).key
        await cluster.store.create(key, b"not parquet")
        await flushed(cluster, partition)
        other_size = await compacted(cluster, partition)
        cluster.store._objects[other_size] = (b"short", 0)
        for _ in range(4):
            damaged = {one.key: one.problem for one in (await garbage.run()).damaged}
            assert damaged[key] == f"{key} does not end as a Parquet file"
            assert damaged[other_size] == "it has 5 bytes, its manifest says 50"
            cluster.clock.seconds += GRACE
        assert {key, other_size} <= set(cluster.store.keys())

    run(scenario)


def test_what_a_manifest_names_and_is_not_there_is_told() -> None:
    async def scenario(cluster: SmallCluster, garbage: Garbage) -> None:
        partition = await a_topic(cluster)
        await flushed(cluster, partition)
        key = await compacted(cluster, partition)
        await cluster.store.delete([key])
        assert (await garbage.run()).missing == (key,)

    run(scenario)


def test_a_manifest_that_cannot_be_read_keeps_its_partition() -> None:
    async def scenario(cluster: SmallCluster, garbage: Garbage) -> None:
        partition = await a_topic(cluster)
        await flushed(cluster, partition)
        await compacted(cluster, partition)
        [ledger] = cluster.store.keys("manifests/")
        cluster.store._objects[ledger] = (b"{}", 0)
        stays = set(cluster.store.keys())
        for _ in range(4):
            assert (await garbage.run()).damaged
            cluster.clock.seconds += GRACE
        assert set(cluster.store.keys()) == stays

    run(scenario)


def test_manifests_that_were_removed_by_hand_cost_no_record_segment() -> None:
    async def scenario(cluster: SmallCluster, garbage: Garbage) -> None:
        partition = await a_topic(cluster)
        await flushed(cluster, partition)
        first = await compacted(cluster, partition)
        await garbage.run()
        cluster.clock.seconds += GRACE
        assert (await garbage.run()).deleted  # the batch segment
        await flushed(cluster, partition)
        second = await compacted(cluster, partition)
        await garbage.run()
        newest = cluster.store.keys("manifests/")[-1]
        body = await cluster.store.get(newest)
        await cluster.store.delete([newest])
        assert "its newest records are gone" in (await garbage.run()).damaged[0].problem
        cluster.clock.seconds += 2 * GRACE
        await garbage.run()
        await cluster.store.create(newest, body)
        assert not (await garbage.run()).damaged
        await cluster.store.delete(cluster.store.keys("manifests/"))
        for collector in (garbage, cluster.collectors[1]):
            for _ in range(3):
                cluster.clock.seconds += GRACE
                await collector.run()
        assert first in cluster.store.keys("records/")  # no batch segment has its records any more
        assert second in cluster.store.keys("records/") or cluster.store.keys("batches/")

    run(scenario)


@pytest.mark.parametrize("prefix", ["manifests", "epochs", "topics"])
def test_an_object_of_somebody_elses_among_a_ledgers_changes_nothing(prefix: str) -> None:
    async def scenario(cluster: SmallCluster, garbage: Garbage) -> None:
        partition = await a_topic(cluster)
        await flushed(cluster, partition)
        await compacted(cluster, partition)
        await flushed(cluster, partition)
        ledger = cluster.store.keys(f"{prefix}/")[-1].rpartition("/")[0]
        await cluster.store.create(f"{ledger}/zzz", b"mine")
        await cluster.store.create(f"{ledger}/0", b"mine")
        stays = set(cluster.store.keys()) - {cluster.store.keys("batches/")[0]}
        for _ in range(4):
            await garbage.run()
            cluster.clock.seconds += GRACE
        assert set(cluster.store.keys()) == stays

    run(scenario)


def test_a_purged_topic_gives_its_name_back_and_its_ledger_outlives_its_objects_by_a_grace() -> None:
    async def scenario(cluster: SmallCluster, garbage: Garbage) -> None:
        partition = await a_topic(cluster)
        await flushed(cluster, partition)
        cluster.store.dies_in = 3  # the topic is deleted, its name not given back
        with pytest.raises(Crashed):
            await cluster.ledger.delete(partition.topic_id)
        cluster.store.dies_in = None
        assert not is_alive(cluster.store, partition.topic_id)
        assert await cluster.ledger.holders() == {partition.topic_id}
        cluster.clock.seconds += UNDELETE_MS / 1000
        lived = 0
        for _ in range(30):
            await garbage.run()
            kinds = {key.split("/")[0] for key in cluster.store.keys("")}
            lived += "topics" in kinds and "epochs" not in kinds
            cluster.clock.seconds += GRACE / 4
        assert "topics" not in kinds
        assert lived >= 4
        assert await cluster.ledger.holders() == set()

    run(scenario)


def test_a_topic_whose_ledger_was_removed_by_hand_keeps_everything_while_it_has_its_name() -> None:
    async def scenario(cluster: SmallCluster, garbage: Garbage) -> None:
        partition = await a_topic(cluster)
        await flushed(cluster, partition)
        await cluster.store.delete(cluster.store.keys("topics/"))
        stays = set(cluster.store.keys())
        for _ in range(4):
            assert "still has a name" in (await garbage.run()).damaged[0].problem
            cluster.clock.seconds += GRACE
        assert set(cluster.store.keys()) == stays

    run(scenario)


def test_a_deleted_topic_can_be_undeleted_until_it_is_purged_and_then_leaves_nothing() -> None:
    async def scenario(cluster: SmallCluster, garbage: Garbage) -> None:
        partition = await a_topic(cluster)
        await flushed(cluster, partition)
        await compacted(cluster, partition)
        await flushed(cluster, partition)
        await cluster.ledger.delete(partition.topic_id)
        cluster.clock.seconds += UNDELETE_MS / 1000 - 1
        for _ in range(2):
            await garbage.run()
        back = await cluster.ledger.undelete(partition.topic_id)
        assert back.topic_id == partition.topic_id
        await cluster.ledger.delete(partition.topic_id)
        cluster.clock.seconds += UNDELETE_MS / 1000 - 1
        await garbage.run()
        cluster.clock.seconds += 1
        assert (await garbage.run()).purged == (partition.topic_id,)
        assert set(await garbage._view.topics()) == {partition.topic_id}
        for _ in range(6):
            cluster.clock.seconds += GRACE
            await garbage.run()
        assert {key.split("/")[0] for key in cluster.store.keys("")} <= {"topic-names", "fences"}
        assert await garbage._view.topics() == {}

    run(scenario)


def test_the_rest_of_a_topic_that_nobody_knows_goes() -> None:
    async def scenario(cluster: SmallCluster, garbage: Garbage) -> None:
        unknown = PartitionId(UUID(int=99, version=4), 0)
        await cluster.store.create(RecordSegmentKey(unknown, 0, 4, ULID).key, b"r")
        await cluster.store.create(f"tables/{unknown.topic_id}/metadata/v1.json", b"{}")
        await cluster.store.create(ProbeKey("left").key, b"probe")
        await garbage.run()
        cluster.clock.seconds += GRACE
        await garbage.run()
        assert cluster.store.keys() == []

    run(scenario)


def test_one_node_at_a_time_does_the_work() -> None:
    async def scenario(cluster: SmallCluster, garbage: Garbage) -> None:
        replacer = Replacer(cluster.manifests, garbage._view)
        other = Garbage(cluster.store, garbage._view, cluster.clock, replacer, LIMITS, owner="other")
        assert (await garbage.run()).held
        assert not (await other.run()).held
        cluster.clock.seconds += 3 * LIMITS.interval_ms / 1000
        assert (await other.run()).held

    run(scenario)


def test_a_large_bucket_is_gone_through_a_stretch_at_a_time() -> None:
    async def scenario(cluster: SmallCluster, _: Garbage) -> None:
        partition = await a_topic(cluster)
        keys = [await flushed(cluster, partition) for _ in range(7)]
        await cluster.store.create(ProbeKey("left").key, b"probe")
        await compacted(cluster, partition)
        replacer = Replacer(cluster.manifests, cluster.view)
        limits = replace(LIMITS, listed=3, footers=2, deletes=1)
        garbage = Garbage(cluster.store, cluster.view, cluster.clock, replacer, limits, owner="c")
        listed = 0
        for _ in range(60):
            report = await garbage.run()
            listed = max(listed, report.listed)
            assert len(report.deleted) <= 1
            cluster.clock.seconds += GRACE / 4
        assert listed == 3
        assert not set(keys) & set(cluster.store.keys())
        assert cluster.store.keys("probe/") == []
        assert len(cluster.store.keys("records/")) == 1

    run(scenario)


def test_a_long_ledger_is_not_listed_from_its_beginning() -> None:
    async def scenario(cluster: SmallCluster, garbage: Garbage) -> None:
        partition = await a_topic(cluster)
        await flushed(cluster, partition)
        manifest = await cluster.manifests.read(partition)
        for _ in range(1100):
            manifest = await cluster.manifests.append(partition, manifest, ManifestRecord(0))
        await garbage.run()
        cluster.store.counts.clear()
        seen: list[str] = []
        listing = cluster.store.list

        def noting(prefix: str, *, start_after: str = ""):  # type: ignore[no-untyped-def]
            seen.append(start_after)
            return listing(prefix, start_after=start_after)

        cluster.store.list = noting  # type: ignore[method-assign]
        manifest = await cluster.manifests.append(partition, manifest, ManifestRecord(0))
        await garbage.run()
        assert any(key.endswith("/0000001098") for key in seen)
        assert garbage._ledgers._partitions[partition].manifest.version == 1100

    run(scenario)
