"""The memory view and the Redis view answer alike, whatever calls come and in whatever order."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.errors import CauceError
from infra.partition import Lease, PartitionId, SessionId
from infra.segment.extent import AbortedTransaction, ProducerEntry
from infra.view.memory import MemoryView
from infra.view.packing import (
    pack_extent,
    pack_int64,
    pack_offset,
    pack_offset_key,
    pack_producer,
    parse_partition,
    partition_name,
    unpack_extent,
    unpack_offset,
    unpack_offset_key,
    unpack_producer,
)
from infra.view.port import OffsetChanges, OffsetRow, PublishedPartition
from infra.view.redis_view import RedisView
from tests.view.builders import P0, P1, SESSION, TOPIC, extent, flushed, producer
from tests.view.redis_server import RunningRedis, flush, running_redis

epochs = st.integers(0, 3)
places = st.integers(0, 6)
partitions = st.sampled_from([P0, P1])
segments = st.sampled_from(["a", "b", "c"])

parts = st.builds(
    lambda base, length, epoch, partition: (base * 10, base * 10 + length * 10 - 1, epoch, partition),
    places,
    st.integers(1, 2),
    epochs,
    partitions,
)
offset_keys = st.tuples(st.sampled_from(["g", "h"]), st.sampled_from(["t", ""]), st.integers(0, 1))
rows = st.none() | st.builds(OffsetRow, places, epochs, st.text(max_size=3), places)
calls = st.one_of(
    st.tuples(st.just("publish"), segments, st.lists(parts, min_size=1, max_size=3)),
    st.tuples(st.just("put"), partitions, places, epochs),
    st.tuples(st.just("trim"), partitions, st.integers(0, 70)),
    st.tuples(st.just("set_leader"), partitions, epochs, st.integers(7, 8)),
    st.tuples(st.just("clear_leader"), partitions, epochs),
    st.tuples(st.just("apply"), partitions, epochs, places, st.dictionaries(offset_keys, rows, max_size=2), places),
    st.tuples(st.just("reset"), partitions, epochs),
    st.tuples(st.just("manifest"), partitions, places),
    st.tuples(st.just("take"), segments, st.sampled_from(["one", "two"])),
    st.tuples(st.just("give"), segments, st.sampled_from(["one", "two"])),
    st.tuples(st.just("remove")),
)


async def carry_out(view: Any, call: tuple[Any, ...]) -> Any:
    """The answer of one call, or the kind of its error."""
    try:
        match call:
            case ("publish", segment, stated):
                made = [flushed(b, n, e, segment, p, producer(b, n)) for b, n, e, p in stated]
                return await view.publish(SESSION, segment, made)
            case ("put", partition, place, epoch):
                extents = tuple(extent(base * 10, base * 10 + 9, epoch, "a", partition) for base in range(place))
                return await view.put_partition(partition, PublishedPartition(place * 10, extents, ()))
            case ("trim", partition, below):
                return await view.trim_partition(partition, below)
            case ("set_leader", partition, epoch, node):
                return await view.set_leader(Lease(partition, SessionId(node, 0), epoch))
            case ("clear_leader", partition, epoch):
                return await view.clear_leader(Lease(partition, SESSION, epoch))
            case ("apply", partition, epoch, upto, rows, since):
                changes = OffsetChanges(upto, rows, since=min(since, upto))
                return await view.apply_offsets(Lease(partition, SESSION, epoch), changes)
            case ("reset", partition, epoch):
                return await view.reset_offsets(Lease(partition, SESSION, epoch))
            case ("manifest", partition, version):
                return await view.put_manifest(partition, version)
            case ("take", name, owner):
                return await view.take_work(name, owner, 60_000)
            case ("give", name, owner):
                return await view.give_work(name, owner)
            case ("remove",):
                return await view.remove_topic(TOPIC)
    except CauceError as error:
        return type(error)
    raise AssertionError(call)


async def everything(view: Any) -> Any:
    return [
        [await view.partition(one) for one in (P0, P1)],
        [await view.load_offsets(one) for one in (P0, P1)],
        await view.leaders(),
        await view.manifests(),
        (await view.members()).generation,
    ]


@pytest.fixture(scope="module")
def running() -> Iterator[RunningRedis]:
    with running_redis() as server:
        yield server


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(calls, max_size=25))
def test_the_twins_answer_alike(running: RunningRedis, script: list[tuple[Any, ...]]) -> None:
    async def run() -> None:
        views: list[Any] = [MemoryView(), RedisView(running.url, "twins")]
        for view in views:
            assert await view.begin_rebuild("me", 60_000)
            await view.install("me", "first")
        for call in script:
            memory, redis = [await carry_out(view, call) for view in views]
            assert memory == redis, call
        memory, redis = [await everything(view) for view in views]
        assert memory == redis
        await views[1].close()

    flush(running.url)
    asyncio.run(run())


int32, int64 = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
plain_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.uuids(), st.integers(0, 2**31 - 1))
def test_partition_names(topic_id: Any, number: int) -> None:
    partition = PartitionId(topic_id, number)
    assert parse_partition(partition_name(partition)) == partition


@given(st.integers(0, 2**62), st.integers(0, 2**20), int32.filter(lambda n: n >= 0), plain_text)
def test_extents_come_back(base: int, length: int, epoch: int, segment: str) -> None:
    made = extent(base, base + length, epoch, segment or "s")
    assert unpack_extent(P0, pack_extent(made)) == made
    gone = AbortedTransaction(base, length, epoch), AbortedTransaction(2**63 - 1, 0, base)
    aborting = replace(made, aborted=gone)
    assert unpack_extent(P0, pack_extent(aborting)) == aborting


def test_an_extent_takes_about_100_bytes() -> None:
    assert len(pack_extent(extent(0, 9))) <= 100


@given(int64, st.integers(-1, 2**15 - 1), int64, st.lists(st.tuples(int32, int32, int64, int64), max_size=5))
def test_producers_come_back(producer_id: int, epoch: int, at: int, batches: list[Any]) -> None:
    made = ProducerEntry(producer_id, epoch, tuple(batches), at)
    assert unpack_producer(pack_int64(producer_id), pack_producer(made)) == made
    open_one = replace(made, coordinator_epoch=len(batches), transaction_first_offset=abs(at) >> 1)
    assert unpack_producer(pack_int64(producer_id), pack_producer(open_one)) == open_one


@given(st.tuples(plain_text, plain_text, int32), st.builds(OffsetRow, int64, int32, plain_text, int64, int64))
def test_offsets_come_back(key: tuple[str, str, int], row: OffsetRow) -> None:
    assert unpack_offset_key(pack_offset_key(key)) == key
    assert unpack_offset(pack_offset(row)) == row
