"""Wake-ups over publish and subscribe: quick, and allowed to get lost. Polling the generation stays the truth."""

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from typing import Any

from redis.exceptions import RedisError

_RECONNECT_S = 1.0


class HintListener:
    """Subscribes on first use and stays subscribed; every hint, and every return of the connection, wakes who waits."""

    def __init__(self, clients: Sequence[Any], channel: bytes) -> None:
        """`clients`: redis.asyncio clients of servers that all pass the messages on; one after the other is tried."""
        self._clients = clients
        self._channel = channel
        self._hint = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def wait(self, timeout_s: float) -> bool:
        """True when a hint came since the last call; False when the time is out. Never raises for a lost connection."""
        if self._task is None:
            self._task = asyncio.create_task(self._listen())
        # Not `wait_for`: before Python 3.12 it loses a cancellation that comes together with the hint.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._hint.wait()
        came = self._hint.is_set()
        self._hint.clear()
        return came

    async def _listen(self) -> None:
        for client in itertools.cycle(self._clients):
            try:
                await self._receive(client)
            except (RedisError, OSError):
                await asyncio.sleep(_RECONNECT_S)

    async def _receive(self, client: Any) -> None:
        async with client.pubsub() as messages:
            await messages.subscribe(self._channel)
            while True:
                # The confirmation of the subscription counts as a hint: some may have been lost before it.
                if await messages.get_message(timeout=None) is not None:
                    self._hint.set()

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        for client in self._clients:
            await client.aclose()
