"""A write side with real parts in memory, whose store, view and WAL do as the test says."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from infra.clock import Clock
from infra.errors import CauceError, Unavailable
from infra.partition import SessionId
from infra.ports import Durability
from infra.segment.extent import Extent, FlushedExtent
from infra.store.memory import MemoryObjectStore
from infra.store.port import Buffer
from infra.view.memory import MemoryView
from ingest.appender import PartitionAppend
from ingest.flush_plan import FlushPolicy, FlushTrigger
from ingest.leaders import IngestLimits, Leaders
from ingest.partition_log import Appended, FlushPart, PartitionLog
from ingest.wal.frame import WalEntry
from tests.ingest.batches import header_of
from tests.ingest.logs import Guard, partition_id, settings_of, taken_lease

AT_ONCE = FlushTrigger(flush_bytes=1, flush_interval_ms=0)
NEVER = FlushTrigger(flush_bytes=1 << 40, flush_interval_ms=3_600_000)
EAGER = FlushPolicy(object=AT_ONCE, wal=AT_ONCE)


class StillClock(Clock):
    """Jitter without chance, so that retries are quick."""

    def uniform(self, low: float, high: float) -> float:
        return 0.01


class FakeWal:
    """Syncs when the test says so, or at once."""

    def __init__(self, at_once: bool = True, budget: int = 1 << 40) -> None:
        self.end = 0
        self.trimmed = 0
        self.at_once = at_once
        self.budget = budget
        self.refuses: CauceError | None = None
        self.entries: list[WalEntry] = []
        self.waiting: list[Callable[[BaseException | None], None]] = []

    def has_room(self, size: int, batches: int = 1) -> bool:
        return self.end - self.trimmed + size <= self.budget

    def append(self, entries: Sequence[WalEntry], done: Callable[[BaseException | None], None]) -> int:
        if self.refuses is not None:
            raise self.refuses
        self.entries.extend(entries)
        self.end += sum(len(entry.batch) for entry in entries)
        self.waiting.append(done)
        if self.at_once:
            asyncio.get_running_loop().call_soon(self.sync)
        return self.end

    def sync(self, failure: BaseException | None = None) -> None:
        waiting, self.waiting = self.waiting, []
        for done in waiting:
            done(failure)

    def trim(self, position: int) -> None:
        assert self.trimmed <= position <= self.end
        self.trimmed = position


class SlowStore(MemoryObjectStore):
    """Fails while it is down; each create first asks `gate`, which may wait."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.bodies: dict[str, set[bytes]] = {}  # every body that was ever sent under a key
        self.gate: Callable[[str], Awaitable[None]] | None = None

    async def create(self, key: str, body: Buffer | Sequence[Buffer]) -> None:
        sent = bytes(body) if isinstance(body, (bytes, bytearray, memoryview)) else b"".join(body)
        self.bodies.setdefault(key, set()).add(sent)
        if self.gate is not None:
            await self.gate(key)
        if self.down:
            raise Unavailable("the store is down")
        await super().create(key, body)


@dataclass(frozen=True, slots=True)
class Built:
    body: bytes
    flushed: tuple[FlushedExtent, ...]


def build(key: str, session: SessionId, parts: Sequence[FlushPart], holders: object = None) -> Built:
    """A batch segment in its simplest form: the batches one after another."""
    flushed = []
    row = 0
    for part in parts:
        headers = [batch.header for batch in part.batches]
        extent = Extent(
            part.log.partition,
            key,
            headers[0].base_offset,
            headers[-1].last_offset,
            part.log.leader_epoch,
            len(headers),
            sum(header.record_count for header in headers),
            part.size,
            max(header.max_timestamp for header in headers),
            row,
            part.aborted,
        )
        row += len(headers)
        flushed.append(FlushedExtent(extent, part.producers))
    return Built(b"".join(bytes(batch.batch) for part in parts for batch in part.batches), tuple(flushed))


class WriteSide:
    """Leaders with a store, a view and a WAL. Make it inside a running loop, `await` begin and end."""

    def __init__(
        self,
        *,
        policy: FlushPolicy = EAGER,
        limits: IngestLimits | None = None,
        wal: FakeWal | None = None,
    ) -> None:
        self.store = SlowStore()
        self.view = MemoryView()
        self.guard = Guard()
        self.wal = wal or FakeWal()
        self.lost: list[tuple[SessionId, CauceError]] = []
        self.repairs = 0
        self.leaders = Leaders(
            wal=self.wal,
            store=self.store,
            view=self.view,
            build=build,
            repair=self.repair,
            on_lost=lambda session, error: self.lost.append((session, error)),
            policy=policy,
            limits=limits,
            clock=StillClock(),
        )
        self.leaders.begin_session(self.guard)

    async def repair(self) -> None:
        """A rebuild that finds nothing."""
        self.repairs += 1
        await self.view.begin_rebuild("test", 60_000)
        await self.view.install("test", f"incarnation {self.repairs}")

    async def begin(self) -> None:
        await self.repair()
        self.repairs = 0
        self.leaders.start()

    async def end(self) -> None:
        await self.leaders.stop()

    def open(self, partition: int = 0, durability: Durability = "object", end_offset: int = 0) -> PartitionLog:
        taken = taken_lease(partition_id(partition), durability=durability, end_offset=end_offset)
        return self.leaders.open(taken, settings_of(durability))

    def append(
        self, batch: memoryview, acks: int = -1, partition: int = 0
    ) -> "tuple[Appended | CauceError, asyncio.Future[CauceError | None]]":
        """Append now; the future is done when it is acknowledged, with the error if any."""
        told: asyncio.Future[CauceError | None] = asyncio.get_running_loop().create_future()
        one = PartitionAppend(partition_id(partition), [(header_of(batch), batch)], acks, told.set_result)
        return self.leaders.appender.append([one], 1_000)[0], told


def run(body: Callable[[WriteSide], Awaitable[None]], make: Callable[[], WriteSide] = WriteSide) -> None:
    """Run a test inside a loop with a write side of its own."""

    async def whole() -> None:
        side = make()
        await side.begin()
        try:
            async with asyncio.timeout(30):
                await body(side)
        finally:
            await side.end()

    asyncio.run(whole())


async def until(condition: Callable[[], bool]) -> None:
    """Poll, with a deadline far beyond what it takes."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  nothing announces it
            await asyncio.sleep(0.002)
