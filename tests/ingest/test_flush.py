"""Flushes against a store and a view that are slow, down, wiped or fenced: the order holds, nothing false is told."""

import asyncio
import random
from collections.abc import Sequence
from functools import partial

import pytest

from infra.errors import Corrupt, Fenced, NotLeader
from infra.partition import SessionId
from infra.segment.holders import HOLDERS_EVERY, Holder, Holders
from infra.view.port import PublishedPartition
from ingest.flush import BuiltSegment
from ingest.flush_plan import FlushPolicy, FlushSchedule, FlushTrigger
from ingest.leaders import IngestLimits
from ingest.partition_log import FlushPart
from tests.ingest.batches import header_of, make_batch
from tests.ingest.logs import SESSION, Guard, open_log, partition_id, settings_of, taken_lease
from tests.ingest.node import AT_ONCE, NEVER, FakeWal, WriteSide, run, until


def test_an_append_is_flushed_published_and_acknowledged() -> None:
    async def body(side: WriteSide) -> None:
        log = side.open()
        batch = make_batch(3, producer_id=5, epoch=0, sequence=0)
        _, told = side.append(batch)
        assert await told is None
        assert log.high_watermark == 3
        published = await side.view.partition(log.partition)
        assert published.end_offset == 3
        assert published.extents[0].segment == "batches/0000000001/0000000003/0000000000.parquet"
        assert published.producers[0].batches == ((0, 2, 0, 1_000),)
        assert await side.store.get(published.extents[0].segment) == bytes(batch)
        await until(lambda: side.wal.trimmed == side.wal.end)
        assert side.leaders.unpublished_bytes == 0

    run(body)


@pytest.mark.parametrize("seed", range(8))
def test_flushes_that_finish_in_any_order_publish_in_order(seed: int) -> None:
    chance = random.Random(seed)

    async def body(side: WriteSide) -> None:
        async def gate(_: str) -> None:
            for _ in range(chance.randrange(20)):
                await asyncio.sleep(0)

        side.store.gate = gate
        logs = [side.open(partition) for partition in range(3)]
        early: list[int] = []
        waiting = []

        def note(log, upto: int, _: object) -> None:  # type: ignore[no-untyped-def]
            if log.high_watermark < upto:
                early.append(upto)

        for _ in range(60):
            partition = chance.randrange(3)
            appended, told = side.append(make_batch(chance.randrange(1, 4)), partition=partition)
            told.add_done_callback(partial(note, logs[partition], appended.next_offset))
            waiting.append(told)
            if chance.random() < 0.5:
                await asyncio.sleep(0)

        assert await asyncio.gather(*waiting) == [None] * 60
        for log in logs:
            published = await side.view.partition(log.partition)
            assert published.end_offset == log.log_end_offset
            extents = published.extents
            assert [e.base_offset for e in extents] == [0, *(e.last_offset + 1 for e in extents[:-1])]
            segments = [e.segment for e in extents]
            assert segments == sorted(segments)
        assert early == []

    run(body)


def test_a_later_segment_waits_for_an_earlier_one() -> None:
    async def body(side: WriteSide) -> None:
        log = side.open()
        held = asyncio.Event()
        arrived: list[str] = []

        async def gate(key: str) -> None:
            arrived.append(key)
            if key.endswith("0.parquet"):
                await held.wait()

        side.store.gate = gate
        _, first = side.append(make_batch())
        await until(lambda: len(arrived) == 1)
        _, second = side.append(make_batch())
        await until(lambda: len(arrived) == 2 and side.guard.looked == 1)
        await asyncio.sleep(0.02)
        assert not first.done()
        assert not second.done()
        assert (await side.view.partition(log.partition)).end_offset == 0
        held.set()
        assert await asyncio.gather(first, second) == [None, None]

    run(body)


_TWO_FLUSHES = {
    "by their number": FlushPolicy(object=AT_ONCE, wal=AT_ONCE, in_flight=2),
    "by their bytes": FlushPolicy(
        object=AT_ONCE, wal=AT_ONCE, segment_bytes=64 << 10, in_flight_bytes=(64 << 10) + make_batch().nbytes
    ),
}


