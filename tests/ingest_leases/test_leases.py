"""Several nodes in one process over one bucket and one view: who leads, and that no acknowledged record is lost."""

import asyncio
import contextlib

import pytest

from infra.cluster.lease_objects import create_fence, fence_exists
from infra.cluster.manifest import Manifest, ManifestLedger
from infra.cluster.manifest_record import ManifestRecord, RecordSegment
from infra.cluster.topics import NoView, TopicLedger
from infra.errors import CauceError, Fenced, Unavailable
from infra.object_key import BatchSegmentKey, RecordSegmentKey
from infra.partition import PartitionId, SessionId
from infra.segment.batch_segment import SegmentPart, build_batch_segment
from infra.segment.footer import read_extents
from infra.view.memory import MemoryView
from infra.view.rebuild import rebuild
from ingest.claims import Claim
from ingest.flush_plan import FlushPolicy
from tests.cluster.world import World
from tests.ingest.batches import make_batch
from tests.ingest.node import NEVER
from tests.ingest_leases.node import (
    CLUSTER,
    WAL,
    bucket_log,
    entries_of,
    lapse,
    partitions_of,
    payloads,
    run,
    settle,
    start_node,
    until_payloads,
)

LAZY = FlushPolicy(object=NEVER, wal=NEVER)


def test_a_new_topic_is_led_at_once_with_few_requests() -> None:
    async def scenario(world: World) -> None:
        node = await start_node(world)
        await node.turn()
        topic = await node.topics.create("t", 300, {})
        world.store.counts.clear()
        await node.turn()
        assert node.led() == dict.fromkeys(partitions_of(topic), 0)
        assert all(node.state.leader(partition) is not None for partition in partitions_of(topic))
        assert world.store.counts.pop("create") == 300
        assert sum(world.store.counts.values()) < 10
        await node.crash()

    run(scenario)


def test_without_epoch_records_a_log_goes_on_above_its_record_segments() -> None:
    """As in a copy of a bucket that lacks them: what batch segments hold is void, and no offset is given twice."""

    async def scenario(world: World) -> None:
        node = await start_node(world)
        await node.turn()
        [partition] = partitions_of(await node.topics.create("t", 1, {}))
        key = RecordSegmentKey(partition, 0, 9, "0" * 26).key
        record = ManifestRecord(0, added=(RecordSegment(key, 0, 9, 10, 3, -1, ()),))
        await ManifestLedger(world.store).append(partition, Manifest(), record)
        await node.turn()
        assert await node.append(partition, b"next") == 10
        assert (await node.view.partition(partition)).end_offset == 11
        assert (await bucket_log(world, partition)).end_offset == 11
        await node.crash()

    run(scenario)


def test_300_partitions_of_a_dead_node_are_taken_together() -> None:
    async def scenario(world: World) -> None:
        one = await start_node(world)
        topic = await one.topics.create("t", 300, {})
        await one.turn()
        for partition in partitions_of(topic)[:5]:
            assert await one.append(partition, b"x") == 0
        await one.crash()
        two = await start_node(world)
        await lapse(world, two)
        await two.state.refresh()
        world.store.counts.clear()
        await two.turn()
        assert two.led() == dict.fromkeys(partitions_of(topic), 1)
        counts = world.store.counts
        assert counts["create"] == 300 + 1  # epoch records, and one fence
        assert counts["list"] <= 8
        assert counts["get"] <= 300 + 10  # the last epoch record of each, and the session's segments
        assert await two.append(partitions_of(topic)[0], b"y") == 1
        await two.crash()

    run(scenario)


