"""A read side with real parts over a memory store: led partitions that the test appends to and flushes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from infra.clock import Clock
from infra.cluster.manifest import Manifest
from infra.errors import NotLeader, Unavailable
from infra.partition import Lease, PartitionId, SessionId
from infra.ports import Durability, EpochStart, TakenLease
from infra.records.batch import BatchHeader
from infra.records.encode import encode_batch
from infra.records.record import Record
from infra.store.memory import MemoryObjectStore
from infra.view.port import LiveSession
from infra.wire import envelope
from infra.wire.handler import Handler, RequestContext
from ingest.partition_log import PartitionLog
from ingest.segment_build import segment_builder
from ingest.tail import TailBudget
from reader.api.fetch import FetchHandler
from reader.catch_up import CatchUpReader
from reader.fetch import Fetcher
from reader.fetch_pass import FetchLimits, PartitionFetch
from reader.fetch_session import FetchSessionCache
from reader.offset_lookup import OffsetLookup
from tests.ingest.logs import SESSION, Guard, settings_of

TOPIC_ID = UUID(int=0xF1)
EPOCH = 5
DEADLINE_SECONDS = 30.0  # only a failing test waits so long

_build = segment_builder("cluster")


def batch_of(*timestamps: int, size: int = 10, codec: int = 0, **options: Any) -> memoryview:
    """A batch as a producer sends it: one record a timestamp (ms), values of so many bytes."""
    records = [Record(at, time, b"k%d" % at, bytes([at % 251]) * size) for at, time in enumerate(timestamps)]
    return memoryview(encode_batch(records, codec=codec, **options))


class GatedStore(MemoryObjectStore):
    """Notes every GET, fails while it is down, lets a GET through only while the gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gets: list[tuple[str, int, int]] = []
        self.down = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.under_way = 0
        self.most_under_way = 0

    async def get_range(self, key: str, position: int, length: int) -> bytes:
        self.gets.append((key, position, length))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(0)
            await self.gate.wait()
            if self.down:
                raise Unavailable("the store is down")
            return await super().get_range(key, position, length)
        finally:
            self.under_way -= 1


class WatchedLog(PartitionLog):
    """Counts who waits for it."""

    waiting = 0

    def on_advance(self, wake: Callable[[], None]) -> Callable[[], None]:
        self.waiting += 1
        stop = super().on_advance(wake)

        def unsubscribe() -> None:
            self.waiting -= 1
            stop()

        return unsubscribe


@dataclass(frozen=True)
class Topic:
    topic_id: UUID
    name: str
    partitions: int


@dataclass
class Topics:
    """A directory of topics, leaders and nodes."""

    topics: list[Topic] = field(default_factory=lambda: [Topic(TOPIC_ID, "flights", 8)])
    leaders: dict[PartitionId, Lease] = field(default_factory=dict)
    nodes: list[LiveSession] = field(default_factory=list)

    def topic_by_name(self, name: str) -> Topic | None:
        return next((topic for topic in self.topics if topic.name == name), None)

    def topic_by_id(self, topic_id: UUID) -> Topic | None:
        return next((topic for topic in self.topics if topic.topic_id == topic_id), None)

    def leader(self, partition: PartitionId) -> Lease | None:
        return self.leaders.get(partition)


class Led:
    """One led partition, and everything that was appended to it."""

    def __init__(self, world: "World", partition: PartitionId, taken: TakenLease, durability: Durability) -> None:
        self._world = world
        self.log = WatchedLog(taken, settings_of(durability), world.guard, world.budget)
        self.appended: list[bytes] = []

    def append(self, *batches: memoryview) -> None:
        """Append and sync."""
        for batch in batches:
            self.log.append([(BatchHeader.parse(batch), batch)], 1_000, 0)
            self.appended.append(bytes(batch))
        self.log.on_synced(self.log.log_end_offset)

    async def flush(self, max_bytes: int = 1 << 40) -> None:
        """Flush what is synced into one segment, and publish it."""
        part = self.log.plan_flush(max_bytes)
        assert part is not None
        key = f"batches/{self._world.flushes:010}.parquet"
        self._world.flushes += 1
        built = _build(key, SESSION, [part], None)
        await self._world.store.create(key, built.body)
        for flushed in built.flushed:
            self.log.on_published(flushed)

    async def append_flushed(self, *batches: memoryview) -> None:
        """Append and flush, one segment a batch."""
        for batch in batches:
            self.append(batch)
            await self.flush()