@pytest.mark.parametrize("policy", _TWO_FLUSHES.values(), ids=_TWO_FLUSHES.keys())
def test_no_more_than_the_allowed_flushes_are_in_the_air(policy: FlushPolicy) -> None:
    async def body(side: WriteSide) -> None:
        side.open()
        held = asyncio.Event()
        arrived: list[str] = []

        async def gate(key: str) -> None:
            arrived.append(key)
            await held.wait()

        side.store.gate = gate
        waiting = []
        for count in range(1, 3):
            waiting.append(side.append(make_batch())[1])
            await until(lambda count=count: len(arrived) == count)  # type: ignore[misc]
        waiting.extend(side.append(make_batch())[1] for _ in range(5))
        await asyncio.sleep(0.02)
        assert len(arrived) == 2
        held.set()
        assert await asyncio.gather(*waiting) == [None] * 7
        assert len(arrived) == 3

    run(body, partial(WriteSide, policy=policy))


def test_a_fence_in_the_middle_acknowledges_nothing_and_loses_the_session() -> None:
    async def body(side: WriteSide) -> None:
        log = side.open()
        other = side.open(1)
        held = asyncio.Event()
        arrived: list[str] = []

        async def gate(key: str) -> None:
            arrived.append(key)
            await held.wait()

        side.store.gate = gate
        _, first = side.append(make_batch())
        await until(lambda: len(arrived) == 1)
        _, second = side.append(make_batch(), partition=1)
        side.guard.fenced = True
        held.set()
        assert isinstance(await first, Fenced)
        assert isinstance(await second, Fenced)
        assert log.closed
        assert other.closed
        assert (await side.view.partition(log.partition)).end_offset == 0
        with pytest.raises(NotLeader):
            side.leaders.log(log.partition)
        await until(lambda: not side.wal.waiting)
        assert [session for session, _ in side.lost] == [SESSION]
        with pytest.raises(Fenced):
            side.open()

    run(body)


def test_a_new_session_begins_with_sequences_of_its_own() -> None:
    async def body(side: WriteSide) -> None:
        log = side.open()
        _, told = side.append(make_batch())
        await told
        side.leaders.lose(SESSION, Fenced("test"))
        assert log.closed
        session = SessionId(SESSION.node_id, SESSION.node_epoch + 1)
        side.leaders.begin_session(Guard(session))
        side.leaders.open(taken_lease(epoch=6, session=session, end_offset=1), settings_of())
        _, told = side.append(make_batch())
        assert await told is None
        assert list(side.store.bodies) == [
            "batches/0000000001/0000000003/0000000000.parquet",
            "batches/0000000001/0000000004/0000000000.parquet",
        ]

    run(body)


def test_flushes_of_a_lost_session_do_not_hold_up_the_next() -> None:
    async def body(side: WriteSide) -> None:
        side.open()

        async def gate(key: str) -> None:
            if "/0000000003/" in key:
                await asyncio.Event().wait()

        side.store.gate = gate
        told = []
        for flights in range(1, 5):
            told.append(side.append(make_batch())[1])
            await until(lambda flights=flights: len(side.store.bodies) == flights)  # type: ignore[misc]
        side.leaders.lose(SESSION, Fenced("test"))
        assert {type(error) for error in await asyncio.gather(*told)} == {Fenced}
        session = SessionId(1, 4)
        side.leaders.begin_session(Guard(session))
        side.leaders.open(taken_lease(epoch=6, session=session), settings_of())
        assert await side.append(make_batch())[1] is None
        assert len(side.lost) == 1

    run(body)


def test_a_store_outage_delays_and_loses_nothing() -> None:
    async def body(side: WriteSide) -> None:
        log = side.open()
        side.store.down = True
        waiting = [side.append(make_batch())[1] for _ in range(3)]
        _, by_wal = side.append(make_batch(), acks=1)
        assert await by_wal is None
        await until(lambda: bool(side.store.bodies))
        waiting.append(side.append(make_batch())[1])
        await asyncio.sleep(0.02)
        assert not any(told.done() for told in waiting)
        assert side.wal.trimmed == 0
        side.store.down = False
        assert await asyncio.gather(*waiting) == [None] * 4
        assert log.published_offset == 5
        assert all(len(bodies) == 1 for bodies in side.store.bodies.values())

    run(body)


def test_a_view_outage_delays_and_loses_nothing() -> None:
    async def body(side: WriteSide) -> None:
        log = side.open()
        side.view.server.down = True
        _, told = side.append(make_batch())
        await until(lambda: side.guard.looked == 1)
        assert not told.done()
        side.view.server.down = False
        assert await told is None
        assert (await side.view.partition(log.partition)).end_offset == 1

    run(body)