def test_what_was_acknowledged_survives_its_leader() -> None:
    async def scenario(world: World) -> None:
        one, two = await start_node(world), await start_node(world)
        topic = await one.topics.create("t", 8, {})
        await settle(one, two)
        assert one.led()
        assert two.led()
        assert not one.led().keys() & two.led().keys()
        for partition in one.led():
            for number in range(3):
                assert await one.append(partition, b"%d" % number, sequence=number) == number
        was = one.sessions.session.session
        mine = list(one.led())
        await one.crash()
        await lapse(world, two)
        await settle(two)
        assert set(two.led()) == set(partitions_of(topic))
        assert await fence_exists(world.store, was)
        for partition in mine:
            assert two.led()[partition] == 1
            log = two.leaders.log(partition)
            assert [one.start_offset for one in log.epochs] == [0, 3]
            assert await two.append(partition, b"2", sequence=2) == 2  # sent again: its first offset
            assert await two.append(partition, b"3", sequence=3) == 3
            assert await payloads(world, partition) == [b"0", b"1", b"2", b"3"]
        await two.crash()

    run(scenario)


def test_leases_are_handed_over_to_a_node_that_joins() -> None:
    async def scenario(world: World) -> None:
        one = await start_node(world)
        topic = await one.topics.create("t", 20, {})
        await settle(one)
        for partition in partitions_of(topic):
            assert await one.append(partition, b"a") == 0
        two = await start_node(world)
        await settle(one, two)
        assert len(one.led()) + len(two.led()) == 20
        assert len(two.led()) >= 3
        assert not world.store.keys("fences/")
        assert len(world.store.keys("releases/")) == len(two.led())
        for partition in two.led():
            assert one.state.leader(partition) == two.leaders.log(partition).lease
            assert await two.append(partition, b"b") == 1
            assert isinstance(await one.append(partition, b"c"), CauceError)
        one.sessions.session.check_ttl()
        await two.keeper.stop()
        await settle(one)
        assert set(one.led()) == set(partitions_of(topic))
        assert await fence_exists(world.store, two.sessions.session.session)  # the mark of a clean end
        assert not one.sessions.session.lost
        await one.crash()

    run(scenario)


def test_a_node_that_has_just_come_takes_at_once_what_another_gives_back() -> None:
    """As in a rolling restart, where the next one leaves within a session time-out."""

    async def scenario(world: World) -> None:
        one = await start_node(world)
        topic = await one.topics.create("t", 20, {})
        await settle(one)
        two = await start_node(world)
        await settle(one, two)
        assert two.state.source_age_seconds < two.sessions.session.ttl_seconds
        await one.keeper.stop()
        await settle(two)
        assert set(two.led()) == set(partitions_of(topic))
        await two.crash()

    run(scenario)


def test_a_restart_takes_its_own_leases_back_without_waiting() -> None:
    async def scenario(world: World) -> None:
        one = await start_node(world, node_id=1)
        topic = await one.topics.create("t", 5, {})
        await settle(one)
        assert await one.append(partitions_of(topic)[0], b"a") == 0
        await one.crash()
        again = await start_node(world, node_id=1)
        await again.turn()
        assert again.led() == dict.fromkeys(partitions_of(topic), 1)
        assert await again.append(partitions_of(topic)[0], b"b") == 1
        await again.crash()

    run(scenario)


def test_a_node_that_was_fenced_stops_and_comes_back() -> None:
    async def scenario(world: World) -> None:
        one = await start_node(world)
        topic = await one.topics.create("t", 4, {})
        await settle(one)
        was = one.sessions.session
        await create_fence(world.store, was.session, by=SessionId(9, 0))
        assert isinstance(await one.append(partitions_of(topic)[0], b"a"), CauceError)
        assert was.lost
        assert one.led() == {}
        await one.keeper.settle()
        await one.sessions.open()
        await settle(one)
        assert one.led() == dict.fromkeys(partitions_of(topic), 1)
        offset = await one.append(partitions_of(topic)[0], b"b")
        assert (await payloads(world, partitions_of(topic)[0]))[offset:] == [b"b"]  # type: ignore[misc]
        await one.crash()

    run(scenario)


def test_a_paused_node_acknowledges_nothing_after_another_has_taken_over() -> None:
    async def scenario(world: World) -> None:
        one, two = await start_node(world), await start_node(world)
        topic = await one.topics.create("t", 6, {})
        await settle(one, two)
        partition = next(iter(one.led()))
        await lapse(world, two)
        await settle(two)
        assert two.led()[partition] == 1
        assert isinstance(await one.append(partition, b"late"), CauceError)
        assert await two.append(partition, b"a") == 0
        assert await payloads(world, partition) == [b"a"]
        assert len(two.led()) == len(partitions_of(topic))
        await one.crash()
        await two.crash()

    run(scenario)


