"""A compactor process ends when it is told to, whatever its parts do about it."""

import asyncio

import pytest

from compactor.process import until_first


def test_a_task_that_loses_a_cancellation_is_cancelled_again() -> None:
    async def scenario() -> None:
        lost = asyncio.Event()

        async def stubborn() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost.set()
            await asyncio.Event().wait()

        tasks = [asyncio.create_task(stubborn()), asyncio.create_task(asyncio.sleep(0))]
        await until_first(tasks)
        assert lost.is_set()
        assert all(task.done() for task in tasks)

    asyncio.run(scenario())


def test_what_ended_it_comes_out() -> None:
    async def scenario() -> None:
        async def fail() -> None:
            raise ValueError("why")

        await until_first([asyncio.create_task(fail()), asyncio.create_task(asyncio.sleep(3600))])

    with pytest.raises(ValueError, match="why"):
        asyncio.run(scenario())