def test_a_wiped_view_is_rebuilt_and_then_mended() -> None:
    async def body(side: WriteSide) -> None:
        log = side.open()
        for _ in range(3):
            assert await side.append(make_batch(producer_id=4, epoch=0, sequence=log.log_end_offset))[1] is None
        side.view.server.wipe()
        _, told = side.append(make_batch())
        assert await told is None
        assert side.repairs == 1
        published = await side.view.partition(log.partition)
        assert published == log.published()
        assert published.end_offset == 4
        assert len(published.extents) == 4
        assert len(published.producers[0].batches) == 3

    run(body)


def test_a_view_that_went_back_is_mended_from_what_the_leader_knows() -> None:
    async def body(side: WriteSide) -> None:
        log = side.open()
        for _ in range(3):
            assert await side.append(make_batch())[1] is None
        known = log.published()
        stale = PublishedPartition(1, known.extents[:1], ())
        await side.view.put_partition(log.partition, stale)
        assert await side.append(make_batch())[1] is None
        assert await side.view.partition(log.partition) == log.published()
        assert side.repairs == 0

    run(body)


def test_a_segment_that_cannot_be_built_ends_the_session() -> None:
    async def body(side: WriteSide) -> None:
        side.open()

        async def gate(key: str) -> None:
            raise Corrupt("a different object is there")

        side.store.gate = gate
        _, told = side.append(make_batch())
        assert isinstance(await told, Fenced)
        assert len(side.lost) == 1

    run(body)


def test_at_wal_the_watermark_does_not_wait_for_the_store() -> None:
    async def body(side: WriteSide) -> None:
        log = side.open(durability="wal")
        side.store.down = True
        assert await side.append(make_batch(2))[1] is None
        assert (log.high_watermark, log.published_offset) == (2, 0)
        side.store.down = False
        await until(lambda: log.published_offset == 2)

    run(body)


def test_release_flushes_at_once_and_ends_the_log() -> None:
    async def body(side: WriteSide) -> None:
        log = side.open()
        _, told = side.append(make_batch(2))
        release = asyncio.create_task(side.leaders.release(log.partition))
        await asyncio.sleep(0)
        refused, _ = side.append(make_batch())
        assert isinstance(refused, NotLeader)
        await release
        assert told.done()
        assert told.result() is None
        assert log.closed
        assert (await side.view.partition(log.partition)).end_offset == 2

    run(body, partial(WriteSide, policy=FlushPolicy(object=NEVER, wal=NEVER)))


def test_a_release_whose_session_is_fenced_fails() -> None:
    async def body(side: WriteSide) -> None:
        log = side.open()
        side.append(make_batch(2))
        side.guard.fenced = True
        with pytest.raises(NotLeader):
            await side.leaders.release(log.partition)

    run(body)


def test_the_wal_keeps_what_a_lost_lease_at_wal_left() -> None:
    async def body(side: WriteSide) -> None:
        side.store.down = True
        log = side.open(durability="wal")
        assert await side.append(make_batch(2))[1] is None
        side.leaders.hold_wal(partition_id(9), 0)
        side.leaders.lose(SESSION, Fenced("test"))
        side.store.down = False
        assert [header_of(batch).base_offset for batch in side.leaders.unpublished(log.partition)] == [0]
        session = SessionId(1, 4)
        side.leaders.begin_session(Guard(session))
        side.leaders.open(taken_lease(partition_id(1), session=session), settings_of())
        assert await side.append(make_batch(), partition=1)[1] is None
        assert side.wal.trimmed == 0
        side.leaders.open(taken_lease(log.partition, session=session, end_offset=2), settings_of())
        assert side.leaders.unpublished(log.partition) == []
        assert await side.append(make_batch(), partition=1)[1] is None
        assert side.wal.trimmed == 0  # the earlier process's batches
        side.leaders.forget_left(partition_id(9))
        assert await side.append(make_batch(), partition=1)[1] is None
        await until(lambda: side.wal.trimmed == side.wal.end)

    run(body)


