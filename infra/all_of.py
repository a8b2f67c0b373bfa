"""Requests that belong together, awaited as one."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

Answer = TypeVar("Answer")


async def all_of(work: Iterable[Coroutine[Any, Any, Answer]]) -> list[Answer]:
    """The answers, in order; when one fails the others are cancelled, and its error comes out as it is.

    Not a `TaskGroup`: that of Python 3.11.2 leaves its caller counted as cancelled, and a time-out around lets the
    cancellation out then.
    """
    tasks = [asyncio.create_task(one) for one in work]
    if not tasks:
        return []
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        left = [task for task in tasks if not task.done()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
    failures = [failure for task in tasks if not task.cancelled() and (failure := task.exception())]
    if failures:
        raise failures[0]
    return [task.result() for task in tasks]