class World:
    """Make it inside a running loop. `tail_bytes=0` keeps nothing published in the tail: all such reads are cold.

    `cache_bytes`: of blocks, and as many of records.
    """

    def __init__(
        self,
        *,
        tail_bytes: int = 0,
        block_bytes: int = 1 << 20,
        cache_bytes: int = 256 << 20,
        alone_seconds: float = DEADLINE_SECONDS,
        beside_hot_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self.store = GatedStore()
        self.guard = Guard()
        self.budget = TailBudget(tail_bytes)
        self.flushes = 0
        self.logs: dict[PartitionId, WatchedLog] = {}
        self.topics = Topics()
        self._cache_options = {"block_bytes": block_bytes, "cache_bytes": 2 * cache_bytes}
        self._patience = {"alone_seconds": alone_seconds, "beside_hot_seconds": beside_hot_seconds}
        self.restart()

    def restart(self) -> None:
        """Read with empty caches from now on."""
        self.catch_up = CatchUpReader(self.store, **self._cache_options)
        self.cache, self.segments, self.records = self.catch_up.blocks, self.catch_up.segments, self.catch_up.records
        self.fetcher = Fetcher(self, self.catch_up, **self._patience)
        self.lookup = OffsetLookup(self.catch_up)
        self.sessions = FetchSessionCache(Clock())
        self.fetches = FetchHandler(self.topics, self.fetcher, self.sessions, nodes=lambda: self.topics.nodes)

    def lead(
        self,
        partition: int = 0,
        *,
        durability: Durability = "object",
        end_offset: int = 0,
        epochs: Sequence[tuple[int, int]] = (),
        log_start: int = 0,
    ) -> Led:
        starts = tuple(EpochStart(*one) for one in epochs) or (EpochStart(EPOCH, end_offset),)
        where = PartitionId(TOPIC_ID, partition)
        lease = Lease(where, SESSION, starts[-1].leader_epoch)
        manifest = Manifest(log_start_offset=log_start)
        taken = TakenLease(lease, "flights", durability, starts, manifest, end_offset, (), ())
        led = Led(self, where, taken, durability)
        self.logs[where] = led.log
        return led

    def log(self, partition: PartitionId) -> WatchedLog:
        if partition not in self.logs:
            raise NotLeader(f"{partition} is led elsewhere")
        return self.logs[partition]

    def lose(self, led: Led) -> None:
        """The lease is gone."""
        del self.logs[led.log.partition]
        led.log.close(NotLeader("led elsewhere"))

    async def close(self) -> None:
        self.store.gate.set()
        await self.catch_up.close()


def run(body: Callable[[World], Awaitable[None]], **options: Any) -> None:
    """Run a test inside a loop, with a world of its own."""

    async def whole() -> None:
        world = World(**options)
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await body(world)
        finally:
            await world.close()

    asyncio.run(whole())


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until the condition holds."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110  nothing announces it
            await asyncio.sleep(0.001)


def wanted(offset: int = 0, partition: int = 0, max_bytes: int = 1 << 20, **options: Any) -> PartitionFetch:
    return PartitionFetch(PartitionId(TOPIC_ID, partition), offset, max_bytes, **options)


def limits(
    max_wait: float = 0.0, min_bytes: int = 1, max_bytes: int = 50 << 20, read_committed: bool = False
) -> FetchLimits:
    return FetchLimits(max_wait, min_bytes, max_bytes, read_committed)


def context(api_key: int, version: int) -> RequestContext:
    return RequestContext(api_key, version, "test", "main", "127.0.0.1", 1)


async def ask(handler: Handler, request: Any, version: int) -> Any:
    """Send a request through the wire's codec both ways, as a client of that version would."""
    frame = memoryview(b"".join(envelope.encode_request(request, version, 7, "test")))[4:]
    _, decoded = envelope.decode_request(frame, handler.api_key, version)
    answer = await handler.handle(context(handler.api_key, version), decoded)
    sent = memoryview(b"".join(envelope.encode_response(answer, handler.api_key, version, 7)))[4:]
    return envelope.decode_response(sent, handler.api_key, version)


def offsets_of(batches: Sequence[memoryview]) -> list[int]:
    """Base offsets."""
    return [BatchHeader.parse(batch).base_offset for batch in batches]


def live(node_id: int, **endpoints: str) -> LiveSession:
    return LiveSession(SessionId(node_id, 1), endpoints, None, frozenset({"ingest"}))
