"""Following over a real socket: when a partition is followed, how often, and what its readers are told."""

import asyncio
from dataclasses import replace

from infra.error_code import ErrorCode
from infra.partition import Lease, PartitionId
from infra.records.batch import BatchHeader
from tests.reader.history import records_in, records_of
from tests.reader.world import batch_of, limits, until, wanted
from tests.reader_nodes.nodes import QUICK, Nodes, followed, run

FOREVER = 3600.0


def test_many_readers_share_one_subscription_a_partition() -> None:
    async def body(nodes: Nodes) -> None:
        leds = [await nodes.lead(number) for number in range(3)]
        for led in leds:
            await led.append_flushed(batch_of(1), batch_of(2))
            await nodes.publish(led)
        asked = [wanted(0, number) for number in range(3)]
        answers = await asyncio.gather(*(nodes.fetcher.fetch(asked, limits(10.0, min_bytes=1)) for _ in range(20)))
        for answer in answers:
            assert [list(map(bytes, one.batches)) for one in answer] == [led.appended for led in leds]
        assert len(nodes.followers) == 3
        assert len(nodes.fetches.connections) == 3
        poll = asyncio.create_task(nodes.fetch(2, partition=1, max_wait=FOREVER))
        await leds[1].append_flushed(batch_of(3))
        assert [bytes(one) for one in (await poll).batches] == leds[1].appended[2:]
        assert len(nodes.fetches.connections) == 3

    run(body)


def test_what_no_segment_holds_yet_comes_from_the_leaders_tail() -> None:
    async def body(nodes: Nodes) -> None:
        led = await nodes.lead(durability="wal")
        led.append(batch_of(1, 2))
        await nodes.publish(led)
        led.append(batch_of(3), batch_of(4))
        assert records_in((await nodes.fetch(0)).batches) == records_of(led, 0, 2)
        await until(lambda: followed(nodes) == 4)
        assert records_in((await nodes.fetch(3)).batches) == records_of(led, 3)

    run(body)


def test_a_partition_that_nobody_leads_is_refused_after_a_while() -> None:
    async def body(nodes: Nodes) -> None:
        assert (await nodes.fetch(0)).error is ErrorCode.NOT_LEADER_OR_FOLLOWER

    run(body, patience=replace(QUICK, stand_seconds=0.05))


def test_offsets_outside_what_is_known() -> None:
    async def body(nodes: Nodes) -> None:
        led = await nodes.lead(log_start=0)
        await led.append_flushed(batch_of(1, 2, 3))
        await nodes.publish(led)
        assert (await nodes.fetch(4)).error is ErrorCode.OFFSET_NOT_AVAILABLE
        poll = asyncio.create_task(nodes.fetch(4, max_wait=FOREVER))
        led.log.raise_log_start(2)
        await led.append_flushed(batch_of(4, 5))
        assert BatchHeader.parse((await poll).batches[0]).base_offset == 3
        assert (await nodes.fetch(1)).error is ErrorCode.OFFSET_OUT_OF_RANGE

    run(body)


def test_leader_epochs_are_checked_as_a_follower_does() -> None:
    async def body(nodes: Nodes) -> None:
        led = await nodes.lead()
        await nodes.publish(led)
        epoch = led.log.leader_epoch
        assert (await nodes.fetch(0, current_leader_epoch=epoch)).error is ErrorCode.NONE
        assert (await nodes.fetch(0, current_leader_epoch=epoch - 1)).error is ErrorCode.FENCED_LEADER_EPOCH
        assert (await nodes.fetch(0, current_leader_epoch=epoch + 1)).error is ErrorCode.UNKNOWN_LEADER_EPOCH

    run(body)


def test_another_leader_epoch_is_followed() -> None:
    async def body(nodes: Nodes) -> None:
        led = await nodes.lead()
        await led.append_flushed(batch_of(1), batch_of(2))
        await nodes.publish(led)
        assert len((await nodes.fetch(0)).batches) == 2
        before = nodes.followers.log(led.log.partition)
        nodes.world.lose(led)
        after = await nodes.lead(epochs=[(5, 0), (6, 2)], end_offset=2)
        await after.append_flushed(batch_of(3))
        await until(lambda: followed(nodes) == 3)
        assert nodes.followers.log(led.log.partition) is before
        assert before.leader_epoch == 6
        assert [bytes(one) for one in (await nodes.fetch(0)).batches] == led.appended
        assert [bytes(one) for one in (await nodes.fetch(2)).batches] == after.appended

    run(body)


