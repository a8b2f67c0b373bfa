"""A store at whose door some creates wait until they are let go, so that a race between two writers surely happens."""

import asyncio
import contextlib
from collections.abc import Iterator

from tests.chaos.http_message import Message
from tests.chaos.proxy import ProxyLoop
from tests.chaos.store_proxy import StoreProxy, Upstream, in_front_of
from tests.servers import S3Server


class Gate(StoreProxy):
    """In front of one party's store. Open at first."""

    def __init__(self, host: str, port: int, seed: object) -> None:
        super().__init__(host, port, seed)
        self._open_gate = asyncio.Event()
        self._open_gate.set()
        self._piece = ""
        self.waiting: list[str] = []  # paths of the creates that wait now
        self.answers: list[tuple[str, int]] = []  # path and status of each create that had to wait

    async def shut(self, piece: str) -> None:
        """From now on creates wait whose path has this piece."""
        self._piece = piece
        self._open_gate.clear()

    async def open(self) -> None:
        """Let all go that wait, and whoever comes."""
        self._open_gate.set()

    async def _ask(self, upstream: Upstream, request: Message) -> Message:
        method, path, _ = request.words
        if self._open_gate.is_set() or method != "PUT" or self._piece not in path:
            return await upstream.ask(request)
        self.waiting.append(path)
        try:
            await self._open_gate.wait()
        finally:
            self.waiting.remove(path)
        response = await upstream.ask(request)
        self.answers.append((path, response.status))
        return response


@contextlib.contextmanager
def gates(store: S3Server, count: int) -> Iterator[tuple[ProxyLoop, list[tuple[Gate, S3Server]]]]:
    """So many doors to one store, and the loop that they run in."""
    loop = ProxyLoop()
    try:
        yield loop, [in_front_of(store, loop, number, Gate) for number in range(count)]
    finally:
        loop.close()
