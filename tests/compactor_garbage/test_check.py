"""Checking and mending a bucket."""

import asyncio
from collections.abc import Awaitable, Callable

from compactor.bucket_mend import BucketMend, Mended
from infra.cluster.manifest_record import ManifestRecord
from infra.object_key import BatchSegmentKey, ProbeKey
from infra.partition import SessionId
from tests.compactor_garbage.cluster import GRACE_MS, UNDELETE_MS, Oracle, SmallCluster
from tests.compactor_garbage.test_cycles import a_topic, compacted, flushed

GRACE = GRACE_MS / 1000


def run(scenario: Callable[[SmallCluster], Awaitable[None]]) -> None:
    async def whole() -> None:
        await scenario(await SmallCluster(7).start())

    asyncio.run(whole())


async def mend(cluster: SmallCluster) -> Mended:
    mending = BucketMend(cluster.store, cluster.ledger, cluster.clock, grace_ms=GRACE_MS, undelete_ms=UNDELETE_MS)
    return await mending.run(await cluster.check())


def test_a_sound_bucket_has_no_findings() -> None:
    async def scenario(cluster: SmallCluster) -> None:
        partition = await a_topic(cluster)
        await flushed(cluster, partition)
        report = await cluster.check()
        assert (report.findings, report.sound) == ((), True)
        await compacted(cluster, partition)
        report = await cluster.check()
        [finding] = report.findings
        assert (finding.kind, finding.key) == ("unreferenced", cluster.store.keys("batches/")[0])
        assert report.sound

    run(scenario)


def test_what_is_missing_is_told_with_its_offsets() -> None:
    async def scenario(cluster: SmallCluster) -> None:
        partition = await a_topic(cluster)
        await flushed(cluster, partition)
        named = await compacted(cluster, partition)
        lost = await flushed(cluster, partition)
        await flushed(cluster, partition)
        cluster.old.clear()
        while partition in cluster.led and cluster.led[partition].epoch == 0:
            await cluster.lead()
        await flushed(cluster, partition)
        await cluster.store.delete([named, lost])
        missing = {one.key: one.problem for one in (await cluster.check()).of("missing")}
        assert missing[named].startswith("offsets 0 to 4 of t-0 are gone: ")
        assert "offset 5" in missing[named]
        [gap] = [problem for key, problem in missing.items() if key.startswith("epochs/")]
        assert gap.startswith("offsets 5 to 9 of t-0 are gone: ")

    run(scenario)


def test_what_is_damaged_is_told() -> None:
    async def scenario(cluster: SmallCluster) -> None:
        partition = await a_topic(cluster)
        broken = BatchSegmentKey(SessionId(9, 9), 0).key
        await cluster.store.create(broken, b"PAR1 or not")
        await flushed(cluster, partition)
        short = await compacted(cluster, partition)
        cluster.store._objects[short] = (b"r", 0)
        report = await cluster.check()
        assert {one.key for one in report.of("damaged")} == {broken, short}
        assert not report.sound

    run(scenario)


def test_mending_deletes_what_was_dead_for_the_grace() -> None:
    async def scenario(cluster: SmallCluster) -> None:
        partition = await a_topic(cluster)
        replaced = await flushed(cluster, partition)
        manifest = await cluster.manifests.read(partition)
        never_named = await cluster._record_segment(partition, 0, 4)
        await cluster.store.create(ProbeKey("left").key, b"probe")
        await cluster.store.create("strange", b"mine")
        cluster.clock.seconds += GRACE
        await compacted(cluster, partition)
        done = await mend(cluster)
        assert set(done.deleted) == {"probe/left"}  # the others are dead since the manifest record at the earliest
        assert done.waiting == 2
        cluster.clock.seconds += GRACE
        done = await mend(cluster)
        assert set(done.deleted) == {replaced, never_named.key}
        assert "strange" in cluster.store.keys("")
        assert (await cluster.manifests.read(partition)).version == manifest.version + 1

    run(scenario)


def test_mending_shuts_slow_compactors_out_first() -> None:
    async def scenario(cluster: SmallCluster) -> None:
        partition = await a_topic(cluster)
        await flushed(cluster, partition)
        added = await cluster._record_segment(partition, 0, 4)
        cluster.clock.seconds += GRACE
        assert (await mend(cluster)).deleted == (added.key,)
        manifest = await cluster.manifests.read(partition)
        assert (manifest.version, manifest.segments) == (0, ())

    run(scenario)


def test_mending_finishes_deletes() -> None:
    async def scenario(cluster: SmallCluster) -> None:
        partition = await a_topic(cluster)
        await flushed(cluster, partition)
        await compacted(cluster, partition)
        await cluster.ledger.delete(partition.topic_id)
        assert (await mend(cluster)).purged == ()
        cluster.clock.seconds += UNDELETE_MS / 1000
        assert (await mend(cluster)).purged == ("t",)
        for _ in range(3):
            cluster.clock.seconds += GRACE
            await mend(cluster)
        assert {key.split("/")[0] for key in cluster.store.keys("")} <= {"topic-names", "fences"}
        assert (await cluster.check()).findings == ()

    run(scenario)


def test_mending_keeps_producers_that_no_manifest_has() -> None:
    async def scenario(cluster: SmallCluster) -> None:
        partition = await a_topic(cluster)
        key = await flushed(cluster, partition)
        manifest = await cluster.manifests.read(partition)
        await cluster.manifests.append(partition, manifest, ManifestRecord(5))
        cluster.clock.seconds += 2 * GRACE
        assert (await mend(cluster)).deleted == ()
        oracle = Oracle(cluster)
        await oracle.look()
        assert key in oracle.needed()

    run(scenario)