def test_a_leader_of_before_is_not_followed_when_the_view_has_gone_back() -> None:
    async def body(nodes: Nodes) -> None:
        led = await nodes.lead(epochs=[(5, 0)])
        await led.append_flushed(batch_of(1), batch_of(2))
        await nodes.publish(led)
        replica = nodes.server.snapshot()
        nodes.world.lose(led)
        after = await nodes.lead(epochs=[(5, 0), (6, 2)], end_offset=2)
        await after.append_flushed(batch_of(3))
        assert len((await nodes.fetch(2)).batches) == 1
        log = nodes.followers.log(led.log.partition)
        told: list[int] = []
        log.on_advance(lambda: told.append(log.high_watermark))
        nodes.server.restore(replica)
        nodes.server.state.generation += 1000
        await until(lambda: nodes.state.leader(led.log.partition) == led.log.lease)
        asked = _count_looks_for_leaders(nodes)
        await until(lambda: len(asked) >= 2)  # when its answer comes, and when it begins anew
        await nodes.view.set_leader(after.log.lease)
        await after.append_flushed(batch_of(4))
        await until(lambda: followed(nodes) == 4)
        assert told == sorted(told)
        assert log.leader_epoch == 6

    run(body)


def _count_looks_for_leaders(nodes: Nodes) -> list[PartitionId]:
    asked: list[PartitionId] = []
    leader = nodes.state.leader

    def look(partition: PartitionId) -> Lease | None:
        asked.append(partition)
        return leader(partition)

    nodes.state.leader = look
    return asked


def test_a_full_tail_is_trimmed_to_what_segments_hold() -> None:
    async def body(nodes: Nodes) -> None:
        led = await nodes.lead(durability="wal")
        await nodes.publish(led)
        await nodes.fetch(0)
        for number in range(8):
            led.append(batch_of(number, size=1000))
            await nodes.publish(led)
        await until(lambda: followed(nodes) == 8)
        log = nodes.followers.log(led.log.partition)
        await until(lambda: log.tail_start_offset > 0)
        got: list[bytes] = []
        while len(got) < 8:
            got += map(bytes, (await nodes.fetch(len(got))).batches)
        assert got == led.appended

    run(body, tail_bytes=3000)


def test_a_replace_is_followed_and_what_is_gone_is_not_missed() -> None:
    async def body(nodes: Nodes) -> None:
        led = await nodes.lead()
        await led.append_flushed(*(batch_of(number, size=1000) for number in range(4)))
        await nodes.publish(led)
        assert len((await nodes.fetch(0)).batches) == 4
        log = nodes.followers.log(led.log.partition)
        segments = [extent.segment for extent in log.extents_from(0)]
        manifest = await nodes.compact(led)
        await until(lambda: log.manifest == manifest)
        assert not log.extents_from(0)
        for key in segments:
            await nodes.world.store.delete(key)
        nodes.world.restart()
        assert records_in((await nodes.fetch(0)).batches) == records_of(led)

    run(body)


def test_a_missing_object_has_the_bucket_asked_whatever_the_view_says() -> None:
    async def body(nodes: Nodes) -> None:
        led = await nodes.lead()
        await led.append_flushed(batch_of(1), batch_of(2))
        await nodes.publish(led)
        assert len((await nodes.fetch(0)).batches) == 2
        log = nodes.followers.log(led.log.partition)
        log.suspect_manifest()
        await until(lambda: not log.manifest_suspected)
        assert len((await nodes.fetch(0)).batches) == 2

    run(body)


def test_a_partition_that_nobody_asks_for_is_followed_no_more_and_again_when_asked() -> None:
    async def body(nodes: Nodes) -> None:
        led = await nodes.lead()
        await led.append_flushed(batch_of(1))
        await nodes.publish(led)
        assert (await nodes.fetch(0)).batches
        await until(lambda: len(nodes.followers) == 0)
        assert (await nodes.fetch(0)).batches

    run(body, patience=replace(QUICK, idle_seconds=1.0))


def test_a_leader_that_says_nothing_is_given_up() -> None:
    async def body(nodes: Nodes) -> None:
        led = await nodes.lead()
        await nodes.publish(led)
        poll = asyncio.create_task(nodes.fetch(0, max_wait=FOREVER))
        assert (await poll).error is ErrorCode.NOT_LEADER_OR_FOLLOWER

    run(body, patience=replace(QUICK, silent_seconds=0.3))


def test_a_deleted_topic_is_followed_no_more() -> None:
    async def body(nodes: Nodes) -> None:
        led = await nodes.lead()
        await nodes.publish(led)
        assert (await nodes.fetch(0)).error is ErrorCode.NONE
        poll = asyncio.create_task(nodes.fetch(0, max_wait=FOREVER))
        await nodes.tell_topic(version=1, deleted_ms=1)
        assert (await poll).error is ErrorCode.NOT_LEADER_OR_FOLLOWER
        assert len(nodes.followers) == 0

    run(body)


def test_a_node_that_stops_tells_its_consumers_to_go() -> None:
    async def body(nodes: Nodes) -> None:
        led = await nodes.lead()
        await nodes.publish(led)
        assert (await nodes.fetch(0)).error is ErrorCode.NONE
        poll = asyncio.create_task(nodes.fetch(0, max_wait=FOREVER))
        await asyncio.sleep(0)
        await nodes.followers.close()
        assert (await poll).error is ErrorCode.NOT_LEADER_OR_FOLLOWER
        assert (await nodes.fetch(0)).error is ErrorCode.NOT_LEADER_OR_FOLLOWER

    run(body)
