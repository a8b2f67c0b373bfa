"""Retention by time, by bytes and after DeleteRecords, one rule at a time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from infra.cluster.settings import BrokerConfigLedger
from infra.topic_config import topic_settings
from tests.compactor_retention.world import Log, producers_of


def test_a_topic_that_nothing_happened_to_costs_no_request() -> None:
    async def body(log: Log) -> None:
        for _ in range(3):
            await log.flush(log.clock.now_ms())
        work = await log.work()
        log.store.counts.clear()
        assert await log.step.run(work) is None
        assert log.store.counts == {}

    run(body, retention_ms="3600000")


def test_a_segment_goes_once_its_newest_record_is_older_than_retention_ms() -> None:
    async def body(log: Log) -> None:
        first = log.clock.now_ms()
        await log.flush(first)
        await log.flush(first + 1)
        await log.compact(100, most=1)
        log.clock.seconds = (first + 3_600_000) / 1000
        assert await log.look() is not None  # INTERVAL_MS later
        assert (await log.manifest()).log_start_offset == 4
        assert (await log.manifest()).segments == ()

    run(body, retention_ms="3600000")


def test_exactly_retention_ms_is_not_too_old() -> None:
    async def body(log: Log) -> None:
        first = log.clock.now_ms()
        await log.flush(first)
        await log.flush(first + 1)
        log.clock.seconds += 3600
        assert await log.run() is None
        log.clock.seconds += 0.001
        log.restart()
        assert await log.run() is not None
        assert (await log.manifest()).log_start_offset == 2

    run(body, retention_ms="3600000")


def test_an_old_record_behind_a_young_one_stays() -> None:
    async def body(log: Log) -> None:
        now = log.clock.now_ms()
        await log.flush(now)
        await log.flush(1)
        log.clock.seconds += 1800
        assert await log.run() is None

    run(body, retention_ms="3600000")


def test_what_has_no_timestamp_waits_for_the_next_that_has_one() -> None:
    async def body(log: Log) -> None:
        old = log.clock.now_ms()
        await log.flush(-1)
        log.clock.seconds += 10_000
        assert await log.look() is None
        await log.flush(old)
        await log.flush(-1)
        assert await log.look() is not None
        assert (await log.manifest()).log_start_offset == 4

    run(body, retention_ms="3600000")


def test_bytes_are_kept_at_least() -> None:
    async def body(log: Log) -> None:
        sizes = [(await log.flush(log.clock.now_ms(), size=100)).extent.size for _ in range(5)]
        await log.alter(retention_bytes=str(sum(sizes[2:])))
        await log.follow()
        assert await log.run() is not None
        assert (await log.manifest()).log_start_offset == 4
        await log.alter(retention_bytes=str(sum(sizes[3:]) + 1))
        await log.follow()
        assert await log.look() is None

    run(body)


def test_only_what_is_published_goes_and_minus_one_keeps_all() -> None:
    async def body(log: Log) -> None:
        await log.flush(1)
        await log.flush(1)
        log.clock.seconds += 10_000_000
        assert await log.run() is None
        await log.alter(retention_bytes="0")
        await log.follow()
        assert await log.look() is not None
        assert (await log.manifest()).log_start_offset == log.end == 4

    run(body, retention_ms="-1")


def test_a_topic_that_is_only_compacted_keeps_everything() -> None:
    async def body(log: Log) -> None:
        await log.flush(1)
        log.clock.seconds += 10_000_000
        assert await log.run() is None

    run(body, cleanup_policy="compact", retention_ms="1", retention_bytes="0")


def test_the_newest_configs_decide_not_those_of_the_view() -> None:
    async def body(log: Log) -> None:
        await log.flush(1)
        await log.alter(retention_ms="-1")
        assert await log.run() is None
        assert (await log.manifest()).log_start_offset == 0
        await log.topics.delete(log.topic.topic_id)
        assert await log.look() is None
        assert (await log.manifest()).version == -1

    run(body, retention_ms="1")


def test_a_broker_config_that_the_view_does_not_know_counts() -> None:
    async def body(log: Log) -> None:
        await log.flush(log.clock.now_ms())
        log.clock.seconds += 8 * 86400
        work = await log.work()
        await BrokerConfigLedger(log.store, log.view).alter("", lambda known: {"log.retention.ms": "-1"})
        assert work.settings == topic_settings({}, {}, "object")
        assert await log.step.run(work) is None

    run(body)


def test_the_producers_of_what_dies_are_recorded() -> None:
    async def body(log: Log) -> None:
        for producer_id in (1, 2, 1, 3):
            await log.flush(1, producer_id=producer_id)
        await log.flush(log.clock.now_ms(), producer_id=4)
        assert await log.run() is not None
        manifest = await log.manifest()
        assert manifest.producers_upto == manifest.log_start_offset == 8
        assert manifest.producers == producers_of(log.flushed, 8)
        assert [extent.base_offset for extent in (await log.view.partition(log.partition)).extents] == [8]

    run(body, retention_ms="1000")


def test_delete_records_within_an_extent_leaves_that_one() -> None:
    async def body(log: Log) -> None:
        for producer_id in (1, 2, 3):
            await log.flush(log.clock.now_ms(), producer_id=producer_id)
        await log.compact(100, most=1)
        await log.delete_records(5)
        assert await log.run() is not None
        manifest = await log.manifest()
        assert (manifest.log_start_offset, manifest.producers_upto, manifest.segments) == (5, 4, ())
        assert manifest.producers == producers_of(log.flushed, 4)
        assert await log.look() is None

    run(body)


def test_a_rebuilt_view_that_has_forgotten_dead_extents_still_knows_their_producers() -> None:
    async def body(log: Log) -> None:
        for producer_id in (1, 2, 3):
            await log.flush(log.clock.now_ms(), producer_id=producer_id)
        await log.delete_records(4)
        await log.forget()
        assert [extent.base_offset for extent in (await log.view.partition(log.partition)).extents] == [4]
        assert await log.run() is not None
        manifest = await log.manifest()
        assert manifest.producers_upto == 4
        assert {entry.producer_id for entry in manifest.producers} >= {1, 2}
        assert await log.look() is None

    run(body)


def test_producers_that_are_idle_for_long_are_forgotten() -> None:
    async def body(log: Log) -> None:
        await log.flush(1, producer_id=1)
        await log.flush(log.clock.now_ms(), producer_id=2)
        log.step._producer_expiration_ms = 1000
        await log.delete_records(4)
        assert await log.run() is not None
        assert [entry.producer_id for entry in (await log.manifest()).producers] == [2]

    run(body)


def test_very_many_dead_extents_take_several_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compactor.retention_step._FOOTERS_AT_MOST", 2)

    async def body(log: Log) -> None:
        for _ in range(5):
            await log.flush(log.clock.now_ms())
        await log.delete_records(10)
        reached = []
        while await log.run() is not None:
            reached.append((await log.manifest()).producers_upto)
        assert reached == [4, 8, 10]

    run(body)


def test_a_batch_segment_that_is_gone_does_not_stop_retention() -> None:
    async def body(log: Log) -> None:
        await log.flush(1, producer_id=1)
        await log.flush(1, producer_id=2)
        await log.store.delete([log.flushed[0].extent.segment])
        assert await log.run() is not None
        manifest = await log.manifest()
        assert (manifest.log_start_offset, manifest.producers_upto) == (4, 4)
        assert [entry.producer_id for entry in manifest.producers] == [1, 2]

    run(body, retention_ms="1000")


def test_another_compactor_was_faster() -> None:
    async def body(log: Log) -> None:
        await log.flush(1)
        work = await log.work()
        await log.delete_records(1)
        assert await log.step.run(work) is None
        assert (await log.manifest()).log_start_offset == 1
        assert await log.run() is not None
        assert (await log.manifest()).log_start_offset == 2

    run(body, retention_ms="1000")


def run(body: Callable[[Log], Awaitable[None]], **configs: str) -> None:
    async def main() -> None:
        await body(await Log().start(**configs))

    asyncio.run(main())
