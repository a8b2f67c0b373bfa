"""Rebuilding the view from a bucket: what is found, what is void, and what is left to a claimant."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

import pytest

from infra.clock import SYSTEM_CLOCK
from infra.cluster.lease_objects import create_fence
from infra.cluster.manifest import Manifest, ManifestLedger
from infra.cluster.manifest_record import ManifestRecord, RecordSegment
from infra.cluster.producer_ids import IDS_OF_BLOCK, ProducerIds
from infra.cluster.records import EpochRecord, SettingRecord, TopicRecord
from infra.errors import Corrupt, Unavailable
from infra.object_key import BATCHES, FIRST_RETURNED, BatchSegmentKey, EpochKey, ManifestKey, SettingKey, TopicKey
from infra.partition import PartitionId, SessionId
from infra.ports import EpochStart
from infra.segment.extent import FlushedExtent, ProducerEntry
from infra.store.memory import MemoryObjectStore
from infra.store.port import ObjectInfo, ObjectStore
from infra.view import rebuild as rebuilding
from infra.view.bucket_log import NOTHING, BucketLogs
from infra.view.memory import MemoryView
from infra.view.port import PublishedPartition, ViewLost
from infra.view.rebuild import rebuild, repair_partition
from infra.view.redis_view import RedisView
from tests.view.builders import P0, P1, TOPIC, extent, flushed, producer
from tests.view.redis_server import RunningRedis, running_redis

S7, S8 = SessionId(7, 0), SessionId(8, 0)
Stated = tuple[PartitionId, int, int, int]  # partition, base offset, last offset, leader epoch


async def read_extents(store: ObjectStore, key: str) -> Sequence[FlushedExtent]:
    """Segments of these tests are JSON: a list of what `Stated` says; producer 1 wrote each extent."""
    found = []
    for name, base, last, epoch in json.loads(await store.get(key)):
        partition = PartitionId(TOPIC, name)
        found.append(flushed(base, last, epoch, key, partition, producer(1, last)))
    return found


class Bucket(MemoryObjectStore):
    """A bucket with short ways to fill it, and a place to act just after the segments were listed."""

    after_listing: Callable[[], None] | None = None
    out_of_order = False

    async def list(self, prefix: str, *, start_after: str = "") -> AsyncIterator[ObjectInfo]:
        if self.out_of_order:
            raise Unavailable("503")
        async for info in super().list(prefix, start_after=start_after):
            yield info
        if prefix.startswith(BATCHES) and self.after_listing is not None:
            act, self.after_listing = self.after_listing, None
            act()

    async def topic(self, *, partitions: int = 2, deleted_ms: int | None = None, version: int = 0) -> bytes:
        body = TopicRecord(TOPIC, "t", partitions, deleted_ms=deleted_ms).encode()
        await self.create(TopicKey(TOPIC, version).key, body)
        return body

    async def epoch(
        self, number: int, start: int, session: SessionId, earlier: tuple[EpochStart, ...] = (), of: PartitionId = P0
    ) -> None:
        record = EpochRecord(session, start, "object", False, None, earlier)
        await self.create(EpochKey(of, number).key, record.encode())

    async def segment(self, session: SessionId, sequence: int, *stated: Stated) -> str:
        key = BatchSegmentKey(session, sequence).key
        body = [(partition.partition, base, last, epoch) for partition, base, last, epoch in stated]
        await self.create(key, json.dumps(body).encode())
        return key


def run(body: Callable[[Bucket, MemoryView], Any]) -> None:
    async def main() -> None:
        async with asyncio.timeout(60):
            await body(Bucket(), MemoryView())

    asyncio.run(main())


def test_newest_topics_and_settings() -> None:
    async def body(bucket: Bucket, view: MemoryView) -> None:
        await bucket.topic()
        newest = await bucket.topic(partitions=3, version=1)
        for version in range(3):
            record = SettingRecord({"n": str(version)}).encode()
            await bucket.create(SettingKey("broker", "", version).key, record)
        incarnation = await rebuild(view, bucket, read_extents)
        assert await view.incarnation() == incarnation
        assert await view.topics() == {TOPIC: (1, newest)}
        assert await view.settings() == {("broker", ""): (2, SettingRecord({"n": "2"}).encode())}
        assert await rebuild(view, bucket, read_extents) == incarnation  # whole already

    run(body)


def test_extents_of_all_epochs_without_the_void() -> None:
    async def body(bucket: Bucket, view: MemoryView) -> None:
        await bucket.topic()
        await bucket.epoch(0, 0, S7)
        await bucket.epoch(1, 20, S8, (EpochStart(0, 0),))
        await bucket.epoch(0, 0, S7, of=P1)
        a = await bucket.segment(S7, 0, (P0, 0, 9, 0), (P1, 0, 4, 0))
        b = await bucket.segment(S7, 1, (P0, 10, 19, 0), (P1, 5, 5, 0))
        await bucket.segment(S7, 2, (P0, 20, 29, 0))  # landed after the claimant's listing: void
        c = await bucket.segment(S8, 0, (P0, 20, 24, 1))
        await bucket.segment(S8, 2, (P0, 30, 34, 1))  # the one before it has not landed
        await rebuild(view, bucket, read_extents)
        assert await view.partition(P0) == PublishedPartition(
            25, (extent(0, 9, 0, a), extent(10, 19, 0, b), extent(20, 24, 1, c)), (producer(1, 24),)
        )
        assert await view.partition(P1) == PublishedPartition(
            6, (extent(0, 4, 0, a, P1), extent(5, 5, 0, b, P1)), (producer(1, 5),)
        )
        await view.publish(S8, "next", [flushed(25, 29, 1, "next")])

    run(body)


def test_an_epoch_whose_record_a_copy_lacks_is_none_of_another_sessions() -> None:
    """S8 led epoch 1 in the original; the number is used again, from the same offset on, and S8 had led before."""

    async def body(bucket: Bucket, view: MemoryView) -> None:
        await bucket.topic()
        await bucket.epoch(0, 0, S8)
        await bucket.epoch(1, 10, S7, (EpochStart(0, 0),))
        a = await bucket.segment(S8, 0, (P0, 0, 9, 0))
        await bucket.segment(S8, 1, (P0, 10, 99, 1))
        b = await bucket.segment(S7, 0, (P0, 10, 19, 1))
        await rebuild(view, bucket, read_extents)
        assert (await view.partition(P0)).extents == (extent(0, 9, 0, a), extent(10, 19, 1, b))

    run(body)


def test_the_extents_of_an_epoch_whose_record_is_missing_are_looked_for_everywhere() -> None:
    async def body(bucket: Bucket, view: MemoryView) -> None:
        await bucket.topic()
        await bucket.epoch(0, 0, S8)
        await bucket.epoch(2, 20, S8, (EpochStart(0, 0), EpochStart(1, 10)))
        a = await bucket.segment(S8, 0, (P0, 0, 9, 0))
        b = await bucket.segment(S7, 0, (P0, 10, 19, 1))
        await rebuild(view, bucket, read_extents)
        assert (await view.partition(P0)).extents == (extent(0, 9, 0, a), extent(10, 19, 1, b))

    run(body)


def test_damage_of_one_partition_costs_the_others_nothing() -> None:
    async def body(bucket: Bucket, view: MemoryView) -> None:
        await bucket.topic()
        for partition in (P0, P1):
            await bucket.epoch(0, 0, S7, of=partition)
        key = await bucket.segment(S7, 0, (P0, 0, 9, 0), (P1, 0, 4, 0))
        await bucket.create(ManifestKey(P0, 1).key, ManifestRecord(0).encode())  # record 0 is missing
        await rebuild(view, bucket, read_extents)
        assert (await view.partition(P0)).extents == ()
        assert (await view.partition(P1)).extents == (extent(0, 4, 0, key, P1),)

    run(body)


def test_producer_ids_of_the_log_are_given_out_no_more() -> None:
    async def body(bucket: Bucket, view: MemoryView) -> None:
        await bucket.topic()
        await bucket.epoch(0, 0, S7)
        await bucket.segment(S7, 0, (P0, 0, 9, 0))  # by producer 1
        await rebuild(view, bucket, read_extents)
        ids = ProducerIds(bucket, lambda: S8)
        assert await ids.next() == IDS_OF_BLOCK
        await rebuild(view, bucket, read_extents, force=True)
        assert await ProducerIds(bucket, lambda: S8).next() == 2 * IDS_OF_BLOCK

    run(body)


def test_what_a_fenced_session_wrote_last_is_left_to_the_claimant() -> None:
    async def body(bucket: Bucket, view: MemoryView) -> None:
        await bucket.topic()
        await bucket.epoch(0, 0, S7)
        await bucket.epoch(1, 10, S8, (EpochStart(0, 0),))
        key = await bucket.segment(S7, 0, (P0, 0, 9, 0))
        await bucket.segment(S8, 0, (P0, 10, 19, 1))
        await create_fence(bucket, S8, S7)
        await rebuild(view, bucket, read_extents)
        assert await view.partition(P0) == PublishedPartition(10, (extent(0, 9, 0, key),), (producer(1, 9),))

    run(body)


def test_the_fence_is_looked_for_after_the_listing() -> None:
    async def body(bucket: Bucket, view: MemoryView) -> None:
        await bucket.topic()
        await bucket.epoch(0, 0, S7)
        await bucket.segment(S7, 0, (P0, 0, 9, 0))
        fencing = []
        bucket.after_listing = lambda: fencing.append(asyncio.ensure_future(create_fence(bucket, S7, S8)))
        await rebuild(view, bucket, read_extents)
        assert len(fencing) == 1
        assert (await view.partition(P0)).end_offset == 0

    run(body)


def test_a_wal_sent_by_a_later_session() -> None:
    async def body(bucket: Bucket, view: MemoryView) -> None:
        later = SessionId(7, 1)
        await bucket.topic()
        await bucket.epoch(0, 0, S7)
        await bucket.epoch(1, 20, later, (EpochStart(0, 0),))
        await bucket.epoch(2, 20, S8, (EpochStart(0, 0),))  # the one before it wrote nothing of its own
        a = await bucket.segment(S7, 0, (P0, 0, 9, 0))
        b = await bucket.segment(later, FIRST_RETURNED, (P0, 10, 19, 0))
        await rebuild(view, bucket, read_extents)
        found = await view.partition(P0)
        assert found.extents == (extent(0, 9, 0, a), extent(10, 19, 0, b))
        assert found.end_offset == 20

    run(body)


def test_extents_begin_where_the_manifest_ends() -> None:
    async def body(bucket: Bucket, view: MemoryView) -> None:
        await bucket.topic()
        for number in range(4):
            chain = tuple(EpochStart(one, one * 10) for one in range(number))
            await bucket.epoch(number, number * 10, SessionId(number, 0), chain)
            if number > 1:  # the older ones are gone: compacted and collected
                await bucket.segment(SessionId(number, 0), 0, (P0, number * 10, number * 10 + 9, number))
        old = ProducerEntry(5, 0, ((0, 0, 19, 0),), 0)
        segment = RecordSegment("r", 0, 24, 25, 100, 0, ())
        await ManifestLedger(bucket).append(
            P0, Manifest(), ManifestRecord(3, (segment,), producers=(old,), producers_upto=20)
        )
        await rebuild(view, bucket, read_extents)
        found = await view.partition(P0)
        assert [one.base_offset for one in found.extents] == [20, 30]
        assert found.end_offset == 40
        assert found.producers == (producer(1, 39), old)
        assert await view.manifests() == {P0: 0}

    run(body)


def test_a_repair_tells_the_version_of_the_manifest() -> None:
    async def body(bucket: Bucket, view: MemoryView) -> None:
        await bucket.topic()
        await rebuild(view, bucket, read_extents)
        await bucket.epoch(0, 0, S7)
        await bucket.segment(S7, 0, (P0, 0, 9, 0))
        manifest = await ManifestLedger(bucket).raise_log_start(P0, 3)
        found = await ManifestLedger(bucket).raise_log_start(P0, 4, manifest)
        assert (await repair_partition(view, bucket, read_extents, P0)).manifest == found
        assert await view.manifests() == {P0: 1}

    run(body)


def test_nothing_of_topics_that_are_deleted_or_gone() -> None:
    async def body(bucket: Bucket, view: MemoryView) -> None:
        body = await bucket.topic(deleted_ms=1)
        gone = PartitionId(UUID(int=9), 0)
        await bucket.epoch(0, 0, S7)
        await bucket.epoch(0, 0, S7, of=gone)
        await bucket.segment(S7, 0, (P0, 0, 9, 0))
        await ManifestLedger(bucket).raise_log_start(P0, 3)
        await rebuild(view, bucket, read_extents)
        assert await view.topics() == {TOPIC: (0, body)}
        assert await view.manifests() == {}
        assert await view.partition(P0) == PublishedPartition(0, (), ())
        assert await view.partition(gone) == PublishedPartition(0, (), ())

    run(body)


def test_of_many_nodes_one_rebuilds() -> None:
    async def body(bucket: Bucket, view: MemoryView) -> None:
        await bucket.topic()
        nodes = [MemoryView(view.server) for _ in range(5)]
        found = await asyncio.gather(*(rebuild(node, bucket, read_extents) for node in nodes))
        assert len(set(found)) == 1
        for node in nodes:
            assert set(await node.topics()) == {TOPIC}

    run(body)


def test_a_rebuild_that_failed_is_repeated() -> None:
    async def body(bucket: Bucket, view: MemoryView) -> None:
        await bucket.topic()
        bucket.out_of_order = True
        with pytest.raises(Unavailable):
            await rebuild(view, bucket, read_extents)
        assert await view.incarnation() is None
        bucket.out_of_order = False
        await rebuild(view, bucket, read_extents)
        assert set(await view.topics()) == {TOPIC}

    run(body)


def test_a_view_that_is_wiped_while_it_is_built_is_built_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock goes with it. Whoever keeps the lock must not take it again, with nothing of what the view was told."""

    async def body(bucket: Bucket, view: MemoryView) -> None:
        asked, keep = asyncio.Event(), MemoryView.keep_rebuild

        async def keep_and_tell(self: MemoryView, owner: str, ttl_ms: int) -> bool:
            try:
                return await keep(self, owner, ttl_ms)
            finally:
                asked.set()

        async def wait_for_keeper(store: ObjectStore, key: str) -> Sequence[FlushedExtent]:
            asked.clear()
            await asked.wait()
            return await read_extents(store, key)

        monkeypatch.setattr(MemoryView, "keep_rebuild", keep_and_tell)
        monkeypatch.setattr(rebuilding, "_LOCK_TTL_MS", 300)
        await bucket.topic()
        await bucket.epoch(0, 0, S7)
        await bucket.segment(S7, 0, (P0, 0, 9, 0))
        bucket.after_listing = view.server.wipe
        with pytest.raises(ViewLost):
            await rebuild(view, bucket, wait_for_keeper)
        assert await view.incarnation() is None
        await rebuild(view, bucket, read_extents)
        assert set(await view.topics()) == {TOPIC}

    run(body)


