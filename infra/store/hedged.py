"""Sends a read that is slower than its like a second time and takes the first answer: stores have stragglers.

For reads that somebody waits for (catch-up). Writes and listings pass through: a create must be sent by one hand only.
"""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from infra.errors import Unavailable
from infra.store.port import Buffer, ObjectInfo, ObjectStore

_Answer = TypeVar("_Answer")
_Like = tuple[str, int]  # kind of request, bits of its length: requests whose times are compared

_WINDOW = 64  # requests of a kind that the delay is taken from
_FEW = 16  # with fewer nothing is known yet, and nothing is sent twice
_SHARE_SLOWER = 0.05  # of the requests before are slower than the delay
_LEAST_SECONDS = 0.02  # below it a second request gains nothing
_EXTRA = 0.05  # second requests for each first one, at the most
_MOST_SAVED = 5.0  # second requests that quiet times may save up


class HedgedStore:
    """An `ObjectStore` over another one that answers several requests at a time."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._times: dict[_Like, deque[float]] = {}
        self._saved = 0.0
        self.hedges = 0  # second requests sent so far

    def __repr__(self) -> str:
        return f"HedgedStore({self._store!r})"

    async def create(self, key: str, body: Buffer | Sequence[Buffer]) -> None:
        await self._store.create(key, body)

    async def get(self, key: str) -> bytes:
        return await self._read(("get", 0), lambda: self._store.get(key))

    async def get_range(self, key: str, position: int, length: int) -> bytes:
        like = ("range", length.bit_length())
        return await self._read(like, lambda: self._store.get_range(key, position, length))

    async def head(self, key: str) -> ObjectInfo | None:
        return await self._read(("head", 0), lambda: self._store.head(key))

    def list(self, prefix: str, *, start_after: str = "") -> AsyncIterator[ObjectInfo]:
        return self._store.list(prefix, start_after=start_after)

    async def delete(self, keys: Sequence[str]) -> None:
        await self._store.delete(keys)

    async def close(self) -> None:
        await self._store.close()

    async def _read(self, like: _Like, request: Callable[[], Coroutine[Any, Any, _Answer]]) -> _Answer:
        now = asyncio.get_running_loop().time
        begun = now()
        times = self._times.setdefault(like, deque(maxlen=_WINDOW))
        self._saved = min(_MOST_SAVED, self._saved + _EXTRA)
        attempts = [asyncio.create_task(request())]
        try:
            delay = _delay_after(times)
            if delay is not None:
                await asyncio.wait(attempts, timeout=delay)
                if not attempts[0].done() and self._may_hedge():
                    attempts.append(asyncio.create_task(request()))
            answer = await _first_answer(attempts)
        finally:
            for attempt in attempts:
                attempt.add_done_callback(_forget)
                attempt.cancel()
        times.append(now() - begun)
        return answer

    def _may_hedge(self) -> bool:
        if self._saved < 1:
            return False
        self._saved -= 1
        self.hedges += 1
        return True


def _delay_after(times: Sequence[float]) -> float | None:
    """When a request has become a straggler, by the times (seconds) of those like it; None while there are too few."""
    if len(times) < _FEW:
        return None
    slower = math.floor(_SHARE_SLOWER * len(times))
    return max(_LEAST_SECONDS, sorted(times)[-1 - slower])


async def _first_answer(attempts: Sequence["asyncio.Task[_Answer]"]) -> _Answer:
    """Of whichever attempt answers first; a store that does not answer one may still answer the other."""
    pending = set(attempts)
    while True:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        answered = next((one for one in done if not isinstance(one.exception(), Unavailable)), None)
        if answered is not None:
            return answered.result()
        if not pending:
            return attempts[0].result()  # raises


def _forget(attempt: "asyncio.Task[Any]") -> None:
    """Nobody asks any more how it went."""
    if not attempt.cancelled():
        attempt.exception()
