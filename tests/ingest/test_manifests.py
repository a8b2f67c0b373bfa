"""Following manifest ledgers: what the view tells, what readers miss, what cannot be taken, and what is told again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from infra.cluster.manifest import Manifest, ManifestLedger
from infra.cluster.manifest_record import ManifestRecord
from infra.cluster.state import ClusterState
from infra.errors import Unavailable
from infra.object_key import ManifestKey
from infra.view.memory import MemoryView
from ingest.manifests import DAMAGE_SECONDS, PATIENCE_SECONDS, SUSPECT_SECONDS, TELL_SECONDS, ManifestFollower
from ingest.partition_log import PartitionLog
from ingest.tail import TailBudget
from tests.cluster.world import World
from tests.ingest.batches import header_of, make_batch
from tests.ingest.logs import Guard, flushed_of, partition_id, settings_of, taken_lease
from tests.ingest.manifests import bringing_in
from tests.ingest.node import until


def publish(log: PartitionLog, records: int = 10) -> None:
    """Append a batch and let it come into the bucket."""
    batch = make_batch(records)
    log.append([(header_of(batch), batch)], 1_000, 0)
    log.on_synced(log.log_end_offset)
    log.on_published(flushed_of(log))


class Following:
    """A follower over a bucket and a view in memory, and a compactor that only writes ledgers."""

    def __init__(self, world: World, view: MemoryView) -> None:
        self.world = world
        self.view = view
        self.ledger = ManifestLedger(world.store)
        self.state = ClusterState(view, world.clock, "c")
        self.logs: list[PartitionLog] = []
        self.follower = ManifestFollower(
            ledger=self.ledger, view=view, clock=world.clock, state=self.state, logs=lambda: self.logs
        )

    def lead(self, number: int = 0, published: int = 3) -> PartitionLog:
        log = PartitionLog(taken_lease(partition_id(number)), settings_of(), Guard(), TailBudget(0))
        for _ in range(published):
            publish(log)
        self.logs.append(log)
        return log

    async def compact(self, log: PartitionLog, record: ManifestRecord, *, tell: bool = True) -> Manifest:
        """Change a partition's manifest."""
        newest = await self.ledger.read(log.partition)
        after = await self.ledger.append(log.partition, newest, record)
        if tell:
            await self.view.put_manifest(log.partition, after.version)
        return after

    async def look(self) -> dict[str, int]:
        """Hear from the view, look once, and do what there is to do; answers the requests it took."""
        await self.state.refresh()
        self.world.store.counts.clear()
        self.follower.look()
        await self.follower.settle()
        return dict(self.world.store.counts)


def run(body: Callable[[Following], Awaitable[None]]) -> None:
    async def whole() -> None:
        world = await World().start()
        following = Following(world, await world.view())
        try:
            async with asyncio.timeout(30):
                await body(following)
        finally:
            await following.follower.stop()

    asyncio.run(whole())


def test_what_the_view_tells_is_read_and_adopted() -> None:
    async def body(one: Following) -> None:
        log, other = one.lead(0), one.lead(1)
        assert await one.look() == {}
        await one.compact(log, bringing_in((0, 9)))
        assert await one.look() == {"get": 1}
        assert (log.records_end, other.records_end) == (10, 0)
        await one.compact(log, bringing_in((10, 19)))
        newest = await one.compact(log, bringing_in(log_start=12))
        assert await one.look() == {"get": 2}  # what is new, and no LIST
        assert (log.manifest, log.log_start_offset) == (newest, 12)
        assert await one.look() == {}

    run(body)