def test_an_older_copy_that_comes_while_the_view_is_built_leaves_nothing() -> None:
    async def body(bucket: Bucket, view: MemoryView) -> None:
        def fail_over() -> None:
            """To a replica that has the lock already and is not wiped yet."""
            copy = view.server.snapshot()
            copy.settings["broker", ""] = (7, b"old")
            copy.incarnation = "old"
            view.server.restore(copy)

        await bucket.topic()
        bucket.after_listing = fail_over
        incarnation = await rebuild(view, bucket, read_extents)
        assert await view.incarnation() == incarnation
        assert await view.settings() == {}
        assert set(await view.topics()) == {TOPIC}

    run(body)


def test_a_view_that_forgets_what_it_was_just_told_is_not_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(bucket: Bucket, view: MemoryView) -> None:
        put = MemoryView.put_topic

        async def put_and_fail_over(self: MemoryView, topic_id: UUID, version: int, body: bytes) -> None:
            before = self.server.snapshot()
            await put(self, topic_id, version, body)
            self.server.restore(before)

        await bucket.topic()
        with monkeypatch.context() as patch:
            patch.setattr(MemoryView, "put_topic", put_and_fail_over)
            with pytest.raises(ViewLost, match="forgotten"):
                await rebuild(view, bucket, read_extents)
        assert await view.incarnation() is None
        await rebuild(view, bucket, read_extents)
        assert set(await view.topics()) == {TOPIC}

    run(body)


