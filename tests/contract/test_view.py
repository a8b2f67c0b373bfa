"""What every view promises, on the memory twin, on a real Valkey and on one that runs as a Redis Cluster."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from infra.clock import Clock
from infra.errors import Corrupt, Fenced, Unavailable
from infra.partition import Lease, PartitionId, SessionId
from infra.segment.extent import AbortedTransaction, FlushedExtent, ProducerEntry
from infra.view.memory import MemoryView
from infra.view.memory_server import MemoryServer
from infra.view.port import OffsetChanges, OffsetRow, PublishedPartition, ViewLost
from infra.view.redis_view import RedisView
from tests.view.builders import P0, P1, SESSION, TOPIC, extent, flushed, lease, live, producer, segment_key
from tests.view.redis_server import RunningRedis, flush, running_cluster, running_redis

TTL_MS = 60_000
HUGE = 2**62 + 1  # offsets that a Lua number cannot hold


class HeldClock(Clock):
    """Stands still until it is moved."""

    held_ms = 1_700_000_000_000

    def now_ms(self) -> int:
        return self.held_ms


class MemoryHarness:
    def __init__(self) -> None:
        self.clock = HeldClock()
        self.server = MemoryServer(self.clock)

    def connect(self) -> Any:
        return MemoryView(self.server)

    def wipe(self) -> None:
        self.server.wipe()

    async def lapse(self, ttl_ms: int) -> None:
        self.clock.held_ms += ttl_ms


class RedisHarness:
    def __init__(self, url: str, plain_url: str) -> None:
        self.url = url
        self.plain_url = plain_url

    def connect(self) -> Any:
        return RedisView(self.url, "test")

    def wipe(self) -> None:
        flush(self.plain_url)

    async def lapse(self, ttl_ms: int) -> None:
        await asyncio.sleep(ttl_ms / 1000 + 0.005)  # Redis's clock is the real one; asked for with short times only


@pytest.fixture(scope="session")
def running() -> Iterator[RunningRedis]:
    with running_redis() as server:
        yield server


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    with running_cluster() as address:
        yield address


@pytest.fixture(params=["memory", "redis", "cluster"])
def harness(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        return MemoryHarness()
    if request.param == "redis":
        url = request.getfixturevalue("running").url
        harness = RedisHarness(url, url)
    else:
        address = request.getfixturevalue("cluster")
        harness = RedisHarness(f"redis+cluster://{address}", f"redis://{address}")
    harness.wipe()
    return harness


@asynccontextmanager
async def clients(harness: Any, count: int = 1) -> Any:
    """Clients of an installed view."""
    views = [harness.connect() for _ in range(count)]
    try:
        assert await views[0].begin_rebuild("test", TTL_MS)
        await views[0].install("test", "first")
        for view in views:
            await view.use("first")
        yield views if count > 1 else views[0]
    finally:
        for view in views:
            await view.close()


def check(harness: Any, body: Callable[[Any], Awaitable[None]]) -> None:
    """Run a check with one client of an installed view."""

    async def run() -> None:
        async with clients(harness) as view:
            await body(view)

    asyncio.run(run())


def test_transactions_come_back(harness: Any) -> None:
    async def body(view: Any) -> None:
        gone = AbortedTransaction(7, 2, HUGE), AbortedTransaction(8, 5, HUGE + 1)
        first = replace(extent(0, 9), aborted=gone)
        entries = (
            replace(producer(7, 9), coordinator_epoch=3),
            replace(producer(8, 9), transaction_first_offset=5),
            ProducerEntry(9, 1, (), 1, 4, HUGE),
        )
        one = FlushedExtent(first, entries)
        await view.publish(SESSION, first.segment, [one])
        await view.publish(SESSION, first.segment, [one])
        known = await view.partition(P0)
        assert (known.extents, known.producers) == ((first,), entries)
        await view.put_partition(P0, known)
        assert await view.partition(P0) == known
        await view.publish(SESSION, first.segment, [one])  # told anew, it is still the same
        assert await view.partition(P0) == known

    check(harness, body)


def mutations(view: Any) -> dict[str, Callable[[], Awaitable[Any]]]:
    """One of each call that changes something."""
    return {
        "register": lambda: view.register(live(), TTL_MS),
        "renew": lambda: view.renew(SESSION, TTL_MS),
        "drop_session": lambda: view.drop_session(SESSION),
        "set_leader": lambda: view.set_leader(lease(0)),
        "clear_leader": lambda: view.clear_leader(lease(0)),
        "put_topic": lambda: view.put_topic(TOPIC, 0, b"{}"),
        "put_manifest": lambda: view.put_manifest(P0, 3),
        "remove_topic": lambda: view.remove_topic(TOPIC),
        "put_setting": lambda: view.put_setting("broker", "", 0, b"{}"),
        "publish": lambda: view.publish(SESSION, segment_key(0), [flushed(0, 9)]),
        "put_partition": lambda: view.put_partition(P0, PublishedPartition(0, (), ())),
        "trim_partition": lambda: view.trim_partition(P0, 1),
        "take_work": lambda: view.take_work("compact/a", "one", TTL_MS),
        "give_work": lambda: view.give_work("compact/a", "one"),
        "apply_offsets": lambda: view.apply_offsets(lease(0), OffsetChanges(1)),
        "reset_offsets": lambda: view.reset_offsets(lease(0)),
    }


def reads(view: Any) -> dict[str, Callable[[], Awaitable[Any]]]:
    return {
        "members": view.members,
        "leaders": view.leaders,
        "topics": view.topics,
        "settings": view.settings,
        "partition": lambda: view.partition(P0),
        "manifests": view.manifests,
        "load_offsets": lambda: view.load_offsets(P0),
    }


CALLS = sorted({*mutations(None), *(reads(MemoryView()))})


# incarnation and rebuild


def test_an_empty_view_has_no_incarnation_until_one_is_installed(harness: Any) -> None:
    async def run() -> None:
        view, other = harness.connect(), harness.connect()
        assert await view.incarnation() is None
        assert await view.begin_rebuild("one", TTL_MS)
        assert await view.begin_rebuild("one", TTL_MS)  # kept
        assert not await other.begin_rebuild("two", TTL_MS)
        assert await view.incarnation() is None
        await view.install("one", "first")
        await view.install("one", "first")  # the answer was lost
        assert await other.incarnation() == "first"
        assert await other.begin_rebuild("two", TTL_MS)  # the lock was let go
        await view.close()
        await other.close()

    asyncio.run(run())


def test_the_recovery_lock_lapses(harness: Any) -> None:
    async def run() -> None:
        view, other = harness.connect(), harness.connect()
        assert await view.begin_rebuild("one", 20)
        await harness.lapse(20)
        assert await other.begin_rebuild("two", TTL_MS)
        with pytest.raises(ViewLost):
            await view.install("one", "first")
        with pytest.raises(ViewLost):
            await view.put_topic(TOPIC, 0, b"late")
        await other.install("two", "second")
        assert await other.topics() == {}
        await view.close()
        await other.close()

    asyncio.run(run())


def test_a_recovery_lock_that_is_lost_is_not_kept(harness: Any) -> None:
    """What was told under it is lost too."""

    async def run() -> None:
        view, other = harness.connect(), harness.connect()
        assert not await view.keep_rebuild("one", TTL_MS)
        assert await view.begin_rebuild("one", 20)
        assert await view.keep_rebuild("one", TTL_MS)
        await harness.lapse(20)
        assert not await other.begin_rebuild("two", TTL_MS)
        assert not await other.keep_rebuild("two", TTL_MS)
        await view.put_topic(TOPIC, 0, b"told")
        harness.wipe()
        assert not await view.keep_rebuild("one", TTL_MS)
        with pytest.raises(ViewLost):
            await view.install("one", "first")
        await view.close()
        await other.close()

    asyncio.run(run())


def test_only_the_holder_of_the_lock_fills_an_empty_view(harness: Any) -> None:
    async def run() -> None:
        async with clients(harness, 2) as (view, other):
            harness.wipe()
            assert await view.begin_rebuild("one", TTL_MS)
            await view.put_topic(TOPIC, 3, b"rebuilt")
            assert await view.topics() == {TOPIC: (3, b"rebuilt")}
            with pytest.raises(ViewLost):
                await other.put_topic(TOPIC, 4, b"not yet")
            await view.install("one", "second")
            with pytest.raises(ViewLost):
                await other.topics()
            await other.use("second")
            assert await other.topics() == {TOPIC: (3, b"rebuilt")}

    asyncio.run(run())


def test_wipe_needs_the_lock_and_forgets_everything(harness: Any) -> None:
    async def body(view: Any) -> None:
        for call in mutations(view).values():
            await call()
        with pytest.raises(ViewLost):
            await view.wipe("me")
        assert await view.begin_rebuild("me", TTL_MS)
        await view.wipe("me")
        assert await view.incarnation() is None
        await view.install("me", "second")
        assert not await view.topics()
        assert not await view.settings()
        assert not await view.leaders()
        assert not await view.manifests()
        assert not (await view.members()).sessions
        assert await view.partition(P0) == PublishedPartition(0, (), ())
        assert await view.load_offsets(P0) == OffsetChanges(0)

    check(harness, body)


@pytest.mark.parametrize("name", CALLS)
def test_every_call_notices_a_wipe_and_another_incarnation(harness: Any, name: str) -> None:
    async def run() -> None:
        async with clients(harness, 2) as (view, other):
            for call in mutations(view).values():
                await call()
            call = {**mutations(view), **reads(view)}[name]
            harness.wipe()
            with pytest.raises(ViewLost):
                await call()
            assert await other.begin_rebuild("other", TTL_MS)
            with pytest.raises(ViewLost):
                await call()
            await other.install("other", "second")
            with pytest.raises(ViewLost):
                await call()
            assert (await other.members()).sessions == ()
            assert await other.topics() == {}

    asyncio.run(run())


# sessions


def test_sessions_are_listed_by_node_id_until_they_lapse(harness: Any) -> None:
    async def body(view: Any) -> None:
        await view.register(live(SessionId(9, 2), 9093, None), TTL_MS)
        await view.register(live(SessionId(7, 0)), 20)
        found = (await view.members()).sessions
        assert found == (live(SessionId(7, 0)), live(SessionId(9, 2), 9093, None))
        before = (await view.members()).generation
        await harness.lapse(20)
        assert not await view.renew(SessionId(7, 0), TTL_MS)
        assert (await view.members()).generation > before  # a lapse is a change
        assert (await view.members()).sessions == (live(SessionId(9, 2), 9093, None),)
        assert await view.renew(SessionId(9, 2), TTL_MS)
        assert not await view.renew(SessionId(9, 1), TTL_MS)

    check(harness, body)


def test_a_renewed_session_lives_on(harness: Any) -> None:
    async def body(view: Any) -> None:
        await view.register(live(), 1_000)
        before = (await view.members()).generation
        assert await view.renew(SESSION, TTL_MS)
        assert (await view.members()).generation == before
        await harness.lapse(1)
        assert (await view.members()).sessions == (live(),)

    check(harness, body)


def test_a_later_session_replaces_and_an_older_one_is_fenced(harness: Any) -> None:
    async def body(view: Any) -> None:
        await view.register(live(SessionId(7, 0)), TTL_MS)
        await view.register(live(SessionId(7, 1), 9999), TTL_MS)
        assert not await view.renew(SessionId(7, 0), TTL_MS)
        with pytest.raises(Fenced):
            await view.register(live(SessionId(7, 0)), TTL_MS)
        await view.drop_session(SessionId(7, 0))
        assert (await view.members()).sessions == (live(SessionId(7, 1), 9999),)
        await view.drop_session(SessionId(7, 1))
        await view.drop_session(SessionId(7, 1))
        assert (await view.members()).sessions == ()

    check(harness, body)


# leadership


def test_leaders_follow_the_highest_leader_epoch(harness: Any) -> None:
    async def body(view: Any) -> None:
        assert await view.set_leader(lease(3))
        assert await view.set_leader(lease(3))
        assert not await view.set_leader(lease(2, SessionId(8, 0)))
        assert await view.set_leader(lease(5, SessionId(8, 0)))
        await view.clear_leader(lease(3))
        assert await view.leaders() == {P0: lease(5, SessionId(8, 0))}
        await view.clear_leader(lease(5, SessionId(8, 0)))
        await view.clear_leader(lease(5, SessionId(8, 0)))
        assert await view.leaders() == {}

    check(harness, body)


def test_a_released_leader_epoch_is_over(harness: Any) -> None:
    async def body(view: Any) -> None:
        await view.clear_leader(lease(4))  # the set_leader before it got lost
        assert not await view.set_leader(lease(4))
        assert not await view.set_leader(lease(3))
        assert await view.set_leader(lease(5))

    check(harness, body)


def test_published_extents_make_a_leader_epoch_known(harness: Any) -> None:
    async def body(view: Any) -> None:
        await view.publish(SESSION, segment_key(0), [flushed(0, 9, 6)])
        assert not await view.set_leader(lease(5))
        assert await view.set_leader(lease(6))

    check(harness, body)


# topics and settings


def test_topics_keep_the_newest_record(harness: Any) -> None:
    async def body(view: Any) -> None:
        binary = bytes(range(256))
        await view.put_topic(TOPIC, 2, b"two")
        await view.put_topic(TOPIC, 1, b"one")
        await view.put_topic(TOPIC, 2, b"never")
        await view.put_topic(UUID(int=1), 10, binary)
        await view.put_topic(UUID(int=1), 9, b"nine")
        assert await view.topics() == {TOPIC: (2, b"two"), UUID(int=1): (10, binary)}

    check(harness, body)


def test_a_removed_topic_takes_its_leaders_and_extents_along_and_stays_away(harness: Any) -> None:
    async def body(view: Any) -> None:
        other = PartitionId(UUID(int=1), 0)
        await view.put_topic(TOPIC, 2, b"two")
        for partition in (P0, P1, other):
            await view.set_leader(lease(0, SESSION, partition))
        parts = [
            flushed(0, 9, 0, "s", P0, producer(1, 9)),
            flushed(0, 9, 0, "s", other),
        ]
        await view.publish(SESSION, "s", parts)
        only_compacted = PartitionId(TOPIC, 9)
        for partition in (P0, only_compacted, other):
            await view.put_manifest(partition, 7)
        await view.remove_topic(TOPIC)
        await view.remove_topic(TOPIC)
        await view.put_topic(TOPIC, 3, b"late")
        await view.put_manifest(P0, 8)
        assert await view.topics() == {}
        assert await view.manifests() == {other: 7}
        assert await view.leaders() == {other: lease(0, SESSION, other)}
        assert await view.partition(P0) == PublishedPartition(0, (), ())
        assert (await view.partition(other)).end_offset == 10

    check(harness, body)


def test_settings_keep_the_newest_record(harness: Any) -> None:
    async def body(view: Any) -> None:
        await view.put_setting("broker", "", 0, b"all")
        await view.put_setting("user", "ana", 12, b"new")
        await view.put_setting("user", "ana", 11, b"old")
        await view.put_setting("quota", "user=ñandú", 0, b"")
        assert await view.settings() == {
            ("broker", ""): (0, b"all"),
            ("user", "ana"): (12, b"new"),
            ("quota", "user=ñandú"): (0, b""),
        }

    check(harness, body)


def test_many_topics_and_leaders_are_read_in_pages(harness: Any) -> None:
    async def body(view: Any) -> None:
        topics = {UUID(int=number): (0, b"t%d" % number) for number in range(2_500)}
        await asyncio.gather(*(view.put_topic(one, *told) for one, told in topics.items()))
        assert await view.topics() == topics

    check(harness, body)


# extents


def test_a_publish_shows_extents_end_and_producers_of_all_partitions(harness: Any) -> None:
    async def body(view: Any) -> None:
        first = [flushed(0, 9, 0, "s0", P0, producer(1, 9)), flushed(0, 4, 0, "s0", P1)]
        second = [flushed(10, 19, 0, "s1", P0, producer(1, 19), producer(2, 12, 3))]
        await view.publish(SESSION, "s0", first)
        await view.publish(SESSION, "s1", second)
        assert await view.partition(P0) == PublishedPartition(
            20, (first[0].extent, second[0].extent), (producer(1, 19), producer(2, 12, 3))
        )
        assert await view.partition(P1) == PublishedPartition(5, (first[1].extent,), ())

    check(harness, body)


def test_several_extents_of_one_partition_in_one_segment(harness: Any) -> None:
    async def body(view: Any) -> None:
        parts = [flushed(0, 9, 0, "s"), flushed(10, 14, 1, "s"), flushed(15, 15, 4, "s")]
        await view.publish(SESSION, "s", parts)
        await view.publish(SESSION, "s", parts)
        assert [one.base_offset for one in (await view.partition(P0)).extents] == [0, 10, 15]

    check(harness, body)


def test_a_repeated_publish_changes_nothing(harness: Any) -> None:
    async def body(view: Any) -> None:
        parts = [
            [
                flushed(base, base + 9, 0, "", P0, producer(1, base + 9)),
                flushed(base, base + 9, 0, segment_key(base), P1),
            ]
            for base in range(0, 100, 10)
        ]
        for part in parts:
            await view.publish(SESSION, part[0].extent.segment, part)
        expected = [await view.partition(P0), await view.partition(P1)]
        for part in parts:  # also long after
            await view.publish(SESSION, part[0].extent.segment, part)
        assert [await view.partition(P0), await view.partition(P1)] == expected

    check(harness, body)


def test_a_repeat_is_recognised_after_a_change_of_leader(harness: Any) -> None:
    async def body(view: Any) -> None:
        await view.publish(SESSION, "s", [flushed(0, 9, 2, "s")])
        await view.set_leader(lease(3, SessionId(8, 0)))
        await view.publish(SESSION, "s", [flushed(0, 9, 2, "s")])
        assert (await view.partition(P0)).end_offset == 10

    check(harness, body)


def test_a_publish_partly_known_by_a_repair_is_completed(harness: Any) -> None:
    async def body(view: Any) -> None:
        parts = [flushed(0, 9, 0, "s", P0), flushed(0, 9, 0, "s", P1)]
        await view.put_partition(P0, PublishedPartition(10, (parts[0].extent,), ()))
        await view.publish(SESSION, "s", parts)
        assert await view.partition(P0) == PublishedPartition(10, (parts[0].extent,), ())
        assert await view.partition(P1) == PublishedPartition(10, (parts[1].extent,), ())

    check(harness, body)


@pytest.mark.parametrize(
    ("late", "error"),
    [
        (flushed(25, 29, 3, "late"), Corrupt),  # a gap
        (flushed(5, 14, 3, "late"), Corrupt),  # another segment at known offsets
        (flushed(15, 24, 3, "late"), Corrupt),
        (flushed(20, 29, 2, "late"), Fenced),  # an older leader
        (flushed(15, 24, 2, "late"), Fenced),
        (flushed(25, 29, 2, "late"), Fenced),
    ],
)
def test_what_does_not_fit_is_refused_whole(harness: Any, late: FlushedExtent, error: type[Exception]) -> None:
    async def body(view: Any) -> None:
        await view.publish(SESSION, "s0", [flushed(0, 9, 3, "s0")])
        await view.publish(SESSION, "s1", [flushed(10, 19, 3, "s1")])
        before = await view.partition(P0)
        with pytest.raises(error):
            await view.publish(SESSION, "late", [flushed(0, 9, 3, "late", P1), late])
        assert await view.partition(P0) == before
        assert await view.partition(P1) == PublishedPartition(0, (), ())

    check(harness, body)


def test_a_leader_that_was_replaced_cannot_publish(harness: Any) -> None:
    async def body(view: Any) -> None:
        await view.set_leader(lease(0))
        await view.publish(SESSION, "s0", [flushed(0, 9, 0, "s0")])
        await view.set_leader(lease(1, SessionId(8, 0)))
        with pytest.raises(Fenced):
            await view.publish(SESSION, "s1", [flushed(10, 19, 0, "s1")])
        await view.publish(SessionId(8, 0), "t0", [flushed(10, 11, 1, "t0")])
        assert (await view.partition(P0)).end_offset == 12

    check(harness, body)


def test_a_released_partition_takes_nothing_older(harness: Any) -> None:
    async def body(view: Any) -> None:
        await view.clear_leader(lease(4))
        with pytest.raises(Fenced):
            await view.publish(SESSION, "s", [flushed(0, 9, 3, "s")])

    check(harness, body)


def test_put_partition_replaces_and_mends_a_gap(harness: Any) -> None:
    async def body(view: Any) -> None:
        with pytest.raises(Corrupt):
            await view.publish(SESSION, "s1", [flushed(10, 19, 0, "s1")])
        whole = PublishedPartition(10, (extent(4, 9),), (producer(3, 8), producer(9, 9)))
        await view.put_partition(P0, PublishedPartition(7, (extent(0, 6),), (producer(1, 5),)))
        await view.put_partition(P0, whole)
        await view.put_partition(P0, whole)
        assert await view.partition(P0) == whole
        await view.publish(SESSION, "s1", [flushed(10, 19, 0, "s1")])
        assert await view.partition(P0) == replace(
            whole, end_offset=20, extents=(extent(4, 9), extent(10, 19, 0, "s1"))
        )

    check(harness, body)


def test_put_partition_does_not_lower_the_leader_epoch(harness: Any) -> None:
    async def body(view: Any) -> None:
        await view.publish(SESSION, "s", [flushed(0, 9, 6, "s")])
        await view.put_partition(P0, PublishedPartition(5, (extent(0, 4, 2),), ()))
        with pytest.raises(Fenced):
            await view.publish(SESSION, "t", [flushed(5, 9, 5, "t")])

    check(harness, body)


def test_trimmed_extents_are_gone_and_their_repeats_recognised(harness: Any) -> None:
    async def body(view: Any) -> None:
        for base in (0, 10, 20):
            await view.publish(SESSION, f"s{base}", [flushed(base, base + 9, 0, f"s{base}")])
        await view.trim_partition(P0, 15)
        assert [one.base_offset for one in (await view.partition(P0)).extents] == [10, 20]
        await view.publish(SESSION, "s0", [flushed(0, 9, 0, "s0")])
        await view.trim_partition(P0, 100)
        await view.trim_partition(P0, 100)
        await view.publish(SESSION, "s20", [flushed(20, 29, 0, "s20")])
        with pytest.raises(Corrupt):
            await view.publish(SESSION, "s25", [flushed(25, 34, 0, "s25")])
        assert await view.partition(P0) == PublishedPartition(30, (), ())
        await view.publish(SESSION, "s30", [flushed(30, 39, 0, "s30")])
        assert (await view.partition(P0)).end_offset == 40

    check(harness, body)


def test_offsets_beyond_the_reach_of_a_double(harness: Any) -> None:
    async def body(view: Any) -> None:
        await view.put_partition(P0, PublishedPartition(HUGE, (), ()))
        for base in (HUGE, HUGE + 1, HUGE + 2):
            await view.publish(SESSION, f"s{base}", [flushed(base, base, 0, f"s{base}")])
        await view.publish(SESSION, f"s{HUGE}", [flushed(HUGE, HUGE, 0, f"s{HUGE}")])
        with pytest.raises(Corrupt):
            await view.publish(SESSION, "gap", [flushed(HUGE + 4, HUGE + 4, 0, "gap")])
        assert (await view.partition(P0)).end_offset == HUGE + 3
        await view.trim_partition(P0, HUGE + 1)
        assert [one.base_offset for one in (await view.partition(P0)).extents] == [HUGE + 1, HUGE + 2]

    check(harness, body)


def test_large_partitions_are_written_and_read_in_stretches(harness: Any) -> None:
    async def body(view: Any) -> None:
        extents = tuple(extent(base, base) for base in range(5_300))
        producers = tuple(producer(number, number) for number in range(3_100))
        whole = PublishedPartition(5_300, extents, producers)
        await view.put_partition(P0, whole)
        assert await view.partition(P0) == whole

    check(harness, body)


def test_32_publishers_at_once(harness: Any) -> None:
    async def run() -> None:
        async with clients(harness, 4) as views:

            async def publish(number: int) -> None:
                partition, view = PartitionId(TOPIC, number), views[number % 4]
                for base in range(0, 50, 10):
                    key = segment_key(base, SessionId(number, 0))
                    part = flushed(base, base + 9, 0, key, partition, producer(number, base + 9))
                    await asyncio.gather(*(view.publish(SessionId(number, 0), key, [part]) for _ in range(2)))

            await asyncio.gather(*map(publish, range(32)))
            for number in range(32):
                found = await views[0].partition(PartitionId(TOPIC, number))
                assert found.end_offset == 50
                assert len(found.extents) == 5
                assert found.producers == (producer(number, 49),)

    asyncio.run(run())


def test_of_publishers_at_one_offset_one_wins(harness: Any) -> None:
    async def run() -> None:
        async with clients(harness, 4) as views:

            async def publish(number: int) -> bool:
                try:
                    await views[number % 4].publish(SESSION, f"s{number}", [flushed(0, 9, 0, f"s{number}")])
                except Corrupt:
                    return False
                return True

            won = await asyncio.gather(*map(publish, range(32)))
            assert sum(won) == 1
            (stored,) = (await views[0].partition(P0)).extents
            assert stored.segment == f"s{won.index(True)}"

    asyncio.run(run())


# manifests and work


def test_manifests_keep_the_highest_version(harness: Any) -> None:
    async def body(view: Any) -> None:
        for partition, version in ((P0, 9), (P0, 10), (P0, 2), (P1, 0), (P1, 0)):
            await view.put_manifest(partition, version)
        assert await view.manifests() == {P0: 10, P1: 0}
        before = (await view.members()).generation
        await view.put_manifest(P0, 10)
        await view.put_manifest(P0, 9)
        assert (await view.members()).generation == before
        await view.put_manifest(P0, 4_294_967_297)
        assert await view.manifests() == {P0: 4_294_967_297, P1: 0}

    check(harness, body)


def test_a_manifest_of_a_topic_that_is_not_known_is_kept(harness: Any) -> None:
    async def body(view: Any) -> None:
        await view.put_manifest(P0, 1)  # the view may have forgotten the topic
        await view.put_topic(TOPIC, 0, b"{}")
        await view.put_manifest(P0, 2)
        assert await view.manifests() == {P0: 2}

    check(harness, body)


def test_work_is_one_owners_until_it_is_given_or_lapses(harness: Any) -> None:
    async def run() -> None:
        async with clients(harness, 2) as (view, other):
            assert await view.take_work("compact/a", "one", TTL_MS)
            assert await view.take_work("compact/a", "one", TTL_MS)  # kept
            assert not await other.take_work("compact/a", "two", TTL_MS)
            assert not await other.take_work("compact/a", "one two", TTL_MS)
            assert await other.take_work("compact/b", "two", TTL_MS)
            await other.give_work("compact/a", "two")  # not theirs to give
            assert not await other.take_work("compact/a", "two", TTL_MS)
            await view.give_work("compact/a", "one")
            await view.give_work("compact/a", "one")
            assert await other.take_work("compact/a", "two", 20)
            await harness.lapse(20)
            assert await view.take_work("compact/a", "one", TTL_MS)

    asyncio.run(run())


def test_work_is_kept_longer_and_shorter(harness: Any) -> None:
    async def run() -> None:
        async with clients(harness, 2) as (view, other):
            assert await view.take_work("w", "one", 20)
            assert await view.take_work("w", "one", TTL_MS)
            await harness.lapse(20)
            assert not await other.take_work("w", "two", TTL_MS)
            assert await view.take_work("w", "one", 20)
            await harness.lapse(20)
            assert await other.take_work("w", "two", TTL_MS)

    asyncio.run(run())


def test_work_is_free_after_a_rebuild(harness: Any) -> None:
    async def run() -> None:
        async with clients(harness, 2) as (view, other):
            assert await view.take_work("w", "one", TTL_MS)
            assert await other.begin_rebuild("me", TTL_MS)
            await other.wipe("me")
            await other.install("me", "second")
            assert await other.take_work("w", "two", TTL_MS)
            await view.use("second")
            assert not await view.take_work("w", "one", TTL_MS)

    asyncio.run(run())


# consumer offsets


def row(offset: int, metadata: str = "") -> OffsetRow:
    return OffsetRow(offset, -1, metadata, 1_700_000_000_000)


def test_consumer_offsets_move_forward_only(harness: Any) -> None:
    async def body(view: Any) -> None:
        a, b = ("g", "orders", 0), ("gñ", "tópico", 2**31 - 1)
        await view.apply_offsets(
            lease(1), OffsetChanges(10, {a: row(5), b: row(7, "métà")}, {"g": b"\0meta", "x": b""})
        )
        await view.apply_offsets(lease(1), OffsetChanges(10, {a: row(99)}))
        await view.apply_offsets(lease(1), OffsetChanges(9, {}, {"g": None}))
        expected = OffsetChanges(10, {a: row(5), b: row(7, "métà")}, {"g": b"\0meta", "x": b""})
        assert await view.load_offsets(P0) == expected
        await view.apply_offsets(lease(2), OffsetChanges(12, {a: None, b: row(8)}, {"x": None}))
        assert await view.load_offsets(P0) == OffsetChanges(12, {b: row(8)}, {"g": b"\0meta"})
        assert await view.load_offsets(P1) == OffsetChanges(0)

    check(harness, body)


def test_a_stretch_that_does_not_follow_on_is_refused(harness: Any) -> None:
    async def body(view: Any) -> None:
        a, b = ("g", "t", 0), ("g", "t", 1)
        with pytest.raises(Corrupt):
            await view.apply_offsets(lease(1), OffsetChanges(5, {a: row(1)}, since=1))
        assert await view.load_offsets(P0) == OffsetChanges(0)
        await view.apply_offsets(lease(1), OffsetChanges(5, {a: row(1)}, since=0))
        await view.apply_offsets(lease(1), OffsetChanges(8, {b: row(2)}, since=3))
        with pytest.raises(Corrupt):
            await view.apply_offsets(lease(1), OffsetChanges(12, {a: row(3)}, since=9))
        await view.apply_offsets(lease(1), OffsetChanges(8, {a: row(3)}, since=8))  # applied already: not looked at
        assert await view.load_offsets(P0) == OffsetChanges(8, {a: row(1), b: row(2)})

    check(harness, body)


def test_an_older_coordinator_applies_nothing(harness: Any) -> None:
    async def body(view: Any) -> None:
        key = ("g", "t", 0)
        await view.apply_offsets(lease(3), OffsetChanges(5, {key: row(1)}))
        with pytest.raises(Fenced):
            await view.apply_offsets(lease(2), OffsetChanges(9, {key: row(2)}))
        await view.set_leader(lease(4))
        for call in (view.apply_offsets(lease(3), OffsetChanges(9, {key: row(2)})), view.reset_offsets(lease(3))):
            with pytest.raises(Fenced):
                await call
        assert await view.load_offsets(P0) == OffsetChanges(5, {key: row(1)})
        await view.reset_offsets(lease(4))
        assert await view.load_offsets(P0) == OffsetChanges(0)

    check(harness, body)


def test_many_consumer_offsets_are_loaded_in_pages(harness: Any) -> None:
    async def body(view: Any) -> None:
        rows: dict[Any, OffsetRow | None] = {("g", "t", number): row(number) for number in range(3_000)}
        await view.apply_offsets(lease(0), OffsetChanges(3_000, rows))
        assert await view.load_offsets(P0) == OffsetChanges(3_000, rows)

    check(harness, body)


# generation and hints


def test_the_generation_rises_with_every_change_and_with_nothing_else(harness: Any) -> None:
    async def body(view: Any) -> None:
        quiet = {"renew", "publish", "put_partition", "trim_partition", "apply_offsets", "reset_offsets"}
        quiet |= {"take_work", "give_work"}
        for name, call in mutations(view).items():
            before = (await view.members()).generation
            await call()
            raised = (await view.members()).generation > before
            assert raised == (name not in quiet), name
            before = (await view.members()).generation
            if name not in {"drop_session", "set_leader", "remove_topic"}:  # what these undo has been undone
                await call()
                assert (await view.members()).generation == before, name

    check(harness, body)


def test_a_hint_wakes_who_waits(harness: Any) -> None:
    async def run() -> None:
        async with clients(harness, 2) as (view, other):
            while await view.wait_hint(0.2):
                pass  # the subscription itself may count as a hint
            waiting = asyncio.create_task(view.wait_hint(30))
            await other.put_topic(TOPIC, 0, b"{}")
            assert await waiting
            assert await view.topics() == {TOPIC: (0, b"{}")}
            assert not await view.wait_hint(0)

    asyncio.run(run())


def test_no_answer_is_unavailable(harness: Any) -> None:
    async def run() -> None:
        if isinstance(harness, MemoryHarness):
            harness.server.down = True
            view = harness.connect()
        else:
            view = RedisView("unix:///nowhere/redis.sock", "test")
        await view.use("first")
        for call in (*mutations(view).values(), *reads(view).values(), view.incarnation):
            with pytest.raises(Unavailable) as caught:
                await call()
            assert not isinstance(caught.value, ViewLost)
        await view.close()

    asyncio.run(run())


def test_clusters_on_one_server_do_not_meet(running: RunningRedis) -> None:
    async def run() -> None:
        flush(running.url)
        one, two = RedisView(running.url, "one"), RedisView(running.url, "two")
        for view in (one, two):
            assert await view.begin_rebuild("x", TTL_MS)
            await view.install("x", "same")
        await one.set_leader(Lease(P0, SESSION, 0))
        assert await two.leaders() == {}
        assert await two.begin_rebuild("x", TTL_MS)
        await two.wipe("x")
        assert await one.leaders() == {P0: lease(0)}
        await one.close()
        await two.close()

    asyncio.run(run())
