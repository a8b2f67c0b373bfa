"""A TCP proxy that can be told to be a bad network: slow, silent, or cut off. Knows no protocol.

Proxies live on one event loop in a thread of their own (`ProxyLoop`); whoever breaks them does so from any thread.
"""

import asyncio
import contextlib
import socket
import threading
from collections import Counter
from collections.abc import Coroutine
from typing import Any, Literal, Protocol, TypeVar

T = TypeVar("T")

Cut = Literal["", "reset", "silence"]
"""How a cut shows: connections are reset and refused, or stay open and nothing passes any more."""

_CHUNK = 1 << 16


class _Proxy(Protocol):
    async def start(self, port: int) -> None: ...

    async def close(self) -> None: ...


class ProxyLoop:
    """The thread in which proxies run."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._proxies: list[_Proxy] = []
        self._thread = threading.Thread(target=self.loop.run_forever, name="proxies", daemon=True)
        self._thread.start()

    def add(self, proxy: _Proxy, port: int = 0) -> None:
        """Start a proxy; it ends with the loop."""
        self.call(proxy.start(port))
        self._proxies.append(proxy)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the loop and wait for what it answers."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def close(self) -> None:
        """End all proxies and the thread."""
        for proxy in self._proxies:
            self.call(proxy.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class TcpProxy:
    """Everything that one party says to another goes through here."""

    def __init__(self, host: str, port: int) -> None:
        """HOST:PORT that it stands in front of."""
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._passing = asyncio.Event()
        self._passing.set()
        self._cut: Cut = ""
        self.delay_seconds = 0.0  # of each piece, in either direction
        self.port = 0
        self.counts: Counter[str] = Counter()

    async def start(self, port: int = 0) -> None:
        """Listen on a port of the loopback address, any when 0."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self, how: Cut) -> None:
        """Cut the connection between the two parties."""
        self._cut = how
        if how == "reset":
            self._sever()
        else:
            self._passing.clear()

    async def heal(self) -> None:
        """Let everything pass again. What was cut in silence is reset: a network that was gone gives no bytes back."""
        silent, self._cut = self._cut == "silence", ""
        if silent:
            self._sever()
        self._passing.set()

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
        self._sever()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _sever(self) -> None:
        self.counts["connections cut"] += len(self._open)
        for writer in list(self._open):
            reset(writer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.counts["connections"] += 1
        if self._cut == "reset":
            self.counts["connections refused"] += 1
            reset(writer)
            return
        self._open.add(writer)
        try:
            await self._passing.wait()
            await self._relay(reader, writer)
        except asyncio.CancelledError:  # the proxy ends: asyncio's own streams stumble over a cancelled handler
            return
        finally:
            self._open.discard(writer)
            reset(writer)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there = await asyncio.open_connection(*self._target)
        except OSError:
            return
        self._open.add(there)
        pumps = [
            asyncio.ensure_future(self._pump(reader, there)),
            asyncio.ensure_future(self._pump(there_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._open.discard(there)
            await close(there)
            await close(writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if self.delay_seconds:
                    self.counts["pieces delayed"] += 1
                    await asyncio.sleep(self.delay_seconds)
                await self._passing.wait()
                writer.write(data)
                await writer.drain()


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with a reset, so that the other side notices at once and gets nothing that is under way."""
    connection = writer.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    writer.transport.abort()


async def close(writer: asyncio.StreamWriter) -> None:
    """End a connection in order: what was written still arrives."""
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(1):
            await writer.wait_closed()