def test_a_deleted_topic_holds_nothing_back() -> None:
    async def body(side: WriteSide) -> None:
        side.store.down = True
        log = side.open(durability="wal")
        side.append(make_batch(2))
        await until(lambda: bool(side.store.bodies))
        side.leaders.close(log.partition, "deleted")
        side.store.down = False
        side.leaders.open(taken_lease(partition_id(1)), settings_of())
        assert await side.append(make_batch(), partition=1)[1] is None
        assert side.wal.trimmed == side.wal.end
        assert (await side.view.partition(log.partition)).end_offset == 0
        assert side.lost == []

    run(body)


def test_memory_for_unpublished_batches_is_bounded() -> None:
    async def body(side: WriteSide) -> None:
        side.open()
        side.store.down = True
        order: list[int] = []
        tasks = []

        async def produce(number: int) -> None:
            def append() -> None:
                order.append(number)
                side.append(make_batch())

            waiting = side.leaders.admission.submit(100, 1, append, lambda: order.append(-number))
            if waiting is not None:
                await waiting

        for number in range(6):
            tasks.append(asyncio.create_task(produce(number)))
            await asyncio.sleep(0)
        tasks[4].cancel()
        await until(lambda: side.leaders.unpublished_bytes > 2_000)
        assert order == [0, 1]
        side.store.down = False
        await asyncio.gather(*tasks, return_exceptions=True)
        assert order == [0, 1, 2, 3, -4, 5], "who left is told of when its turn would have come"

    run(body, partial(WriteSide, limits=IngestLimits(unpublished_bytes=2_000)))


def test_a_failed_wal_ends_the_session_and_acknowledges_nothing() -> None:
    async def body(side: WriteSide) -> None:
        side.open(durability="wal")
        _, first = side.append(make_batch())
        side.wal.sync(OSError("the disk is gone"))
        assert isinstance(await first, Fenced)
        assert len(side.lost) == 1

    run(body, lambda: WriteSide(wal=FakeWal(at_once=False)))


def test_a_wal_that_refuses_after_offsets_were_given_ends_the_session() -> None:
    async def body(side: WriteSide) -> None:
        side.open()
        side.wal.refuses = NotLeader("closed")
        _, told = side.append(make_batch())
        assert isinstance(await told, Fenced)
        assert len(side.lost) == 1

    run(body)


def test_the_ttl_rule() -> None:
    async def body(side: WriteSide) -> None:
        side.open(0, "wal")
        side.open(1, "object")
        _, by_wal = side.append(make_batch())
        _, leader_only = side.append(make_batch(), acks=1, partition=1)
        _, by_bucket = side.append(make_batch(), partition=1)
        side.guard.lapsed = True
        side.wal.sync()
        assert isinstance(await by_wal, Fenced)
        assert isinstance(await leader_only, Fenced)
        assert await by_bucket is None  # no fence was found after the segment was there
        refused, _ = side.append(make_batch())
        assert isinstance(refused, Fenced)
        side.guard.lapsed = False
        assert not isinstance(side.append(make_batch())[0], Fenced)
        assert side.lost == []

    run(body, lambda: WriteSide(wal=FakeWal(at_once=False)))


def test_coordinators_append_and_wait_for_the_watermark() -> None:
    async def body(side: WriteSide) -> None:
        log = side.open()
        first = await side.leaders.append(log.partition, log.leader_epoch, [bytes(make_batch(2)), make_batch(1)])
        second = await side.leaders.append(log.partition, log.leader_epoch, [make_batch(1)])
        assert (first, second, log.high_watermark) == (0, 3, 4)
        with pytest.raises(NotLeader):
            await side.leaders.append(log.partition, log.leader_epoch + 1, [make_batch()])
        side.store.down = True
        waiting = asyncio.create_task(side.leaders.append(log.partition, log.leader_epoch, [make_batch()]))
        await until(lambda: log.log_end_offset == 5)
        side.leaders.lose(SESSION, Fenced("test"))
        with pytest.raises(Fenced):
            await waiting

    run(body)


def test_listeners_hear_of_each_lease_once() -> None:
    async def body(side: WriteSide) -> None:
        heard: list[tuple[str, int]] = []

        class Listener:
            def on_lead(self, log) -> None:  # type: ignore[no-untyped-def]
                heard.append(("lead", log.partition.partition))

            def on_release(self, partition, leader_epoch: int) -> None:  # type: ignore[no-untyped-def]
                heard.append(("release", partition.partition))

        side.leaders.listen(Listener())
        side.open(0)
        side.open(1)
        await side.leaders.release(partition_id(0))
        side.leaders.close(partition_id(1), "fenced")
        side.leaders.close(partition_id(1), "fenced")
        assert heard == [("lead", 0), ("lead", 1), ("release", 0), ("release", 1)]

    run(body)


