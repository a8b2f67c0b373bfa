"""Whatever is flushed, published, trimmed or cut off: readers get the batches that were appended, in order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.records.batch import BatchHeader
from reader.log_source import LedLogs
from tests.reader.world import Led, World, batch_of, limits, run, wanted

Step = tuple[Literal["append", "flush", "raise", "fetch", "replay"], int, int]

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 4), st.integers(0, 700)),  # records, bytes of each
        st.tuples(st.just("flush"), st.integers(1, 3000), st.just(0)),  # at most so many bytes
        st.tuples(st.just("raise"), st.integers(0, 100), st.just(0)),  # log start, percent of the high watermark
        st.tuples(st.just("fetch"), st.integers(0, 100), st.integers(0, 4000)),  # offset in percent, max bytes
        st.tuples(st.just("replay"), st.integers(0, 100), st.just(0)),
    ),
    min_size=10,
    max_size=60,
)


@dataclass(frozen=True)
class Expected:
    """A batch as it was appended."""

    base: int
    last: int
    data: bytes


def expected_of(led: Led) -> list[Expected]:
    headers = [BatchHeader.parse(batch) for batch in led.appended]
    return [
        Expected(header.base_offset, header.last_offset, batch)
        for header, batch in zip(headers, led.appended, strict=True)
    ]


def visible(led: Led, offset: int) -> list[bytes]:
    upto = led.log.high_watermark
    return [one.data for one in expected_of(led) if one.last >= offset and one.last < upto]


def place(led: Led, percent: int) -> int:
    start = led.log.log_start_offset
    return start + (led.log.high_watermark - start) * percent // 100


async def fetch(world: World, offset: int, max_bytes: int) -> list[bytes]:
    [answer] = await world.fetcher.fetch([wanted(offset, max_bytes=max_bytes)], limits())
    assert answer.error == 0
    return [bytes(batch) for batch in answer.batches]


async def check_fetch(world: World, led: Led, percent: int, max_bytes: int) -> None:
    offset = place(led, percent)
    given, there = await fetch(world, offset, max_bytes), visible(led, offset)
    assert given == there[: len(given)]
    assert bool(given) == bool(there)
    assert len(given) == 1 or sum(map(len, given)) <= max_bytes


async def check_replay(world: World, led: Led, offset: int) -> None:
    replayed: list[bytes] = []
    async for batches in LedLogs(world, world.catch_up).read_log(led.log.partition, offset, led.log.high_watermark):
        replayed += map(bytes, batches)
    assert replayed == visible(led, offset)


async def carry_out(world: World, led: Led, steps: Sequence[Step]) -> None:
    for step, one, two in steps:
        if step == "append":
            led.append(batch_of(*range(one), size=two))
        elif step == "flush" and led.log.published_offset < led.log.synced_offset:
            await led.flush(one)
        elif step == "raise":
            led.log.raise_log_start(place(led, one))
        elif step == "fetch":
            await check_fetch(world, led, one, two)
        elif step == "replay":
            await check_replay(world, led, place(led, one))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=STEPS,
    durability=st.sampled_from(["wal", "object"]),
    tail_bytes=st.sampled_from([0, 3000, 10_000, 1 << 30]),
    block_bytes=st.sampled_from([100, 1000, 1 << 20]),
    cache_bytes=st.sampled_from([0, 5000, 1 << 30]),
)
def test_a_reader_gets_what_was_appended(
    steps: list[Step],
    durability: Literal["wal", "object"],
    tail_bytes: int,
    block_bytes: int,
    cache_bytes: int,
) -> None:
    async def body(world: World) -> None:
        led = world.lead(durability=durability)
        await carry_out(world, led, steps)
        offset, all_given = led.log.log_start_offset, list[bytes]()
        while given := await fetch(world, offset, 1500):
            all_given += given
            offset = BatchHeader.parse(given[-1]).next_offset
        assert offset == led.log.high_watermark
        assert all_given == visible(led, led.log.log_start_offset)
        await check_replay(world, led, led.log.log_start_offset)

    run(body, tail_bytes=tail_bytes, block_bytes=block_bytes, cache_bytes=cache_bytes)
