"""Virtual time, and processes that die or stand still."""

import asyncio
from random import Random

import pytest

from tests.simulation.loop import Process, VirtualLoop


def test_time_jumps_to_the_next_timer() -> None:
    loop = VirtualLoop(Random(1))

    async def sleep() -> float:
        async with asyncio.timeout(1e6):
            await asyncio.sleep(12_345.0)
        return loop.time()

    assert loop.run_until_complete(sleep()) == 12_345.0


def test_a_killed_process_runs_nothing_more() -> None:
    loop = VirtualLoop(Random(1))
    seen: list[str] = []

    async def live() -> None:
        try:
            await asyncio.sleep(2)
            seen.append("went on")
        finally:
            seen.append("ended")

    async def kill() -> None:
        process = Process(loop, "one")
        process.spawn(live())
        await asyncio.sleep(1)
        process.kill()
        await asyncio.sleep(5)

    loop.run_until_complete(kill())
    assert seen == []
    loop.close()


def test_a_paused_process_goes_on_later_in_its_order() -> None:
    loop = VirtualLoop(Random(1))
    seen: list[tuple[str, float]] = []

    async def live(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append((name, loop.time()))

    async def pause() -> None:
        process = Process(loop, "one")
        tasks = [process.spawn(live("late", 3)), process.spawn(live("early", 2))]
        await asyncio.sleep(1)
        process.pause()
        await asyncio.sleep(9)
        process.resume()
        await asyncio.gather(*tasks)

    loop.run_until_complete(pause())
    assert seen == [("early", 10.0), ("late", 10.0)]


def test_the_order_between_processes_is_drawn_and_replays() -> None:
    def run(seed: int) -> list[int]:
        loop = VirtualLoop(Random(seed))
        seen: list[int] = []

        async def live(number: int) -> None:
            seen.append(number)

        async def start() -> None:
            await asyncio.gather(*(Process(loop, str(number)).spawn(live(number)) for number in range(8)))

        loop.run_until_complete(start())
        return seen

    assert run(1) == run(1)
    assert len({tuple(run(seed)) for seed in range(9)}) > 1


def test_waiting_for_ever_is_an_error() -> None:
    loop = VirtualLoop(Random(1))
    with pytest.raises(RuntimeError, match="waits for ever"):
        loop.run_until_complete(asyncio.Event().wait())
