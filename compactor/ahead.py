"""Reads ahead by one: the next item is fetched while the last one is worked on. Two are in memory, never more."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

T = TypeVar("T")


async def ahead(source: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """The items of `source`. Close it (`contextlib.aclosing`) when it is left early."""

    async def ask() -> list[T]:
        async for item in source:
            return [item]
        return []

    pending = asyncio.create_task(ask())
    try:
        while found := await pending:
            pending = asyncio.create_task(ask())
            yield found[0]
    finally:
        pending.cancel()
        await asyncio.gather(pending, return_exceptions=True)
