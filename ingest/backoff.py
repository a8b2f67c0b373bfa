"""Pauses between two tries of what must succeed in the end: growing, with jitter, for as long as it takes.

Only `Unavailable` is tried again; every other error is the caller's to judge.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from infra.clock import Clock
from infra.errors import CauceError, Unavailable

FIRST_SECONDS = 0.05
MOST_SECONDS = 5.0  # the store is back: nobody waits longer than this for us to notice

_log = logging.getLogger(__name__)
Result = TypeVar("Result")


class Backoff:
    """The pauses of one undertaking; `what` names it in the log, once when it begins to fail and once when over."""

    def __init__(self, clock: Clock, what: str) -> None:
        self._clock = clock
        self._what = what
        self._seconds = FIRST_SECONDS
        self.tries = 0

    async def pause(self, error: CauceError) -> None:
        """Wait after a failed try."""
        if not self.tries:
            _log.warning("%s has to wait: %s", self._what, error)
        self.tries += 1
        await asyncio.sleep(self._seconds * self._clock.uniform(0.5, 1.0))
        self._seconds = min(self._seconds * 2, MOST_SECONDS)

    def over(self) -> None:
        """It succeeded."""
        if self.tries:
            _log.warning("%s goes on after %d failed tries", self._what, self.tries)


async def until_available(clock: Clock, what: str, attempt: Callable[[], Awaitable[Result]]) -> Result:
    """Try again until it answers; every other error than `Unavailable` is raised."""
    backoff = Backoff(clock, what)
    while True:
        try:
            result = await attempt()
        except Unavailable as error:
            await backoff.pause(error)
        else:
            backoff.over()
            return result
