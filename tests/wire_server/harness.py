"""A server with handlers made for a test, and a raw socket to talk to it."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from cauce.api.api_versions import ApiVersionsHandler
from infra.clock import SYSTEM_CLOCK, Clock
from infra.limits import WireLimits
from infra.wire import envelope
from infra.wire.handler import Handler, Registry, RequestContext
from infra.wire.messages import fetch, heartbeat, produce
from infra.wire.server import Listener, Server

DEADLINE_SECONDS = 20.0  # only a failing test waits so long

Script = Callable[[RequestContext, Any], Awaitable[Any]]


class ScriptedHandler(Handler):
    """Does what the test says; remembers in which order it was started."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.started: list[Any] = []

    async def handle(self, context: RequestContext, request: Any) -> Any:
        self.started.append(request)
        return await self._script(context, request)


class Heartbeats(ScriptedHandler):
    api_key: ClassVar[int] = heartbeat.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 4


class Produces(ScriptedHandler):
    api_key: ClassVar[int] = produce.API_KEY
    min_version: ClassVar[int] = 3
    max_version: ClassVar[int] = 11
    advertised_min: ClassVar[int | None] = 0


class Fetches(ScriptedHandler):
    api_key: ClassVar[int] = fetch.API_KEY
    min_version: ClassVar[int] = 4
    max_version: ClassVar[int] = 16


class Gates:
    """Named gates that handlers wait at until the test opens them."""

    def __init__(self) -> None:
        self._gates: dict[str, asyncio.Event] = {}

    def __getitem__(self, name: str) -> asyncio.Event:
        return self._gates.setdefault(name, asyncio.Event())

    async def beat(self, context: RequestContext, request: heartbeat.HeartbeatRequest) -> heartbeat.HeartbeatResponse:
        """Wait at the gate that the member id names, if any; answer the generation id as the error code."""
        if request.member_id:
            await self[request.member_id].wait()
        return heartbeat.HeartbeatResponse(error_code=request.generation_id)


async def at_once(context: RequestContext, request: heartbeat.HeartbeatRequest) -> heartbeat.HeartbeatResponse:
    return heartbeat.HeartbeatResponse(error_code=request.generation_id)


class HeldClock(Clock):
    """Monotonic time moves only when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


class Raw:
    """A socket that speaks frames, and anything else."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self._correlation_id = 0

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def ask(self, request: Any, version: int) -> int:
        """Send a request without waiting; answers its correlation id."""
        self._correlation_id += 1
        self.writer.writelines(envelope.encode_request(request, version, self._correlation_id, "raw"))
        return self._correlation_id

    def beat(self, number: int, gate: str = "", group: str = "g") -> int:
        request = heartbeat.HeartbeatRequest(group_id=group, generation_id=number, member_id=gate)
        return self.ask(request, 4)

    async def frame(self) -> memoryview:
        """The next answer frame, without its length; EOFError when the server closed."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            try:
                (length,) = struct.unpack(">i", await self._reader.readexactly(4))
                return memoryview(await self._reader.readexactly(length))
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                raise EOFError from error

    async def answer(self, api_key: int = heartbeat.API_KEY, version: int = 4) -> tuple[int, Any]:
        frame = await self.frame()
        return envelope.correlation_id(frame), envelope.decode_response(frame, api_key, version)

    async def numbers(self, count: int) -> list[int]:
        """The numbers that `count` heartbeats sent, as they come back."""
        return [(await self.answer())[1].error_code for _ in range(count)]

    async def closed_by_server(self) -> bool:
        try:
            await self.frame()
        except EOFError:
            return True
        return False

    async def close(self) -> None:
        self.writer.close()


class Served:
    """A running server and how to reach it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.host, self.port = server.bound["main"]
        self._raws: list[Raw] = []

    async def raw(self, listener: str = "main") -> Raw:
        reader, writer = await asyncio.open_connection(*self.server.bound[listener], limit=2**26)
        raw = Raw(reader, writer)
        self._raws.append(raw)
        return raw

    async def alive(self) -> bool:
        """Another connection is served."""
        raw = await self.raw()
        raw.beat(7)
        return await raw.numbers(1) == [7]

    async def close(self) -> None:
        for raw in self._raws:
            await raw.close()
        await self.server.close(drain_seconds=0.0)


@asynccontextmanager
async def serving(
    *handlers: Handler, limits: WireLimits | None = None, clock: Clock = SYSTEM_CLOCK, **options: Any
) -> AsyncIterator[Served]:
    registry = Registry(handlers)
    if registry.find(ApiVersionsHandler.api_key) is None:
        registry.add(ApiVersionsHandler(registry))
    listeners = options.pop("listeners", [Listener(name="main", host="127.0.0.1", port=0)])
    server = Server(registry, listeners, limits, clock, **options)
    await server.start()
    served = Served(server)
    try:
        yield served
    finally:
        await served.close()


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until the condition holds."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110 - conditions of any kind, so there is no event to wait for
            await asyncio.sleep(0.001)
