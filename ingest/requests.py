"""Bounds what one takeover asks of the store at once, and keeps damage to what needs the damaged object."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from infra.errors import Corrupt, NotFound

_log = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class Requests:
    """Bounds how many requests one takeover has in the air; damage costs one partition, not the takeover."""

    def __init__(self, at_once: int) -> None:
        self._gate = asyncio.Semaphore(at_once)

    async def one(self, request: Callable[..., Awaitable[Answer]], *of: Any) -> Answer:
        """The answer of one request."""
        async with self._gate:
            return await request(*of)

    async def whole(self, what: object, request: Awaitable[Answer]) -> Answer | None:
        """The answer, or None, and an error in the log, when an object that `what` needs is damaged."""
        try:
            return await request
        except (Corrupt, NotFound) as error:
            _log.error("%s cannot be led: %s", what, error)
            return None