def test_the_fence_stops_a_paused_node_also_when_the_view_has_forgotten_its_successor() -> None:
    async def scenario(world: World) -> None:
        one, two = await start_node(world), await start_node(world)
        await one.topics.create("t", 6, {})
        await settle(one, two)
        partition = next(iter(one.led()))
        snapshot = world.server.snapshot()
        await lapse(world, two)
        await settle(two)
        assert await two.append(partition, b"a") == 0
        world.server.restore(snapshot)  # nothing in the view speaks against the old leader now
        assert isinstance(await one.append(partition, b"late"), CauceError)
        assert one.sessions.session.lost
        assert await payloads(world, partition) == [b"a"]
        await one.crash()
        await two.crash()

    run(scenario)


def test_of_two_claimants_one_wins() -> None:
    async def scenario(world: World) -> None:
        one, two = await start_node(world), await start_node(world)
        topic = await one.topics.create("t", 30, {})
        claims = [Claim(partition, "t", "object", False) for partition in partitions_of(topic)]
        outcomes = await asyncio.gather(
            *(node.takeover.take(claims, node.sessions.session, lambda _: (), node.state.source) for node in (one, two))
        )
        taken = [lease.lease.partition for outcome in outcomes for lease in outcome.taken]
        assert sorted(taken) == partitions_of(topic)
        left = [partition for outcome in outcomes for partition in outcome.left]
        assert sorted(left) == partitions_of(topic)
        again = await asyncio.gather(
            *(node.takeover.take(claims, node.sessions.session, lambda _: (), node.state.source) for node in (one, two))
        )
        assert not world.store.keys("fences/")  # a loser leaves the winner alone
        for outcome, node in zip(again, (one, two), strict=True):
            assert {lease.lease.session for lease in outcome.taken} <= {node.sessions.session.session}
        await one.crash()
        await two.crash()

    run(scenario)


def test_an_epoch_record_whose_answer_was_lost_is_still_ours() -> None:
    async def scenario(world: World) -> None:
        one = await start_node(world)
        topic = await one.topics.create("t", 3, {})
        world.store.lose_answers_of.add("epochs/")
        await settle(one)
        assert one.led() == dict.fromkeys(partitions_of(topic), 0)
        await one.crash()

    run(scenario)


def test_the_wal_comes_back_before_anybody_else_leads() -> None:
    async def scenario(world: World) -> None:
        one = await start_node(world, node_id=1, wal_id="disk-1", policy=LAZY)
        topic = await one.topics.create("t", 4, WAL)
        await settle(one)
        for partition in partitions_of(topic):
            for number in range(3):
                assert await one.append(partition, b"%d" % number, sequence=number) == number
        assert not world.store.keys("batches/")
        await one.crash()
        two = await start_node(world, wal_id="disk-2")
        await lapse(world, two)
        await settle(two)
        assert two.led() == {}  # all wait for disk-1
        again = await start_node(world, node_id=1, wal_id="disk-1", recovered=entries_of(one.wal))
        await again.turn()
        assert again.led() == dict.fromkeys(partitions_of(topic), 1)  # also those that the other node prefers
        for partition in partitions_of(topic):
            assert await payloads(world, partition) == [b"0", b"1", b"2"]
            assert again.leaders.log(partition).epochs[-1].start_offset == 3
        assert not again.left.partitions()
        await settle(again, two)
        assert two.led()
        for node in (again, two):
            for partition in node.led():
                assert await node.append(partition, b"2", sequence=2) == 2
                assert await node.append(partition, b"3", sequence=3) == 3
                await until_payloads(world, partition, [b"0", b"1", b"2", b"3"])
        await again.crash()
        await two.crash()

    run(scenario)


