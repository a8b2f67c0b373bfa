"""Taking leases of partitions that a compactor works on: the new leader begins with the bucket's manifest."""

import logging

import pytest

from infra.cluster.manifest import Manifest, ManifestLedger
from infra.cluster.manifest_record import ManifestRecord
from infra.partition import PartitionId
from infra.view.memory import MemoryView
from infra.view.port import PublishedPartition
from infra.view.rebuild import rebuild
from ingest.claims import Claim
from ingest.takeover import Takeover
from ingest.wal_return import WalReturn
from tests.cluster.world import World
from tests.ingest.manifests import bringing_in
from tests.ingest_leases.node import CLUSTER, LeaseNode, partitions_of, read_extents, run, settle, start_node


async def led_with_records(world: World, count: int) -> tuple[LeaseNode, PartitionId]:
    """A node that leads one partition of so many records, an extent each."""
    node = await start_node(world)
    topic = await node.topics.create("t", 1, {})
    await node.turn()
    (partition,) = partitions_of(topic)
    for offset in range(count):
        assert await node.append(partition, b"%d" % offset) == offset
    return node, partition


async def compact(world: World, partition: PartitionId, record: ManifestRecord) -> Manifest:
    """What a compactor does once its segments are in the bucket."""
    ledger, view = ManifestLedger(world.store), await world.view()
    after = await ledger.append(partition, await ledger.read(partition), record)
    await view.put_manifest(partition, after.version)
    await view.trim_partition(partition, after.floor)
    return after


async def taken_by_another(world: World, one: LeaseNode) -> LeaseNode:
    """Node one dies and another takes what it led."""
    await one.crash()
    two = await start_node(world)
    for _ in range(4):
        world.clock.seconds += 2
        await two.sessions.session.renew()
    await settle(two)
    return two


def test_a_new_leader_begins_with_the_manifest_of_the_bucket() -> None:
    async def scenario(world: World) -> None:
        one, partition = await led_with_records(world, 5)
        await compact(world, partition, bringing_in((0, 1), (2, 2)))
        manifest = await compact(world, partition, bringing_in(log_start=1))
        assert one.leaders.log(partition).manifest.version == -1  # it has not heard of it
        two = await taken_by_another(world, one)
        log = two.leaders.log(partition)
        assert (log.manifest, log.log_start_offset, log.records_end) == (manifest, 1, 3)
        assert [extent.base_offset for extent in log.extents_from(0)] == [3, 4]
        assert await two.append(partition, b"next") == 5
        await two.crash()

    run(scenario)


def test_a_new_leader_of_a_log_that_is_compacted_whole() -> None:
    async def scenario(world: World) -> None:
        one, partition = await led_with_records(world, 3)
        await compact(world, partition, bringing_in((0, 2)))
        two = await taken_by_another(world, one)
        log = two.leaders.log(partition)
        assert (log.records_end, log.log_end_offset, list(log.extents_from(0))) == (3, 3, [])
        world.server.wipe()
        view = MemoryView(world.server)
        await rebuild(view, world.store, read_extents, world.clock)
        assert await view.manifests() == {partition: 0}
        assert (await view.partition(partition)).end_offset == 3
        await two.crash()

    run(scenario)


def test_a_manifest_that_comes_while_the_log_is_read_leaves_no_gap(caplog: pytest.LogCaptureFixture) -> None:
    class Late(MemoryView):
        """A compactor is done just before the view is asked."""

        async def partition(self, partition: PartitionId) -> PublishedPartition:
            await compact(world_of[0], partition, bringing_in((2, 3)))
            return await super().partition(partition)

    world_of: list[World] = []

    async def scenario(world: World) -> None:
        world_of.append(world)
        one, partition = await led_with_records(world, 6)
        await compact(world, partition, bringing_in((0, 1)))
        await one.crash()
        world.clock.seconds += 10  # its session lapses
        view = Late(world.server)
        await view.use("first")
        wal_return = WalReturn(world.store, world.clock, CLUSTER)
        takeover = Takeover(world.store, view, world.clock, wal_id="w", wal_return=wal_return)
        claims, source = [Claim(partition, "t", "object", False)], (await view.members()).source
        outcome = await takeover.take(claims, await world.session(), lambda _: (), source)
        (taken,) = outcome.taken
        assert (taken.manifest.version, taken.manifest.records_end, taken.end_offset) == (1, 4, 6)
        assert [extent.base_offset for extent in taken.extents] == [4, 5]

    with caplog.at_level(logging.ERROR):
        run(scenario)
    assert not caplog.records