def test_when_a_flush_is_due() -> None:
    policy = FlushPolicy(
        object=FlushTrigger(flush_bytes=200, flush_interval_ms=250),
        wal=FlushTrigger(flush_bytes=1_000, flush_interval_ms=5_000),
        segment_bytes=150,
    )
    schedule = FlushSchedule(policy)
    by_object, by_wal = open_log("object"), open_log("wal")
    size = make_batch().nbytes

    def grow(log, now: float) -> bool:  # type: ignore[no-untyped-def]
        batch = make_batch()
        log.on_synced(log.append([(header_of(batch), batch)], 0, 0).next_offset)
        return schedule.note(log, now)

    assert schedule.due_in(0) is None
    assert grow(by_wal, 10.0)
    assert not grow(by_wal, 11.0)
    assert schedule.due_in(12.0) == 3.0
    assert grow(by_object, 12.0)
    assert schedule.due_in(12.0) == 0.25
    assert not grow(by_object, 12.1)
    assert 2 * size < 200 <= 3 * size
    assert grow(by_object, 12.1)
    assert schedule.due_in(12.1) == 0
    assert [(part.log, len(part.batches)) for part in schedule.take(12.1)] == [(by_object, 2), (by_wal, 1)]
    assert schedule.due_in(12.1) == pytest.approx(0.15)  # what did not fit is as old as it was
    assert [(part.log, len(part.batches)) for part in schedule.take(12.1)] == [(by_object, 1), (by_wal, 1)]
    assert schedule.due_in(12.1) is None
    schedule.hurry(by_wal)
    assert grow(by_wal, 13.0)
    assert schedule.due_in(13.0) == 0
    schedule.forget(by_wal)
    assert schedule.due_in(13.0) is None


def test_what_comes_after_an_idle_interval_is_flushed_at_once_and_then_once_an_interval() -> None:
    schedule = FlushSchedule(
        FlushPolicy(object=FlushTrigger(flush_bytes=1_000, flush_interval_ms=250, gather_ms=5), segment_bytes=150)
    )
    log = open_log("object")

    def grow(now: float) -> None:
        batch = make_batch()
        log.on_synced(log.append([(header_of(batch), batch)], 0, 0).next_offset)
        schedule.note(log, now)

    grow(10.0)
    assert schedule.due_in(10.0) == pytest.approx(0.005)
    assert len(schedule.take(10.005)) == 1
    grow(10.1)
    assert schedule.due_in(10.1) == pytest.approx(0.155)  # an interval after the last one began
    for _ in range(2):
        grow(10.2)
    assert len(schedule.take(10.255)) == 1
    assert schedule.due_in(10.3) == pytest.approx(0.05)  # what did not fit was 0.25 s old before the next interval ends
    schedule.take(10.35)
    grow(10.6)
    assert schedule.due_in(10.6) == pytest.approx(0.005)


def test_every_so_many_segments_are_told_the_last_holders_also_of_what_was_given_back() -> None:
    async def body(side: WriteSide) -> None:
        told: list[Holders | None] = []
        build = side.leaders._flusher._build

        def listen(key: str, session: SessionId, parts: Sequence[FlushPart], holders: Holders | None) -> BuiltSegment:
            told.append(holders)
            return build(key, session, parts, holders)

        side.leaders._flusher._build = listen
        kept, given_back = side.open(0), side.open(1)
        _, acknowledged = side.append(make_batch(3), partition=1)
        assert await acknowledged is None
        await side.leaders.release(given_back.partition)
        for _ in range(HOLDERS_EVERY):
            _, acknowledged = side.append(make_batch(2), partition=0)
            assert await acknowledged is None
        assert [number for number, holders in enumerate(told) if holders is not None] == [0, HOLDERS_EVERY]
        assert told[0] == Holders(0, {})
        epoch = kept.leader_epoch
        last = {given_back.partition: Holder(0, epoch, 2), kept.partition: Holder(15, epoch, 29)}
        assert told[HOLDERS_EVERY] == Holders(0, last)

    run(body)