def test_a_wal_that_was_returned_half_is_returned_again() -> None:
    async def scenario(world: World) -> None:
        one = await start_node(world, node_id=1, wal_id="disk-1", policy=LAZY)
        topic = await one.topics.create("t", 1, WAL)
        await settle(one)
        partition = partitions_of(topic)[0]
        for number in range(4):
            assert await one.append(partition, b"%d" % number) == number
        await one.crash()
        entries = entries_of(one.wal)
        # a flush of the first session lands late, and a restart died after its PUT
        for session, batches in ((SessionId(1, 0), entries[:2]), (SessionId(1, 1), entries)):
            key = BatchSegmentKey(session, 7).key
            part = SegmentPart(partition, 0, [entry.entry.batch for entry in batches])
            await world.store.create(key, build_batch_segment(key, CLUSTER, session, [part]).body)
        again = await start_node(world, node_id=1, wal_id="disk-1", recovered=entries)
        await settle(again)
        assert await payloads(world, partition) == [b"0", b"1", b"2", b"3"]
        assert await again.append(partition, b"4") == 4
        await again.crash()

    run(scenario)


def test_a_session_that_was_lost_returns_what_it_had_not_flushed() -> None:
    async def scenario(world: World) -> None:
        one = await start_node(world, node_id=1, wal_id="disk-1", policy=LAZY)
        topic = await one.topics.create("t", 2, WAL)
        await settle(one)
        for partition in partitions_of(topic):
            assert await one.append(partition, b"a") == 0
        await lapse(world)
        for _ in range(2):
            try:
                await one.sessions.session.renew()
            except CauceError:
                break
        assert one.led() == {}
        await one.sessions.open()
        await settle(one)
        for partition in partitions_of(topic):
            assert await payloads(world, partition) == [b"a"]
            assert await one.append(partition, b"b") == 1
        await one.crash()

    run(scenario)


def test_with_unclean_election_the_partition_moves_on_and_the_wal_is_void() -> None:
    async def scenario(world: World) -> None:
        one = await start_node(world, node_id=1, wal_id="disk-1", policy=LAZY)
        topic = await one.topics.create("t", 1, {**WAL, "unclean.leader.election.enable": "true"})
        await settle(one)
        partition = partitions_of(topic)[0]
        assert await one.append(partition, b"lost") == 0
        await one.crash()
        two = await start_node(world, node_id=2, wal_id="disk-2")
        await lapse(world, two)
        await settle(two)
        assert await two.append(partition, b"kept") == 0
        again = await start_node(world, node_id=1, wal_id="disk-1", recovered=entries_of(one.wal))
        await settle(again, two)
        assert not again.left.partitions()
        await until_payloads(world, partition, [b"kept"])
        await again.crash()
        await two.crash()

    run(scenario)


def test_object_durability_does_not_wait_for_a_wal() -> None:
    async def scenario(world: World) -> None:
        one = await start_node(world, node_id=1, wal_id="disk-1", policy=LAZY)
        topic = await one.topics.create("t", 1, {})
        await settle(one)
        partition = partitions_of(topic)[0]
        pending = asyncio.create_task(one.append(partition, b"never acknowledged"))
        await asyncio.sleep(0)
        await one.crash()
        assert isinstance(await pending, CauceError)
        again = await start_node(world, node_id=1, wal_id="disk-1", recovered=entries_of(one.wal))
        await settle(again)
        assert await again.append(partition, b"a") == 0
        await again.crash()

    run(scenario)


def test_a_wiped_view_moves_no_lease() -> None:
    async def scenario(world: World) -> None:
        one, two = await start_node(world), await start_node(world)
        topic = await one.topics.create("t", 12, {})
        await settle(one, two)
        before = {**one.led(), **two.led()}
        for node in (one, two):
            for partition in node.led():
                assert await node.append(partition, b"a") == 0
        world.server.wipe()
        await rebuild(MemoryView(world.server), world.store, read_extents)
        # one node sees the new view first; the other one's leases must be left alone
        await two.state.refresh()
        await two.sessions.session.renew()
        await two.turn()
        await two.turn()
        await one.state.refresh()
        await one.sessions.session.renew()
        await settle(one, two)
        assert {**one.led(), **two.led()} == before
        assert not world.store.keys("fences/")
        assert all(one.state.leader(partition) is not None for partition in partitions_of(topic))
        for node in (one, two):
            for partition in node.led():
                assert await node.append(partition, b"b") == 1
        await one.crash()
        await two.crash()

    run(scenario)


