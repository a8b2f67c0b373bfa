"""Open and aborted transactions through takeover, restart from the WAL and a lost view: the next leader knows them."""

import asyncio

from infra.errors import CauceError
from infra.partition import PartitionId
from infra.records.batch import TRANSACTIONAL, BatchHeader
from infra.records.control import Marker, encode_marker
from infra.segment.extent import AbortedTransaction
from infra.segment.footer import read_extents
from infra.view.memory import MemoryView
from infra.view.rebuild import rebuild
from ingest.appender import PartitionAppend
from ingest.flush_plan import FlushPolicy
from tests.cluster.world import World
from tests.ingest.batches import make_batch
from tests.ingest.node import NEVER
from tests.ingest_leases.node import WAL, LeaseNode, bucket_log, entries_of, partitions_of, run, settle, start_node

LAZY = FlushPolicy(object=NEVER, wal=NEVER)


async def produce(node: LeaseNode, partition: PartitionId, producer_id: int, sequence: int) -> int:
    """One record in a producer's transaction, acknowledged."""
    batch = make_batch(producer_id=producer_id, epoch=0, sequence=sequence, attributes=TRANSACTIONAL)
    told: asyncio.Future[CauceError | None] = asyncio.get_running_loop().create_future()
    verification = node.leaders.log(partition).begin_verification(producer_id)
    one = PartitionAppend(
        partition, [(BatchHeader.parse(batch), batch)], -1, told.set_result, verification=verification
    )
    [appended] = node.leaders.appender.append([one], node.world.clock.now_ms())
    assert not isinstance(appended, CauceError)
    assert await asyncio.wait_for(told, 20) is None
    return appended.base_offset


async def end(node: LeaseNode, partition: PartitionId, producer_id: int, commit: bool, coordinator: int = 0) -> int:
    batch = encode_marker(Marker(producer_id, 0, coordinator, commit), 1)
    return await node.leaders.append(partition, node.leaders.log(partition).leader_epoch, [batch])


async def history(node: LeaseNode, partition: PartitionId) -> None:
    """Two transactions are over, two are open."""
    for producer_id in (1, 2, 3, 4):
        assert await produce(node, partition, producer_id, 0) == producer_id - 1
    await end(node, partition, 1, False, coordinator=7)  # 4
    await end(node, partition, 2, True)  # 5
    assert await produce(node, partition, 1, 1) == 6


def check(node: LeaseNode, partition: PartitionId) -> None:
    """The log as `history` left it."""
    log = node.leaders.log(partition)
    assert (log.log_end_offset, log.last_stable_offset) == (7, 2)
    assert list(log.aborted_between(0, 7)) == [AbortedTransaction(1, 0, 4)]
    open_at = {one.producer_id: one.transaction_first_offset for one in log.producers()}
    assert open_at == {1: 6, 2: -1, 3: 2, 4: 3}
    assert {one.producer_id: one.coordinator_epoch for one in log.producers()} == {1: 7, 2: 0, 3: -1, 4: -1}


async def go_on(node: LeaseNode, partition: PartitionId) -> None:
    """The transactions that were open end, as if the leader had always been this one."""
    log = node.leaders.log(partition)
    assert await end(node, partition, 3, True) == 7
    assert log.last_stable_offset == 3
    assert await end(node, partition, 4, False) == 8
    assert log.last_stable_offset == 6
    assert await produce(node, partition, 1, 2) == 9
    assert await end(node, partition, 1, False, coordinator=7) == 10
    assert log.last_stable_offset == log.high_watermark == 11
    gone = [AbortedTransaction(1, 0, 4), AbortedTransaction(4, 3, 8), AbortedTransaction(1, 6, 10)]
    assert list(log.aborted_between(0, 11)) == gone


def test_whoever_takes_over_knows_the_transactions() -> None:
    async def scenario(world: World) -> None:
        one = await start_node(world, node_id=1)
        partition = partitions_of(await one.topics.create("t", 1, {}))[0]
        await settle(one)
        await history(one, partition)
        await one.crash()
        two = await start_node(world, node_id=1)
        await settle(two)
        check(two, partition)
        await go_on(two, partition)
        await two.crash()

    run(scenario)


def test_the_wal_tells_of_transactions_that_were_never_flushed() -> None:
    async def scenario(world: World) -> None:
        one = await start_node(world, node_id=1, wal_id="disk-1", policy=LAZY)
        partition = partitions_of(await one.topics.create("t", 1, WAL))[0]
        await settle(one)
        await history(one, partition)
        await one.crash()
        assert not world.store.keys("batches/")
        again = await start_node(world, node_id=1, wal_id="disk-1", recovered=entries_of(one.wal))
        await settle(again)
        check(again, partition)
        published = await bucket_log(world, partition)
        assert [gone for extent in published.extents for gone in extent.aborted] == [AbortedTransaction(1, 0, 4)]
        await go_on(again, partition)
        await again.crash()

    run(scenario)


def test_a_view_that_was_lost_is_rebuilt_with_the_transactions() -> None:
    async def scenario(world: World) -> None:
        one = await start_node(world, node_id=1)
        partition = partitions_of(await one.topics.create("t", 1, {}))[0]
        await settle(one)
        await history(one, partition)
        known = await one.view.partition(partition)
        world.server.wipe()
        await one.crash()
        view = MemoryView(world.server)
        await rebuild(view, world.store, read_extents)
        assert await view.partition(partition) == known
        two = await start_node(world, node_id=1)
        await settle(two)
        check(two, partition)
        await go_on(two, partition)
        await two.crash()

    run(scenario)
