"""Requests that belong together: all of their answers, or the error of one."""

import asyncio

import pytest

from infra.all_of import all_of
from infra.errors import Unavailable


def test_answers_come_in_order() -> None:
    async def answer(number: int) -> int:
        for _ in range(5 - number):
            await asyncio.sleep(0)
        return number

    assert asyncio.run(all_of(answer(number) for number in range(5))) == [0, 1, 2, 3, 4]
    assert asyncio.run(all_of(())) == []


def test_an_error_ends_the_others_and_leaves_a_time_out_around_alone() -> None:
    ended: list[str] = []

    async def fail() -> None:
        await asyncio.sleep(0)
        raise Unavailable("away")

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("the other")

    async def scenario() -> None:
        with pytest.raises(Unavailable):
            await all_of([wait(), fail()])
        assert ended == ["the other"]
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await asyncio.Event().wait()

    asyncio.run(scenario())


def test_who_is_cancelled_ends_all() -> None:
    ended: list[int] = []

    async def wait(number: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    async def scenario() -> None:
        task = asyncio.create_task(all_of([wait(1), wait(2)]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sorted(ended) == [1, 2]

    asyncio.run(scenario())
