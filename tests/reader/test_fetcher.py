"""Fetches: limits, long polling, cold reads, and a store that is away."""

import asyncio
from collections.abc import Sequence

from infra.error_code import ErrorCode
from infra.errors import NotLeader
from reader.fetch_pass import Fetched, FetchLimits, PartitionFetch
from tests.reader.world import World, batch_of, limits, offsets_of, run, until, wanted

FOREVER = 3600.0
KILO = 1000


def big(count: int = 1) -> list[memoryview]:
    """Batches of one record, each a little more than 1,000 bytes."""
    return [batch_of(1, size=KILO) for _ in range(count)]


SIZE = len(big()[0])


def held(answers: Sequence[Fetched]) -> list[list[int]]:
    return [offsets_of(answer.batches) for answer in answers]


def ask(world: World, limits: FetchLimits, *fetches: PartitionFetch) -> "asyncio.Task[list[Fetched]]":
    return asyncio.create_task(world.fetcher.fetch(fetches, limits))


# How much


def test_the_first_batch_of_the_first_partition_with_data_ignores_limits() -> None:
    async def body(world: World) -> None:
        for partition in range(3):
            world.lead(partition, durability="wal").append(*(big(3) if partition else []))
        fetches = [wanted(partition=at, max_bytes=1) for at in range(3)]
        assert held(await world.fetcher.fetch(fetches, limits(max_bytes=1))) == [[], [0], []]

    run(body)


def test_the_first_batch_rule_counts_cold_data_too() -> None:
    async def body(world: World) -> None:
        for partition in range(2):
            await world.lead(partition).append_flushed(*big(3))
        fetches = [wanted(partition=at, max_bytes=at) for at in range(2)]
        assert held(await world.fetcher.fetch(fetches, limits(max_bytes=1))) == [[0], []]

    run(body)


