"""What the cleaner does to a compacted partition, one rule at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from compactor.cleaning import NOT_CLEANED
from infra.cluster.manifest_record import ManifestRecord
from infra.errors import Unavailable
from infra.segment.record_footer import read_record_footer
from tests.compactor_cleaning.world import BACKOFF_MS, Log

DAY_MS = 86_400_000
Body = Callable[[Log], Awaitable[None]]
Run = Callable[..., None]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run_body(body: Body, map_bytes: int = 1 << 20, **configs: str) -> None:
        async def main() -> None:
            with ThreadPoolExecutor(1) as threads:
                await body(await Log(tmp_path, threads).start(map_bytes, **configs))

        asyncio.run(main())
        assert {path.name for path in tmp_path.iterdir()} <= {"appended.parquet"}, "local files are left behind"

    return run_body


def test_the_newest_record_of_each_key_stays_where_it_is(run: Run) -> None:
    async def body(log: Log) -> None:
        await log.append([("a", "1"), ("b", "1"), ("a", "2")])
        await log.append([("c", "1"), ("b", "2")])
        await log.clean()
        assert await log.pairs() == [(2, "a", "2"), (3, "c", "1"), (4, "b", "2")]
        manifest = await log.manifest()
        assert manifest.cleaned_upto == 5
        [segment] = manifest.segments
        assert (segment.base_offset, segment.last_offset, segment.cleaned_ms) == (0, 4, NOT_CLEANED)
        assert log.meter.totals()["cleaned_records"] == 2
        assert log.meter.totals()["cleaned_bytes_out"] == segment.size

    run(body)


def test_a_second_run_writes_nothing_and_asks_nothing(run: Run) -> None:
    async def body(log: Log) -> None:
        await log.append([("a", "1"), ("a", None), ("b", "1")])
        await log.clean()
        before = log.store.keys()
        work = await log.work()
        log.store.counts.clear()
        log.clock.seconds += BACKOFF_MS / 1000
        assert await log.cleaning.run(work) is None
        assert log.store.counts == {}
        log.restart()
        assert await log.run() is None
        assert log.store.keys() == before

    run(body)


def test_records_without_a_key_go(run: Run) -> None:
    async def body(log: Log) -> None:
        await log.append([(None, "1"), ("a", "1"), (None, "2")])
        await log.clean()
        assert await log.pairs() == [(1, "a", "1")]

    run(body)


def test_a_segment_that_loses_everything_still_answers_for_its_offsets(run: Run) -> None:
    async def body(log: Log) -> None:
        for _ in range(3):
            await log.append([("a", "1")])
        await log.append([(None, "1")])
        await log.clean()
        manifest = await log.manifest()
        assert await log.pairs() == [(2, "a", "1")]
        assert (manifest.segments[0].base_offset, manifest.records_end) == (0, 4)
        await log.append([("a", "2")])
        await log.clean()
        assert await log.pairs() == [(4, "a", "2")]

    run(body)


def test_only_topics_with_compact_in_their_policy_are_cleaned(run: Run) -> None:
    async def body(log: Log) -> None:
        await log.append([("a", "1"), ("a", "2")])
        assert await log.clean() == 0
        await log.alter(cleanup_policy="compact,delete")
        await log.follow()
        assert await log.clean() > 0
        assert await log.pairs() == [(1, "a", "2")]

    run(body, cleanup_policy="delete")


def test_the_newest_configs_decide(run: Run) -> None:
    async def body(log: Log) -> None:
        await log.append([("a", "1"), ("a", "2")])
        await log.alter(cleanup_policy="delete")
        assert await log.clean() == 0
        assert len(await log.pairs()) == 2

    run(body)


def test_the_dirty_share_must_be_above_the_ratio(run: Run) -> None:
    async def body(log: Log) -> None:
        first = await log.append([(f"k{number}", "x" * 50) for number in range(500)])
        await log.clean()
        assert (await log.manifest()).segments == (first,), "what loses nothing is not written again"
        await log.append([("k0", "new"), ("k0", "newer")])
        assert await log.clean() == 0
        await log.alter(min_cleanable_dirty_ratio="0.01")
        await log.follow()
        assert await log.clean() > 0
        assert len(await log.rows()) == 500

    run(body, min_cleanable_dirty_ratio="0.5")


def test_records_younger_than_the_min_lag_are_left_alone(run: Run) -> None:
    async def body(log: Log) -> None:
        await log.append([("a", "1"), ("a", "2")])
        log.clock.seconds += 3000
        await log.append([("a", "3"), ("a", "4")])
        log.clock.seconds += 700
        await log.clean()
        assert [offset for offset, *_ in await log.pairs()] == [1, 2, 3]
        assert (await log.manifest()).cleaned_upto == 2
        log.clock.seconds += 3600
        await log.clean()
        assert [offset for offset, *_ in await log.pairs()] == [3]

    run(body, min_compaction_lag_ms="3600000")


def test_the_max_lag_asks_for_cleaning_whatever_the_share(run: Run) -> None:
    async def body(log: Log) -> None:
        await log.append([(f"k{number}", "x" * 50) for number in range(500)])
        await log.clean()
        await log.append([("k0", "new")])
        assert await log.clean() == 0
        log.clock.seconds += 3600
        assert await log.clean() > 0
        assert len(await log.rows()) == 500

    run(body, max_compaction_lag_ms="3600000", min_cleanable_dirty_ratio="0.5")


def test_tombstones_are_kept_for_delete_retention_ms_after_they_were_first_cleaned(run: Run) -> None:
    async def body(log: Log) -> None:
        await log.append([("a", "1"), ("b", "1"), ("a", None)])
        log.clock.seconds += 10 * DAY_MS / 1000
        await log.clean()
        assert await log.pairs() == [(1, "b", "1"), (2, "a", None)]
        [segment] = (await log.manifest()).segments
        cleaned_ms = segment.cleaned_ms
        assert cleaned_ms > 10 * DAY_MS
        log.clock.seconds = (cleaned_ms + DAY_MS - BACKOFF_MS - 1) / 1000
        assert await log.run() is None
        log.clock.seconds += 0.001 - BACKOFF_MS / 1000
        log.restart()
        assert await log.run() is not None
        assert await log.pairs() == [(1, "b", "1")]
        assert [segment.cleaned_ms for segment in (await log.manifest()).segments] == [NOT_CLEANED]
        assert await log.clean() == 0

    run(body)


def test_tombstones_leave_although_new_records_come_all_the_time(run: Run) -> None:
    async def body(log: Log) -> None:
        for _ in range(60):
            await log.append([("a", "1"), ("b", "1"), (f"gone{log.end}", None)])
            await log.clean()
            log.clock.seconds += DAY_MS / 20 / 1000
        kept = [key for _, key, value in await log.pairs() if value is None]
        assert 20 <= len(kept) <= 20 * 9 / 8 + 3
        assert len((await log.manifest()).segments) <= 10

    run(body)


def test_a_tombstone_of_the_dirty_part_waits_its_own_time(run: Run) -> None:
    async def body(log: Log) -> None:
        await log.append([("a", "1"), ("a", None)])
        await log.clean()
        log.clock.seconds += DAY_MS / 1000
        await log.append([("b", "1"), ("b", None), ("a", "2")])
        await log.clean()
        assert await log.pairs() == [(3, "b", None), (4, "a", "2")]
        log.clock.seconds += DAY_MS / 1000
        await log.clean()
        assert await log.pairs() == [(4, "a", "2")]

    run(body)


def test_a_tombstone_that_was_not_in_the_map_yet_has_not_begun_to_wait(run: Run) -> None:
    async def body(log: Log) -> None:
        await log.append([("z", "1"), ("y", None)])
        many = [(f"key {number:05}", "1") for number in range(1500)]
        await log.append([("key 00000", "0"), *many, ("z", None)], row_group_bytes=1000)
        while (await log.manifest()).cleaned_upto == 0:
            await log.run()
        assert 2 < (await log.manifest()).cleaned_upto < log.end - 1
        [first, second] = (await log.manifest()).segments
        assert (first.cleaned_ms > 0, second.cleaned_ms) == (True, NOT_CLEANED)
        log.clock.seconds += 10 * DAY_MS / 1000
        await log.clean()
        assert (await log.pairs())[-1] == (log.end - 1, "z", None)
        log.clock.seconds += DAY_MS / 1000
        await log.clean()
        assert (await log.pairs())[-1] == (log.end - 2, "key 01499", "1")

    run(body, map_bytes=60_000)


def test_a_small_segment_below_one_that_is_written_joins_it(run: Run) -> None:
    async def body(log: Log) -> None:
        await log.append([("a", None)])
        await log.append([("b", "1"), ("b", "2")])
        await log.clean()
        [segment] = (await log.manifest()).segments
        assert (segment.base_offset, segment.records, segment.cleaned_ms > 0) == (0, 2, True)

    run(body)


@pytest.mark.parametrize(("policy", "segments"), [("compact", 1), ("compact,delete", 2)])
def test_records_of_different_ages_stay_apart_where_retention_counts(run: Run, policy: str, segments: int) -> None:
    async def body(log: Log) -> None:
        for _ in range(2):
            await log.append([("a", "1"), ("b", "1"), ("a", "2")])
            log.clock.seconds += 2 * DAY_MS / 1000
        await log.clean()
        assert len((await log.manifest()).segments) == segments

    run(body, cleanup_policy=policy)


def test_a_topic_larger_than_the_map_takes_several_passes(run: Run) -> None:
    async def body(log: Log) -> None:
        for turn in range(4):
            await log.append([(f"key {number % 900:05}", f"{turn}.{number}") for number in range(2000)])
        passes = await log.clean()
        assert passes > 3
        assert (await log.manifest()).cleaned_upto == log.end
        assert [row.offset for row in await log.rows()] == sorted({row.key: row.offset for row in log.written}.values())

    run(body, map_bytes=40_000)


def test_a_segment_with_more_keys_than_the_map_holds_is_cleaned_in_parts(run: Run) -> None:
    async def body(log: Log) -> None:
        pairs = [(f"key {number % 3000:05}", f"{number}") for number in range(9000)]
        await log.append(pairs, row_group_bytes=1000)
        await log.run()
        assert 0 < (await log.manifest()).cleaned_upto < log.end
        await log.clean()
        assert (await log.manifest()).cleaned_upto == log.end
        assert [row.offset for row in await log.rows()] == list(range(6000, 9000))

    run(body, map_bytes=100_000)


def test_many_small_segments_become_few(run: Run) -> None:
    async def body(log: Log) -> None:
        for number in range(40):
            await log.append([("a", str(number)), (f"k{number}", "1")])
        await log.clean()
        assert len((await log.manifest()).segments) == 1
        assert len(await log.rows()) == 41

    run(body)


def test_target_size_bounds_what_is_written_together(run: Run) -> None:
    async def body(log: Log) -> None:
        sizes = []
        for number in range(12):
            pairs = [(f"{number}.{at}", "x" * 30) for at in range(300)]
            sizes.append((await log.append([*pairs, ("a", "1")])).size)
        await log.clean()
        segments = (await log.manifest()).segments
        assert 3 <= len(segments) <= 6
        assert max(segment.size for segment in segments) < 5 * max(sizes)

    run(body, segment_bytes="8000")


def test_batches_that_nobody_could_decode_are_kept(run: Run) -> None:
    async def body(log: Log) -> None:
        await log.append([("a", "1"), ("a", "2")], unreadable=[b"what is this"])
        await log.append([("a", "3")], unreadable=[b"and this"])
        await log.clean()
        [segment] = (await log.manifest()).segments
        assert (await read_record_footer(log.store, segment.key)).unreadable == (b"what is this", b"and this")

    run(body)


def test_values_of_a_text_topic_stay_what_they_are(run: Run) -> None:
    async def body(log: Log) -> None:
        await log.append([("a", "1"), ("b", None), ("a", "é")], value_format="json")
        await log.clean()
        assert await log.pairs() == [(1, "b", None), (2, "a", "é")]
        [segment] = (await log.manifest()).segments
        assert segment.value_format == "json"

    run(body)


def test_what_is_done_when_another_compactor_is_faster_counts_for_nothing(run: Run) -> None:
    async def body(log: Log) -> None:
        await log.append([("a", "1"), ("a", "2")])
        work = await log.work()
        await log.append([("a", "3")])
        assert await log.cleaning.run(work) is None
        assert len(await log.rows()) == 3
        await log.clean()
        assert await log.pairs() == [(2, "a", "3")]
        assert (await log.manifest()).cleaned_upto == 3

    run(body)


def test_a_pass_goes_on_after_the_store_was_away(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compactor.cleaning_step._TURN_BYTES", 1)

    async def body(log: Log) -> None:
        for _ in range(4):
            await log.append([(f"k{number}", "x" * 40) for number in range(300)])
        assert await log.run() is not None
        before = await log.manifest()
        work = await log.work()
        log.store.down = True
        with pytest.raises(Unavailable):
            await log.cleaning.run(work)
        log.store.down = False
        assert await log.manifest() == before
        await log.clean()
        assert [row.offset for row in await log.rows()] == list(range(900, 1200))

    run(body, segment_bytes="14")


def test_a_turn_is_bounded_and_a_pass_that_is_lost_is_begun_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compactor.cleaning_step._TURN_BYTES", 1)

    async def body(log: Log) -> None:
        for _ in range(5):
            await log.append([(f"k{number}", "x" * 40) for number in range(300)])
        assert await log.run() is not None
        manifest = await log.manifest()
        assert (manifest.cleaned_upto, manifest.segments[0].records, manifest.segments[1].records) == (0, 0, 300)
        log.restart()
        await log.clean()
        assert [row.offset for row in await log.rows()] == list(range(1200, 1500))

    run(body, segment_bytes="14")


def test_a_pass_that_another_compactor_has_finished_is_given_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compactor.cleaning_step._TURN_BYTES", 1)

    async def body(log: Log) -> None:
        for _ in range(4):
            await log.append([(f"k{number}", "x" * 40) for number in range(300)])
        assert await log.run() is not None
        slow = log.cleaning
        log.restart()
        await log.clean()
        work, before = await log.work(), log.store.keys()
        log.store.counts.clear()
        log.clock.seconds += BACKOFF_MS / 1000
        assert await slow.run(work) is None
        assert (log.store.keys(), log.store.counts) == (before, {})

    run(body, segment_bytes="14")


def test_one_pass_at_a_time(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compactor.cleaning_step._TURN_BYTES", 1)

    async def body(log: Log) -> None:
        for _ in range(4):
            await log.append([(f"k{number}", "x" * 40) for number in range(300)])
        assert await log.run() is not None
        work = await log.work()
        other = replace(work, partition=work.partition._replace(partition=1))
        log.clock.seconds += BACKOFF_MS / 1000
        log.store.counts.clear()
        assert await log.cleaning.run(other) is None
        assert log.store.counts == {}
        log.clock.seconds += 601
        assert await log.cleaning.run(other) is not None, "the first was not gone on with"

    run(body, segment_bytes="14")


def test_a_replaced_tombstone_segment_keeps_its_object(run: Run) -> None:
    async def body(log: Log) -> None:
        segment = await log.append([("a", None), ("b", "1")])
        await log.clean()
        [marked] = (await log.manifest()).segments
        assert marked == replace(segment, cleaned_ms=marked.cleaned_ms)
        assert marked.cleaned_ms > 0
        assert log.store.keys("records/") == [segment.key]

    run(body)


def test_what_lies_below_the_log_start_is_not_looked_at(run: Run) -> None:
    async def body(log: Log) -> None:
        gone = await log.append([("a", "1"), ("a", "2")])
        await log.append([("b", "1"), ("b", "2")])
        manifest = await log.manifest()
        await log.replacer.replace(log.partition, manifest, ManifestRecord(2))
        await log.store.delete([gone.key])
        await log.clean()
        [first, second] = (await log.manifest()).segments
        assert (first, second.records) == (gone, 1)

    run(body, cleanup_policy="compact,delete")
