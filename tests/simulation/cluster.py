"""What all nodes of a simulated cluster share: loop, network, bucket, Redis, settings; how requests reach a node."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from random import Random
from typing import Any

from infra.errors import CauceError, Unavailable
from infra.settings import Settings, load_settings
from infra.view.memory_server import MemoryServer
from infra.wire.handler import Registry, RequestContext
from tests.simulation.bucket import Bucket, BucketClient
from tests.simulation.clock import VirtualClock
from tests.simulation.loop import Process, VirtualLoop
from tests.simulation.network import Network, Trace
from tests.simulation.redis import ViewClient

LISTENER = "PLAINTEXT"
GRACE_SECONDS = 40.0  # longer than what is late, and than who waits for it
_FIRST_PORT = 9000
_STORE_PATIENCE_SECONDS = 8.0


class Door:
    """Where a running node takes requests."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.registry: Registry | None = None  # None while it is not open
        self.waiting: dict[asyncio.Future[Any], None] = {}

    def slam(self) -> None:
        """The process is gone: whoever waits sees the connection break."""
        waiting, self.waiting = self.waiting, {}
        for future in waiting:
            if not future.done():
                future.set_exception(Unavailable("the connection broke"))


class Pipe:
    """One connection: its requests are handled in the order in which they were sent, whatever each takes on its way,
    and their answers come in that order too.

    When a request gets lost, those behind it wait for ever. When an answer does, those behind it never come: a client
    that goes on for them has more under way than it knows of. Whoever sent them opens another connection.
    """

    def __init__(self) -> None:
        self.sent = 0
        self._next = 0
        self._early: dict[int, asyncio.Future[None]] = {}
        self._door: Door | None = None
        self._last: asyncio.Future[bool] | None = None  # whether the answer to the last request came

    async def turn(self, number: int, loop: VirtualLoop) -> None:
        """Wait for those that were sent before."""
        if number != self._next:
            early = self._early[number] = loop.create_future()
            await early

    def reaches(self, door: Door) -> bool:
        """Whether it still leads to the process that it was opened to."""
        self._door = self._door or door
        return self._door is door

    async def in_order(self, answer: Awaitable[Any], loop: VirtualLoop) -> Any:
        """The answer to the request sent last, not before that to the one before it. Raises `Unavailable` when there
        was none."""
        before, mine = self._last, loop.create_future()
        self._last = mine
        came = False
        try:
            result = await answer
            if before is not None and not await before:
                raise Unavailable("the connection broke: an answer before this one never came")
            came = True
            return result
        finally:
            mine.set_result(came)

    def passed(self) -> None:
        """The next one may go."""
        self._next += 1
        early = self._early.pop(self._next, None)
        if early is not None:
            early.set_result(None)


class Cluster:
    """Made once a run. Nothing runs yet."""

    def __init__(self, loop: VirtualLoop, seed: str, folder: Path, trace: Trace) -> None:
        self.loop = loop
        self.seed = seed
        self.folder = folder
        self.trace = trace
        self.network = Network(loop, Random(f"{seed}/network"), trace)
        self.clock = VirtualClock(loop, Random(f"{seed}/servers"))
        self.bucket = Bucket(self.clock)
        self.redis = MemoryServer(self.clock)
        self.surprises: list[str] = []  # what no fault excuses
        self.doors: dict[int, Door] = {}
        self.settings = _settings(folder)
        self.ttl_seconds = Random(f"{seed}/sessions").choice((3.0, 6.0))

    def store(self, clock: VirtualClock) -> BucketClient:
        """A way to the bucket."""
        return BucketClient(self.bucket, self.network, clock, _STORE_PATIENCE_SECONDS)

    def view(self) -> ViewClient:
        """A way to Redis."""
        return ViewClient(self.redis, self.network)

    async def call(
        self,
        node_id: int,
        api_key: int,
        version: int,
        request: Any,
        seconds: float,
        connection_id: int,
        pipe: Pipe | None = None,
    ) -> Any:
        """Ask a node by its id, over a connection where the order counts. Raises `Unavailable` when no answer comes."""
        pipe = pipe or Pipe()
        number = pipe.sent
        pipe.sent += 1

        async def arrive() -> Any:
            await pipe.turn(number, self.loop)
            try:
                door = self.doors.get(node_id)
                if door is None or door.registry is None or not door.process.alive or not pipe.reaches(door):
                    raise Unavailable(f"node {node_id} refuses the connection")
                context = RequestContext(
                    api_key=api_key,
                    api_version=version,
                    client_id="simulated",
                    listener=LISTENER,
                    peer="127.0.0.1",
                    connection_id=connection_id,
                    received_at=self.clock.monotonic(),
                )
                answered = self._begin(door, door.registry, context, request)
            finally:
                pipe.passed()
            result = await answered
            door.waiting.pop(answered, None)
            if isinstance(result, Exception):
                try:
                    raise result
                finally:
                    del result  # or it would hold itself, by this frame
            return result

        what = f"{type(request).__name__} of {connection_id}"
        answer = self.network.ask(node_name(node_id), what, arrive, seconds)
        return await pipe.in_order(answer, self.loop)

    def _begin(self, door: Door, registry: Registry, context: RequestContext, request: Any) -> "asyncio.Future[Any]":
        answered: asyncio.Future[Any] = self.loop.create_future()
        door.waiting[answered] = None

        async def handle() -> None:
            handler = registry.find(context.api_key)
            assert handler is not None
            try:
                result = await handler.handle(context, request)
            except Exception as error:  # noqa: BLE001  the server closes the connection, whatever it was
                if not isinstance(error, CauceError):
                    self.surprises.append(f"{type(handler).__name__} raised {error!r}")
                result = Unavailable(f"the connection was closed: {error!r}")
            if not answered.done():
                answered.set_result(result)

        door.process.spawn(handle())
        return answered


def node_name(node_id: int) -> str:
    """As the network knows it."""
    return f"node {node_id}"


def endpoint(node_id: int) -> str:
    """As Metadata tells it."""
    return f"127.0.0.1:{_FIRST_PORT + node_id}"


def node_at(port: int) -> int:
    """The node behind an endpoint."""
    return port - _FIRST_PORT


def _settings(folder: Path) -> Settings:
    flags = {
        "cauce.data": str(folder),
        "cauce.bucket": "s3://simulated/bucket",
        "cauce.http": "",
        "cauce.tail.bytes": "6000",
        "cauce.cache.bytes": str(1 << 23),
        "cauce.flush.interval.ms": "300",
        "cauce.flush.bytes": "400",  # so that several are in the air when the store is slow
        "cauce.view.repair.interval.ms": "10000",
        "auto.create.topics.enable": "false",
        "offsets.topic.num.partitions": "2",
        "group.initial.rebalance.delay.ms": "500",
        "cauce.compaction.interval.ms": "2000",
        "cauce.compaction.bytes": "3000",
        "cauce.compaction.age.ms": "8000",
        "log.retention.check.interval.ms": "5000",
        "cauce.garbage.grace.ms": str(round(GRACE_SECONDS * 1000)),
        "cauce.garbage.interval.ms": "6000",
    }
    return load_settings(flags, environment={})