def test_max_bytes_holds_over_all_partitions_and_for_each() -> None:
    async def body(world: World) -> None:
        for partition in range(3):
            world.lead(partition, durability="wal").append(*big(5))
        answers = await world.fetcher.fetch(
            [wanted(partition=0, max_bytes=2 * SIZE + 1), wanted(partition=1), wanted(partition=2)],
            limits(max_bytes=4 * SIZE + SIZE // 2),
        )
        assert held(answers) == [[0, 1], [0, 1], []]

    run(body)


def test_max_bytes_holds_for_cold_reads() -> None:
    async def body(world: World) -> None:
        for partition in range(2):
            await world.lead(partition).append_flushed(*big(5))
        answers = await world.fetcher.fetch(
            [wanted(partition=0, max_bytes=2 * SIZE + 1), wanted(partition=1)],
            limits(max_bytes=4 * SIZE + SIZE // 2),
        )
        assert held(answers) == [[0, 1], [0, 1]]

    run(body)


def test_a_fetch_in_the_middle_of_a_batch_gives_all_of_it() -> None:
    async def body(world: World) -> None:
        hot, cold = world.lead(0, durability="wal"), world.lead(1)
        hot.append(batch_of(1, 2, 3), batch_of(4, 5))
        await cold.append_flushed(batch_of(1, 2, 3), batch_of(4, 5))
        answers = await world.fetcher.fetch([wanted(2, 0), wanted(2, 1)], limits())
        assert held(answers) == [[0, 3], [0, 3]]
        assert [bytes(batch) for batch in answers[1].batches] == cold.appended

    run(body)


# What is there to be had


def test_between_high_watermark_and_log_end_there_is_nothing_yet() -> None:
    async def body(world: World) -> None:
        led = world.lead()
        await led.append_flushed(batch_of(1))
        led.append(batch_of(2), batch_of(3))
        for offset in (1, 2, 3):
            [answer] = await world.fetcher.fetch([wanted(offset)], limits())
            assert (answer.error, answer.batches, answer.high_watermark) == (ErrorCode.NONE, [], 1)

    run(body)


def test_out_of_range_tells_no_offsets() -> None:
    async def body(world: World) -> None:
        led = world.lead(durability="wal")
        led.append(batch_of(1, 2), batch_of(3))
        led.log.raise_log_start(2)
        answers = await world.fetcher.fetch([wanted(1), wanted(4), wanted(3)], limits(FOREVER))
        assert [answer.error for answer in answers] == [1, 1, 0]
        assert answers[0] == Fetched(ErrorCode.OFFSET_OUT_OF_RANGE, -1, -1, -1)
        assert (answers[2].high_watermark, answers[2].log_start_offset) == (3, 2)
        world.guard.lapsed = True
        [answer] = await world.fetcher.fetch([wanted(4)], limits(FOREVER))
        assert answer.error is ErrorCode.NOT_LEADER_OR_FOLLOWER

    run(body)


def test_errors_are_answered_at_once_beside_data() -> None:
    async def body(world: World) -> None:
        world.lead(0, durability="wal").append(batch_of(1))
        world.lead(1, durability="wal", epochs=[(5, 0)])
        answers = await world.fetcher.fetch(
            [
                wanted(partition=0),
                wanted(partition=7),
                wanted(partition=1, current_leader_epoch=4),
                wanted(partition=1, current_leader_epoch=6),
                wanted(partition=1, refused=ErrorCode.UNKNOWN_TOPIC_ID),
            ],
            limits(FOREVER, min_bytes=1 << 20),
        )
        assert [answer.error for answer in answers] == [0, 6, 74, 75, 100]
        assert held(answers)[0] == [0]

    run(body)


def test_a_log_that_has_closed_is_led_no_more() -> None:
    async def body(world: World) -> None:
        led = world.lead()
        led.log.close(NotLeader("lease"))
        [answer] = await world.fetcher.fetch([wanted()], limits(FOREVER))
        assert answer.error is ErrorCode.NOT_LEADER_OR_FOLLOWER

    run(body)


def test_divergence_is_answered_at_once_and_without_records() -> None:
    async def body(world: World) -> None:
        led = world.lead(durability="wal", epochs=[(1, 0), (3, 4)], end_offset=4)
        led.append(batch_of(1, 2))
        answers = await world.fetcher.fetch(
            [
                wanted(5, last_fetched_epoch=1),  # epoch 1 ended at 4
                wanted(5, last_fetched_epoch=2),  # never heard of: 1 was the last before it
                wanted(4, last_fetched_epoch=3),
                wanted(4, last_fetched_epoch=1),
                wanted(4, last_fetched_epoch=4),
            ],
            limits(FOREVER, min_bytes=1 << 20),
        )
        assert [answer.diverging for answer in answers] == [(1, 4), (1, 4), None, None, None]
        assert held(answers) == [[], [], [4], [4], []]
        assert answers[4].error is ErrorCode.OFFSET_OUT_OF_RANGE

    run(body)


# Long polling


def test_an_append_wakes_the_poll() -> None:
    async def body(world: World) -> None:
        led, other = world.lead(0, durability="wal"), world.lead(1, durability="wal")
        poll = ask(world, limits(FOREVER), wanted(partition=0), wanted(partition=1))
        await until(lambda: led.log.waiting == 1)
        other.append(batch_of(1))
        assert held(await poll) == [[], [0]]
        assert (led.log.waiting, other.log.waiting) == (0, 0)

    run(body)


def test_at_object_durability_the_publish_wakes_it() -> None:
    async def body(world: World) -> None:
        led = world.lead()
        poll = ask(world, limits(FOREVER), wanted())
        await until(lambda: led.log.waiting == 1)
        led.append(batch_of(1))
        await asyncio.sleep(0)
        assert not poll.done()
        await led.flush()
        assert held(await poll) == [[0]]

    run(body)


def test_losing_the_lease_wakes_it() -> None:
    async def body(world: World) -> None:
        led = world.lead()
        poll = ask(world, limits(FOREVER), wanted())
        await until(lambda: led.log.waiting == 1)
        world.lose(led)
        [answer] = await poll
        assert answer.error is ErrorCode.NOT_LEADER_OR_FOLLOWER
        assert answer.high_watermark == -1

    run(body)


def test_a_raised_log_start_wakes_it() -> None:
    async def body(world: World) -> None:
        led = world.lead(durability="wal")
        led.append(*big(2))
        poll = ask(world, limits(FOREVER, min_bytes=10 * SIZE), wanted(1))
        await until(lambda: led.log.waiting == 1)
        led.log.raise_log_start(2)
        [answer] = await poll
        assert answer.error is ErrorCode.OFFSET_OUT_OF_RANGE

    run(body)


def test_it_waits_for_min_bytes() -> None:
    async def body(world: World) -> None:
        led = world.lead(durability="wal")
        poll = ask(world, limits(FOREVER, min_bytes=3 * SIZE), wanted())
        for _ in range(2):
            await until(lambda: led.log.waiting == 1)
            led.append(*big())
        assert not poll.done()
        led.append(*big())
        assert held(await poll) == [[0, 1, 2]]

    run(body)


def test_it_does_not_wait_for_bytes_that_its_limits_forbid() -> None:
    async def body(world: World) -> None:
        world.lead(durability="wal").append(*big(5))
        few = wanted(max_bytes=2 * SIZE)
        assert held(await world.fetcher.fetch([few], limits(FOREVER, min_bytes=10 * SIZE))) == [[0, 1]]

    run(body)


def test_max_wait_ends_it_with_what_there_is() -> None:
    async def body(world: World) -> None:
        led = world.lead(durability="wal")
        led.append(*big())
        now = asyncio.get_running_loop().time
        begun = now()
        [answer] = await world.fetcher.fetch([wanted()], limits(0.05, min_bytes=10 * SIZE))
        assert now() - begun >= 0.05
        assert offsets_of(answer.batches) == [0]
        [answer] = await world.fetcher.fetch([wanted(1)], limits(0.05))
        assert (answer.batches, answer.high_watermark) == ([], 1)
        assert led.log.waiting == 0

    run(body)


def test_nothing_to_wait_for_is_answered_at_once() -> None:
    async def body(world: World) -> None:
        world.lead()
        assert await world.fetcher.fetch([], limits(FOREVER)) == []
        for at_once in (limits(0.0), limits(FOREVER, min_bytes=0)):
            [answer] = await world.fetcher.fetch([wanted()], at_once)
            assert (answer.error, answer.batches) == (ErrorCode.NONE, [])

    run(body)


def test_a_poll_that_is_given_up_leaves_nothing_behind() -> None:
    async def body(world: World) -> None:
        led = world.lead()
        poll = ask(world, limits(FOREVER), wanted())
        await until(lambda: led.log.waiting == 1)
        poll.cancel()
        await asyncio.wait([poll])
        assert led.log.waiting == 0

    run(body)


# The store


def test_while_the_store_is_away_an_empty_answer_waits_out_max_wait() -> None:
    async def body(world: World) -> None:
        await world.lead().append_flushed(*big(3))
        world.store.down = True
        now = asyncio.get_running_loop().time
        begun = now()
        [answer] = await world.fetcher.fetch([wanted()], limits(0.05))
        assert now() - begun >= 0.05
        assert (answer.error, answer.batches, answer.high_watermark) == (ErrorCode.NONE, [], 3)
        world.store.down = False
        assert held(await world.fetcher.fetch([wanted()], limits(0.05))) == [[0, 1, 2]]

    run(body)


def test_while_the_store_is_away_tails_go_on() -> None:
    async def body(world: World) -> None:
        cold, hot = world.lead(0), world.lead(1, durability="wal")
        await cold.append_flushed(*big(3))
        world.store.down = True
        poll = ask(world, limits(FOREVER), wanted(partition=0), wanted(partition=1))
        await until(lambda: hot.log.waiting == 1)
        hot.append(*big())
        assert held(await poll) == [[], [0]]
        again = ask(world, limits(FOREVER), wanted(partition=0), wanted(0, partition=1))
        assert held(await again) == [[], [0]]

    run(body)


def test_a_slow_store_keeps_no_tail_waiting_and_its_answer_is_kept() -> None:
    async def body(world: World) -> None:
        await world.lead(0).append_flushed(*big(3))
        world.lead(1, durability="wal").append(*big())
        fetches = [wanted(partition=0), wanted(partition=1)]
        world.store.gate.clear()
        assert held(await world.fetcher.fetch(fetches, limits())) == [[], [0]]
        world.store.gate.set()
        await until(lambda: world.cache.size > 0)
        assert held(await world.fetcher.fetch(fetches[:1], limits())) == [[0, 1, 2]]

    run(body, beside_hot_seconds=0.01)


def test_a_store_that_never_answers_delays_an_answer_only_so_long() -> None:
    async def body(world: World) -> None:
        await world.lead().append_flushed(*big(3))
        world.store.gate.clear()
        [answer] = await world.fetcher.fetch([wanted()], limits())
        assert (answer.error, answer.batches) == (ErrorCode.NONE, [])

    run(body, alone_seconds=0.01)


def test_an_object_that_is_gone_or_broken_is_a_storage_error() -> None:
    async def body(world: World) -> None:
        led = world.lead()
        await led.append_flushed(*big(2))
        first, second = (extent.segment for extent in led.log.extents_from(0))
        await world.store.delete([second])
        assert held(await world.fetcher.fetch([wanted()], limits())) == [[0]]  # what lies before it is good
        [answer] = await world.fetcher.fetch([wanted(1)], limits(FOREVER))
        assert answer == Fetched(ErrorCode.KAFKA_STORAGE_ERROR, -1, -1, -1)
        await world.store.delete([first])
        await world.store.create(first, b"no segment")
        world.restart()
        [answer] = await world.fetcher.fetch([wanted()], limits(FOREVER))
        assert answer.error is ErrorCode.KAFKA_STORAGE_ERROR

    run(body)


def test_what_follows_a_cold_answer_is_there_before_it_is_asked_for() -> None:
    async def body(world: World) -> None:
        await world.lead().append_flushed(*big(8))
        few = limits(max_bytes=2 * SIZE)
        assert held(await world.fetcher.fetch([wanted()], few)) == [[0, 1]]
        await until(lambda: not world.segments._ahead)
        world.store.gate.clear()
        assert held(await world.fetcher.fetch([wanted(2)], few)) == [[2, 3]]
        world.store.down = True
        world.store.gate.set()
        await until(lambda: not world.segments._ahead)  # it failed, and nobody minds
        assert held(await world.fetcher.fetch([wanted(4)], few)) == [[4, 5]]

    run(body)
