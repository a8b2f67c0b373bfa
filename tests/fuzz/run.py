"""Sends inputs to a node over several connections at once, and watches that it goes on serving others."""

import asyncio
import struct
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from infra.wire.client import Client
from infra.wire.messages.api_versions import ApiVersionsRequest
from infra.wire.messages.create_topics import CreatableTopic, CreateTopicsRequest
from tests.fuzz.inputs import Input, Inputs
from tests.fuzz.valid_requests import TOPIC

_QUIET_SECONDS = 0.15  # an input that is neither answered nor refused by then waits for something: leave it
_CONNECT_SECONDS = 10.0
_LOOK_EVERY = 2000  # inputs between two looks at whether the node is alive
_SLOW_SECONDS = 10.0


@dataclass(slots=True)
class Report:
    """What became of the inputs: `outcomes` counts answered, closed, silent and cut (closed by us)."""

    seed: int
    sent: int = 0
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    looks: int = 0
    slowest_look_seconds: float = 0.0
    dead: str | None = None  # why the node counts as dead

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}: {self.sent} inputs in {self.seconds:.1f} s",
            "outcomes: " + ", ".join(f"{name} {count}" for name, count in sorted(self.outcomes.items())),
            "kinds: " + ", ".join(f"{name} {count}" for name, count in sorted(self.kinds.items())),
            f"looks at the node: {self.looks}, slowest {self.slowest_look_seconds * 1000:.0f} ms",
            "node: " + ("alive" if self.dead is None else f"DEAD: {self.dead}"),
        ]
        return "\n".join(lines)


class _Victim(asyncio.Protocol):
    """One connection to the node, that reports only: an answer frame came, or the node closed."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._event = asyncio.Event()
        self._received = bytearray()
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._event.set()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) >= 4 and len(self._received) >= 4 + struct.unpack_from(">i", self._received)[0]:
            self._received.clear()
            self._event.set()

    async def send(self, data: bytes) -> str:
        assert self.transport is not None
        self._event.clear()
        if self.closed:
            return "closed"
        self.transport.write(data)
        try:
            async with asyncio.timeout(_QUIET_SECONDS):
                await self._event.wait()
        except TimeoutError:
            return "silent"
        return "closed" if self.closed else "answered"

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class Fuzz:
    """One run: `connections` send side by side while one honest client looks after the node."""

    def __init__(self, host: str, port: int, seed: int, connections: int = 48) -> None:
        self._address = (host, port)
        self._inputs = Inputs(seed)
        self._connections = connections
        self._client = Client([self._address], "fuzz-watcher", timeout_seconds=_SLOW_SECONDS)
        self._next_look = _LOOK_EVERY
        self.report = Report(seed)

    async def run(self, numbers: Iterator[int]) -> Report:
        """Send these inputs; stops early when the node is dead."""
        started = time.monotonic()
        async with self._client:
            await self._make_topic()
            await self._look()
            workers = [asyncio.create_task(self._worker(numbers)) for _ in range(self._connections)]
            await asyncio.gather(*workers)
            await self._look()
        self.report.seconds = time.monotonic() - started
        return self.report

    async def _worker(self, numbers: Iterator[int]) -> None:
        victim: _Victim | None = None
        for number in numbers:
            if self.report.dead is not None:
                break
            if self.report.sent >= self._next_look:
                self._next_look += _LOOK_EVERY
                await self._look()
            hostile = self._inputs.make(number)
            if victim is None:
                victim = await self._connect()
                if victim is None:
                    break
            outcome = await self._send(victim, hostile)
            self.report.sent += 1
            self.report.kinds[hostile.kind] += 1
            self.report.outcomes[outcome] += 1
            if outcome != "answered":
                victim.abort()
                victim = None
        if victim is not None:
            victim.abort()

    async def _send(self, victim: _Victim, hostile: Input) -> str:
        if not hostile.ends:
            return await victim.send(hostile.data)
        assert victim.transport is not None
        victim.transport.write(hostile.data)
        victim.transport.close()  # orderly, so that the node reads all of it
        return "cut"

    async def _connect(self) -> _Victim | None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, victim = await loop.create_connection(_Victim, *self._address)
        except (OSError, TimeoutError) as error:
            self.report.dead = self.report.dead or f"no connection: {error!r}"
            return None
        return victim

    async def _look(self) -> None:
        """An honest request on a connection that has been there from the start must still be answered."""
        started = time.monotonic()
        request = ApiVersionsRequest(client_software_name="fuzz", client_software_version="1")
        connection_before = self._client_connection()
        try:
            await self._client.call(None, request)
        except Exception as error:  # noqa: BLE001 - whatever it is, the node did not serve an honest client
            self.report.dead = f"ApiVersions failed: {error!r}"
            return
        if connection_before is not None and connection_before is not self._client_connection():
            self.report.dead = "the honest connection was closed"
        self.report.looks += 1
        self.report.slowest_look_seconds = max(self.report.slowest_look_seconds, time.monotonic() - started)

    def _client_connection(self) -> object | None:
        return next(iter(self._client._connections.values()), None)

    async def _make_topic(self) -> None:
        """Something to hit; a node that makes no topics is hit all the same."""
        topic = CreatableTopic(name=TOPIC, num_partitions=2, replication_factor=1)
        with suppress(Exception):
            await self._client.to_controller(CreateTopicsRequest(topics=[topic], timeout_ms=10_000))
