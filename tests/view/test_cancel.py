"""Who is cancelled in the middle of a call of the view ends, wherever that call stands; a node could not stop else."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from infra.view.redis_view import RedisView
from tests.view.redis_server import running_redis

_STEPS = 60  # more turns of the event loop than a call takes


@pytest.mark.parametrize("call", ["incarnation", "wait_hint"])
def test_a_cancelled_call_does_not_go_on(call: str) -> None:
    with running_redis() as running:
        asyncio.run(_cancel_at_every_step(running.url, call))


async def _cancel_at_every_step(url: str, call: str) -> None:
    view = RedisView(url, "cluster")
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "incarnation": view.incarnation,
        "wait_hint": lambda: view.wait_hint(0.005),
    }
    try:
        for step in range(_STEPS):
            ended = await _cancelled_after(calls[call], step)
            assert ended, f"a call that was cancelled at its step {step} went on"
    finally:
        await view.close()


async def _cancelled_after(call: Callable[[], Awaitable[object]], steps: int) -> bool:
    async def work() -> None:
        await call()

    task = asyncio.create_task(work())
    for _ in range(steps):
        await asyncio.sleep(0)
    accepted = task.cancel()  # False when the call has ended by itself before
    await asyncio.wait([task])
    return task.cancelled() or not accepted
