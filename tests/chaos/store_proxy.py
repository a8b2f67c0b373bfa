"""An HTTP proxy in front of an S3 server that makes its bad days: slow, refusing, falling silent, losing answers.

What it does with a request is drawn by chances that can change at any time. It remembers creates whose success it kept
to itself, so that it can tell when the store refused the same create again and the asker looked whose object that is:
a lost answer that was absorbed.
"""

import asyncio
import functools
import random
from collections import Counter
from dataclasses import dataclass
from typing import Literal, TypeVar

from tests.chaos.http_message import Message, NotHttp, read_body, read_head
from tests.chaos.proxy import ProxyLoop, close, reset
from tests.servers import S3Server

Outage = Literal["", "reset", "silence", "503"]


@dataclass(frozen=True)
class Weather:
    """Chances (0 to 1) of what may befall one request, and an outage that befalls them all."""

    outage: Outage = ""
    slow: float = 0.0  # it waits before it goes on
    slow_seconds: tuple[float, float] = (0.0, 0.0)
    refused: float = 0.0  # 503 SlowDown; the server hears nothing of it
    reset: float = 0.0  # the connection ends before the server hears of it
    lost: float = 0.0  # the server carries it out, and the connection ends without an answer
    broken: float = 0.0  # the answer ends in its middle
    wrong: float = 0.0  # the server carries it out, and the answer is a 500

    def with_also(self, other: "Weather") -> "Weather":
        """Both at once: of each misfortune the likelier."""
        return Weather(
            self.outage or other.outage,
            max(self.slow, other.slow),
            max(self.slow_seconds, other.slow_seconds),
            max(self.refused, other.refused),
            max(self.reset, other.reset),
            max(self.lost, other.lost),
            max(self.broken, other.broken),
            max(self.wrong, other.wrong),
        )


FAIR = Weather()


class StoreProxy:
    """In front of HOST:PORT, which speaks HTTP/1.1."""

    def __init__(self, host: str, port: int, seed: object) -> None:
        self._target = (host, port)
        self._random = random.Random(f"{seed} store proxy")
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.StreamWriter] = set()
        self._fair_again = asyncio.Event()
        self._lost_creates: set[str] = set()
        self._causes: dict[object, Weather] = {}
        self.weather = FAIR
        self.port = 0
        self.counts: Counter[str] = Counter()

    async def start(self, port: int = 0) -> None:
        """Listen on a port of the loopback address, any when 0."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]

    async def set_weather(self, cause: object, weather: Weather) -> None:
        """From now on, beside what other causes bring; an outage cuts what is under way too."""
        self._causes[cause] = weather
        self.weather = functools.reduce(Weather.with_also, self._causes.values())
        waiting, self._fair_again = self._fair_again, asyncio.Event()
        waiting.set()
        if weather.outage == "reset":
            for writer in list(self._open):
                reset(writer)

    async def clear(self) -> None:
        """The weather is fair, whatever the causes."""
        causes = list(self._causes)
        for cause in causes:
            await self.set_weather(cause, FAIR)

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._open.add(writer)
        upstream = Upstream(self._target)
        try:
            while await self._one(reader, writer, upstream):
                pass
        except (OSError, NotHttp, asyncio.CancelledError):  # cancelled when the proxy ends
            reset(writer)
        finally:
            self._open.discard(writer)
            await upstream.close()
            await close(writer)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: "Upstream") -> bool:
        """One request and its answer; False when the connection is over."""
        head = await read_head(reader)
        if head is None:
            return False
        if head.header("expect") == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request = await read_body(reader, head)
        self.counts["requests"] += 1
        weather = self.weather
        turned_away = await self._turn_away(weather, request, writer)
        if turned_away is not None:
            return turned_away == "answered"
        response = await self._ask(upstream, request)
        return await self._answer(weather, request, response, writer)

    async def _ask(self, upstream: "Upstream", request: Message) -> Message:
        return await upstream.ask(request)

    async def _turn_away(
        self, weather: Weather, request: Message, writer: asyncio.StreamWriter
    ) -> Literal["answered", "cut"] | None:
        """Keep a request from the server, if that is its fate: None when it is to reach it."""
        if weather.outage == "silence":
            self.counts["silent"] += 1
            await self._fair_again.wait()
            reset(writer)
            return "cut"
        if weather.outage == "reset" or self._happens(weather.reset):
            self.counts["resets"] += 1
            reset(writer)
            return "cut"
        if weather.outage == "503" or self._happens(weather.refused):
            self.counts["refused"] += 1
            await _say(writer, request, "503 Slow Down", "SlowDown")
            return "answered"
        if self._happens(weather.slow):
            self.counts["slow"] += 1
            await asyncio.sleep(self._random.uniform(*weather.slow_seconds))
        return None

    async def _answer(
        self, weather: Weather, request: Message, response: Message, writer: asyncio.StreamWriter
    ) -> bool:
        """Give the server's answer, or lose it; whether the connection goes on."""
        method, path, _ = request.words
        create = method == "PUT" and request.header("if-none-match") == "*"
        if create and response.status == 412 and path in self._lost_creates:
            self._lost_creates.discard(path)
            self.counts["absorbed"] += 1
        lost, wrong = self._happens(weather.lost), self._happens(weather.wrong)
        if lost or wrong:
            self.counts["lost answers"] += 1
            if create and response.status == 200:
                self._lost_creates.add(path)
            if lost:
                reset(writer)
            else:
                await _say(writer, request, "500 Internal Server Error", "InternalError")
            return not lost
        raw = response.encode()
        if self._happens(weather.broken):
            self.counts["broken answers"] += 1
            writer.write(raw[: len(raw) // 2])
            await writer.drain()
            return False
        writer.write(raw)
        await writer.drain()
        return response.header("connection") != "close"

    def _happens(self, chance: float) -> bool:
        return chance > 0 and self._random.random() < chance


class Upstream:
    """A connection to the server, made again when it has ended."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: Message) -> Message:
        """Hand a request on. Raises `OSError` and `NotHttp`; it is never sent twice."""
        if self._streams is not None and self._streams[0].at_eof():
            await self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._target, limit=1 << 20)
        reader, writer = self._streams
        writer.write(request.encode(without=("expect",)))
        await writer.drain()
        head = await read_head(reader)
        if head is None:
            raise NotHttp("the server ended the connection without an answer")
        empty = request.words[0] == "HEAD" or head.status in (204, 304)
        return await read_body(reader, head, empty=empty)

    async def close(self) -> None:
        """End it."""
        if self._streams is not None:
            await close(self._streams[1])
            self._streams = None


async def _say(writer: asyncio.StreamWriter, request: Message, status: str, code: str) -> None:
    body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>chaos</Message></Error>".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + (b"" if request.words[0] == "HEAD" else body))
    await writer.drain()


P = TypeVar("P", bound=StoreProxy)


def in_front_of(server: S3Server, loop: ProxyLoop, seed: object, kind: type[P]) -> tuple[P, S3Server]:
    """A proxy that runs in `loop`, and the server as it is reached through it."""
    host, _, port = server.endpoint.removeprefix("http://").rpartition(":")
    proxy = kind(host, int(port), seed)
    loop.add(proxy)
    return proxy, S3Server(f"http://127.0.0.1:{proxy.port}", server.bucket)