def test_a_corrupt_segment_is_named_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    async def body(bucket: Bucket, view: MemoryView) -> None:
        async def refuse(store: ObjectStore, key: str) -> Sequence[FlushedExtent]:
            raise Corrupt(key)

        await bucket.topic()
        await bucket.epoch(0, 0, S7)
        key = await bucket.segment(S7, 0, (P0, 0, 9, 0))
        await rebuild(view, bucket, refuse)
        assert (await view.partition(P0)).extents == ()
        assert key in caplog.text

    run(body)


def test_the_log_tells_how_long_each_stage_took(caplog: pytest.LogCaptureFixture) -> None:
    async def body(bucket: Bucket, view: MemoryView) -> None:
        await bucket.topic()
        await bucket.epoch(0, 0, S7)
        await bucket.segment(S7, 0, (P0, 0, 9, 0))
        with caplog.at_level("INFO", "infra.view.rebuild"):
            await rebuild(view, bucket, read_extents)
        [told] = [message for message in caplog.messages if message.startswith("the building took")]
        stages = ["topics and settings", "listing ledgers", "reading ledgers", "listing segments", "reading footers"]
        places = [told.find(f"{stage} 0.") for stage in [*stages, "telling the view"]]
        assert places == sorted(places)
        assert places[0] > 0

    run(body)