def test_a_leader_that_a_view_gone_back_has_forgotten_is_left_alone_for_a_ttl() -> None:
    """It may answer ListOffsets by its own log for so long, and another one's may be longer then."""

    async def scenario(world: World) -> None:
        one = await start_node(world)
        topic = await one.topics.create("t", 1, {})
        await settle(one)
        partition = partitions_of(topic)[0]
        two = await start_node(world)
        old = world.server.snapshot()
        await lapse(world, one, two)
        await settle(two)
        await one.sessions.session.renew()
        decided_by = two.state.source
        world.server.restore(old)  # by what it says both have lapsed
        world.server.state.generation += 1000  # and that shows nothing of it
        await two.sessions.session.register()
        claims = [Claim(partition, "t", "object", False)]
        with pytest.raises(Unavailable):  # what was decided just before is not done
            await two.takeover.take(claims, two.sessions.session, lambda _: (), decided_by)
        await two.turn()
        await two.turn()
        assert two.state.leader(partition) is None
        assert not world.store.keys("fences/")
        one.sessions.session.check_ttl()
        assert await one.append(partition, b"a") == 0
        await lapse(world, two)
        with pytest.raises(Fenced):
            one.sessions.session.check_ttl()
        await settle(two)
        assert set(two.led()) == {partition}
        await one.crash()
        await two.crash()

    run(scenario)


def test_a_view_that_went_back_is_not_believed_about_the_end() -> None:
    async def scenario(world: World) -> None:
        one = await start_node(world)
        topic = await one.topics.create("t", 2, {})
        await settle(one)
        first, second = partitions_of(topic)
        for number in range(3):
            assert await one.append(first, b"%d" % number) == number
        two = await start_node(world)
        snapshot = world.server.snapshot()
        for number in range(3, 6):
            assert await one.append(first, b"%d" % number) == number
        assert await one.append(second, b"0") == 0
        await one.crash()
        world.server.restore(snapshot)
        await two.turn()  # it waits for a TTL from here on
        await lapse(world, two)
        await settle(two)
        assert await payloads(world, first) == [b"%d" % number for number in range(6)]
        assert await two.append(first, b"6") == 6
        assert await two.append(second, b"1") == 1
        # the same once more, now with a view that lacks what lies below the last epoch's start
        world.server.restore(snapshot)
        three = await start_node(world)
        await two.crash()
        world.server.wipe()
        await world.install("empty")
        for node in (three,):
            await node.state.refresh()
            await node.topics.repair_view()
            await node.sessions.session.renew()
        await lapse(world, three)
        await settle(three)
        assert await three.append(first, b"7") == 7
        view = await world.view()
        assert (await view.partition(first)).end_offset == 8
        assert sum(extent.records for extent in (await view.partition(first)).extents) == 8
        assert await payloads(world, first) == [b"%d" % number for number in range(8)]
        await three.crash()

    run(scenario)


def test_what_a_fenced_leader_puts_late_does_not_exist() -> None:
    async def scenario(world: World) -> None:
        one = await start_node(world)
        topic = await one.topics.create("t", 1, {})
        await settle(one)
        partition = partitions_of(topic)[0]
        assert await one.append(partition, b"0") == 0
        was = one.sessions.session.session
        await one.crash()
        two = await start_node(world)
        await lapse(world, two)
        await settle(two)
        late = make_batch(payload=b"void")
        late[:8] = (1).to_bytes(8, "big")
        late[12:16] = (0).to_bytes(4, "big")
        key = BatchSegmentKey(was, 99).key
        built = build_batch_segment(key, CLUSTER, was, [SegmentPart(partition, 0, [late])])
        await world.store.create(key, built.body)
        assert (await bucket_log(world, partition)).end_offset == 1
        assert await two.append(partition, b"1") == 1
        await two.crash()
        three = await start_node(world)
        await lapse(world, three)
        await settle(three)
        assert await three.append(partition, b"2") == 2
        assert await payloads(world, partition) == [b"0", b"1", b"2"]
        await three.crash()

    run(scenario)


