"""A connection of a simulated cluster: answers in the order of their requests, and none behind one that got lost."""

import asyncio
from random import Random

import pytest

from infra.errors import Unavailable
from tests.simulation.cluster import Pipe
from tests.simulation.loop import VirtualLoop


def _answers(*after: float | None) -> list[tuple[float, str]]:
    """When each of several requests, sent at once, has its answer, and which; None gets lost after 6 s."""
    loop = VirtualLoop(Random(1))
    pipe = Pipe()

    async def answer(number: int, seconds: float | None) -> str:
        await asyncio.sleep(6.0 if seconds is None else seconds)
        if seconds is None:
            raise Unavailable("lost")
        return f"answer {number}"

    async def ask(number: int, seconds: float | None) -> tuple[float, str]:
        try:
            got = await pipe.in_order(answer(number, seconds), loop)
        except Unavailable as error:
            got = error.message
        return loop.time(), got

    async def ask_all() -> list[tuple[float, str]]:
        return list(await asyncio.gather(*(ask(number, seconds) for number, seconds in enumerate(after))))

    try:
        return loop.run_until_complete(ask_all())
    finally:
        loop.close()


def test_a_quick_answer_waits_for_the_one_before() -> None:
    assert _answers(2.0, 1.0, 3.0) == [(2.0, "answer 0"), (2.0, "answer 1"), (3.0, "answer 2")]


@pytest.mark.parametrize("behind", [1.0, 7.0])
def test_nothing_comes_behind_an_answer_that_got_lost(behind: float) -> None:
    first, second, third = _answers(0.5, None, behind)
    assert first == (0.5, "answer 0")
    assert second == (6.0, "lost")
    assert third == (max(6.0, behind), "the connection broke: an answer before this one never came")
