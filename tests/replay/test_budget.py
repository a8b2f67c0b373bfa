"""The budget of bytes: in turn, never beyond it, and never stuck."""

import asyncio

from reader.replay.budget import ByteBudget
from tests.replay.world import run


def test_in_turn_and_within_the_budget() -> None:
    async def scenario() -> None:
        budget = ByteBudget(10)
        await budget.take(6)
        order: list[int] = []

        async def take(number: int, weight: int) -> None:
            await budget.take(weight)
            order.append(number)

        tasks = [asyncio.create_task(take(number, weight)) for number, weight in enumerate((5, 1, 20))]
        await asyncio.sleep(0)
        assert order == []  # one that would fit waits for the one before it
        budget.give(6)
        await asyncio.sleep(0)
        assert order == [0, 1]
        budget.give(5)
        await asyncio.sleep(0)
        assert order == [0, 1]
        budget.give(1)
        await asyncio.sleep(0)
        assert order == [0, 1, 2]  # more than all of it: alone
        await asyncio.gather(*tasks)

    run(scenario())


def test_who_gave_up_does_not_hold_up_the_others() -> None:
    async def scenario() -> None:
        budget = ByteBudget(10)
        await budget.take(10)
        given_up = asyncio.create_task(budget.take(10))
        waiting = asyncio.create_task(budget.take(3))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        budget.give(10)
        await asyncio.wait_for(waiting, 5)

    run(scenario())