def test_a_leader_far_behind_reads_from_the_last_whole_record_on() -> None:
    async def body(one: Following) -> None:
        log = one.lead()
        manifest = Manifest()
        for offset in range(1, 69):
            manifest = await one.ledger.append(log.partition, manifest, ManifestRecord(offset // 3))
        await one.view.put_manifest(log.partition, manifest.version)
        assert await one.look() == {"get": 4}  # 64 is whole, then 65 to 67
        assert log.manifest == manifest

    run(body)


def test_what_readers_miss_is_looked_for_in_the_bucket_not_too_often() -> None:
    async def body(one: Following) -> None:
        log = one.lead()
        await one.compact(log, bringing_in((0, 9)), tell=False)
        assert await one.look() == {}
        log.suspect_manifest()
        assert await one.look() == {"list": 1, "get": 1}
        assert log.records_end == 10
        await one.compact(log, bringing_in((10, 19)), tell=False)
        log.suspect_manifest()
        assert await one.look() == {}
        one.world.clock.seconds += SUSPECT_SECONDS
        assert await one.look() == {"list": 1, "get": 1}
        one.world.clock.seconds += SUSPECT_SECONDS
        assert await one.look() == {}  # nobody has missed anything since
        assert log.records_end == 20

    run(body)


def test_a_view_that_has_forgotten_is_told_again_now_and_then() -> None:
    async def body(one: Following) -> None:
        log = one.lead()
        one.lead(1)
        before = one.world.server.snapshot()
        await one.compact(log, bringing_in((0, 9)))
        await one.look()
        one.world.server.restore(before)
        await one.look()
        assert await one.view.manifests() == {}
        one.world.clock.seconds += TELL_SECONDS
        one.world.server.down = True
        one.follower.look()
        await one.follower.settle()
        one.world.server.down = False
        assert await one.view.manifests() == {}
        one.world.clock.seconds += TELL_SECONDS
        await one.look()
        assert await one.view.manifests() == {log.partition: 0}

    run(body)


def test_what_was_published_before_the_log_was_told_is_taken_when_it_is(caplog: pytest.LogCaptureFixture) -> None:
    async def body(one: Following) -> None:
        log = one.lead(published=1)
        await one.compact(log, bringing_in((0, 9), (10, 19)))
        assert await one.look() == {"get": 1}
        assert log.manifest.version == -1
        publish(log)
        assert await one.look() == {}
        assert log.records_end == 20

    with caplog.at_level(logging.ERROR):
        run(body)
    assert not caplog.records


def test_a_manifest_that_never_fits_is_complained_of_once(caplog: pytest.LogCaptureFixture) -> None:
    async def body(one: Following) -> None:
        log = one.lead(published=1)
        await one.compact(log, bringing_in((0, 9)))
        await one.look()
        await one.compact(log, bringing_in((10, 99)))
        for _ in range(4):
            await one.look()
            one.world.clock.seconds += PATIENCE_SECONDS
        assert (log.manifest.version, log.records_end) == (0, 10)
        assert await one.look() == {}
        await one.compact(log, ManifestRecord(0, removed=("records/10-99",)))
        assert await one.look() == {"get": 1}
        assert (log.manifest.version, log.records_end) == (2, 10)

    with caplog.at_level(logging.ERROR):
        run(body)
    assert len(caplog.records) == 1


def test_a_damaged_ledger_costs_its_partition_only(caplog: pytest.LogCaptureFixture) -> None:
    async def body(one: Following) -> None:
        damaged, whole = one.lead(0), one.lead(1)
        await one.world.store.create(ManifestKey(damaged.partition, 0).key, b"{")
        await one.view.put_manifest(damaged.partition, 0)
        gone = one.lead(2)
        await one.view.put_manifest(gone.partition, 0)
        await one.compact(whole, bringing_in((0, 9)))
        assert await one.look() == {"get": 3}
        assert [log.manifest.version for log in one.logs] == [-1, 0, -1]
        assert await one.look() == {}
        one.world.clock.seconds += DAMAGE_SECONDS
        assert await one.look() == {"get": 2}

    with caplog.at_level(logging.ERROR):
        run(body)
    assert len(caplog.records) == 4


def test_a_store_that_is_away_is_asked_again() -> None:
    async def body(one: Following) -> None:
        logs = [one.lead(number) for number in range(40)]
        for log in logs:
            await one.compact(log, bringing_in((0, 9)))
        await one.state.refresh()
        one.world.store.down = True
        one.follower.look()
        await asyncio.sleep(0.01)
        one.follower.look()  # begins nothing twice
        assert all(log.manifest.version == -1 for log in logs)
        one.world.store.down = False
        await one.follower.settle()
        assert all(log.records_end == 10 for log in logs)
        assert one.world.store.counts["get"] == 40

    run(body)


def test_a_log_that_was_closed_meanwhile_is_left_alone() -> None:
    async def body(one: Following) -> None:
        log = one.lead()
        await one.compact(log, bringing_in((0, 9)))
        await one.state.refresh()
        one.world.store.down = True
        one.follower.look()
        await asyncio.sleep(0.01)
        log.close(Unavailable("over"))
        one.logs.clear()
        one.world.store.counts.clear()
        one.world.store.down = False
        await one.follower.settle()
        assert one.world.store.counts == {}
        assert log.manifest.version == -1

    run(body)


def test_a_raised_log_start_is_durable_adopted_and_told() -> None:
    async def body(one: Following) -> None:
        log = one.lead()
        await one.compact(log, bringing_in((0, 9)), tell=False)
        await one.follower.raise_log_start(log, 15)
        await one.follower.settle()
        assert (log.log_start_offset, log.records_end, log.manifest.version) == (15, 10, 1)
        assert [extent.base_offset for extent in log.extents_from(0)] == [10, 20]
        assert await one.view.manifests() == {log.partition: 1}
        assert await one.ledger.read(log.partition) == log.manifest

    run(body)


def test_a_log_start_counts_also_with_a_manifest_that_the_log_refuses() -> None:
    async def body(one: Following) -> None:
        log = one.lead(published=1)
        await one.compact(log, bringing_in((0, 9), (10, 19)))
        await one.follower.raise_log_start(log, 5)
        assert (log.log_start_offset, log.manifest.version) == (5, -1)
        publish(log)
        await one.look()
        assert (log.log_start_offset, log.manifest.version, log.records_end) == (5, 1, 20)

    run(body)


def test_a_log_start_whose_answer_was_lost_is_looked_for() -> None:
    async def body(one: Following) -> None:
        log = one.lead()
        one.world.store.lose_answers_of = {"manifests/"}
        with pytest.raises(Unavailable):
            await one.follower.raise_log_start(log, 15)
        assert log.log_start_offset == 0
        await one.look()
        assert log.log_start_offset == 15

    run(body)


def test_it_looks_by_itself() -> None:
    async def body(one: Following) -> None:
        log = one.lead()
        one.follower.start()
        watching = asyncio.create_task(one.state.run())
        await one.compact(log, bringing_in((0, 9)))
        await until(lambda: log.records_end == 10)
        late = one.lead(1)
        await one.compact(late, bringing_in((0, 19)), tell=False)
        late.suspect_manifest()
        await until(lambda: late.records_end == 20)
        watching.cancel()

    run(body)