def test_a_deleted_topic_is_led_no_more_and_a_forgotten_one_is() -> None:
    async def scenario(world: World) -> None:
        one = await start_node(world)
        kept = await one.topics.create("kept", 2, {})
        snapshot = world.server.snapshot()
        gone = await one.topics.create("gone", 2, {})
        await settle(one)
        assert len(one.led()) == 4
        world.server.restore(snapshot)
        world.server.state.generation += 100
        await one.turn()
        await one.turn()
        assert len(one.led()) == 4
        assert one.state.topic_by_name("gone") is not None
        await one.topics.delete(gone.topic_id)
        await settle(one)
        assert set(one.led()) == set(partitions_of(kept))
        await one.crash()

    run(scenario)


def test_what_was_acknowledged_before_a_delete_is_there_again_after_an_undelete() -> None:
    async def scenario(world: World) -> None:
        one = await start_node(world, policy=LAZY, durability="wal")
        topic = await one.topics.create("t", 2, {})
        await settle(one)
        first, second = partitions_of(topic)
        assert [await one.append(first, b"a"), await one.append(first, b"b"), await one.append(second, b"c")] == [
            0,
            1,
            0,
        ]
        assert await payloads(world, first) == []
        await one.topics.delete(topic.topic_id)
        await settle(one)
        assert one.led() == {}
        other = await start_node(world)
        await TopicLedger(world.store, NoView(), world.clock).undelete(topic.topic_id)
        await other.topics.repair_view()
        await settle(one, other)
        assert set(one.led()) | set(other.led()) == {first, second}
        assert await payloads(world, first) == [b"a", b"b"]
        assert await payloads(world, second) == [b"c"]
        node = one if first in one.led() else other
        assert await node.append(first, b"d") == 2
        await one.crash()
        await other.crash()

    run(scenario)


def test_another_durability_begins_with_another_epoch() -> None:
    async def scenario(world: World) -> None:
        one = await start_node(world)
        topic = await one.topics.create("t", 2, {})
        await settle(one)
        partition = partitions_of(topic)[0]
        assert await one.append(partition, b"0") == 0
        assert one.leaders.log(partition).durability == "object"
        await one.topics.alter_configs(topic.topic_id, lambda _: WAL)
        await settle(one)
        await settle(one)
        assert one.led() == dict.fromkeys(partitions_of(topic), 1)
        assert one.leaders.log(partition).durability == "wal"
        assert not world.store.keys("fences/")
        assert await one.append(partition, b"1") == 1
        await one.crash()

    run(scenario)


def test_while_the_store_is_away_nothing_is_taken_and_then_it_goes_on() -> None:
    async def scenario(world: World) -> None:
        one = await start_node(world)
        topic = await one.topics.create("t", 2, {})
        await one.state.refresh()
        world.store.down = True
        with contextlib.suppress(Unavailable):
            await one.turn()
        assert one.led() == {}
        world.store.down = False
        world.clock.seconds += 2
        await settle(one)
        assert one.led() == dict.fromkeys(partitions_of(topic), 0)
        await one.crash()

    run(scenario)


def test_the_node_keeps_itself_going() -> None:
    async def scenario(world: World) -> None:
        one = await start_node(world)
        following = asyncio.create_task(one.state.run())
        await one.keeper.start()
        topic = await one.topics.create("t", 3, {})
        assert await one.state.wait_until(
            lambda: all(one.state.leader(PartitionId(topic.topic_id, number)) for number in range(3)), 20
        )
        assert await one.append(partitions_of(topic)[0], b"a") == 0
        await one.keeper.stop()
        assert one.led() == {}
        assert len(world.store.keys("releases/")) == 3
        following.cancel()
        await one.crash()

    run(scenario)