def test_force_replaces_a_view_that_looks_whole() -> None:
    async def body(bucket: Bucket, view: MemoryView) -> None:
        other = MemoryView(view.server)
        first = await rebuild(view, bucket, read_extents)
        await other.use(first)
        await view.put_setting("stale", "", 0, b"x")
        second = await rebuild(view, bucket, read_extents, force=True)
        assert second != first
        assert await view.settings() == {}
        with pytest.raises(ViewLost):
            await other.settings()

    run(body)


def test_a_gap_is_repaired_from_the_bucket() -> None:
    async def body(bucket: Bucket, view: MemoryView) -> None:
        await bucket.topic()
        await rebuild(view, bucket, read_extents)
        await bucket.epoch(0, 0, S7)
        for number in range(3):
            await bucket.segment(S7, number, (P0, number * 10, number * 10 + 9, 0))
        key = BatchSegmentKey(S7, 2).key
        with pytest.raises(Corrupt):
            await view.publish(S7, key, [flushed(20, 29, 0, key)])
        assert (await repair_partition(view, bucket, read_extents, P0)).published.end_offset == 30
        await view.publish(S7, key, [flushed(20, 29, 0, key)])
        assert await view.partition(P0) == (await BucketLogs(bucket, read_extents).read_one(P0)).published
        assert await repair_partition(view, bucket, read_extents, P1) == NOTHING
        assert await view.manifests() == {}

    run(body)


@pytest.fixture
def running() -> Iterator[RunningRedis]:
    with running_redis() as server:
        yield server


def test_on_a_real_server(running: RunningRedis) -> None:
    async def main() -> None:
        bucket = Bucket(SYSTEM_CLOCK)
        await bucket.topic()
        nodes = [RedisView(running.url, "c") for _ in range(3)]
        for number in range(20):
            of = PartitionId(TOPIC, number)
            await bucket.epoch(0, 0, S7, of=of)
        for sequence in range(5):
            base = sequence * 10
            parts = [(PartitionId(TOPIC, number), base, base + 9, 0) for number in range(20)]
            await bucket.segment(S7, sequence, *parts)
        found = await asyncio.gather(*(rebuild(node, bucket, read_extents) for node in nodes))
        assert len(set(found)) == 1
        for number in range(20):
            published = await nodes[2].partition(PartitionId(TOPIC, number))
            assert published.end_offset == 50
            assert len(published.extents) == 5
        for node in nodes:
            await node.close()

    asyncio.run(main())
