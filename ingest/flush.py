"""Carries out flushes: build a batch segment, PUT it, look for the fence, publish in order, acknowledge.

Several are in the air at once; each publishes after the one before it. The store and the view may be away for as long
as they like: a flush tries until it succeeds or the session is over. A key is sent with one body only, for
sequences are used once a session. What to flush and when is decided in `flush_plan`.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from infra.clock import Clock
from infra.errors import CauceError, Fenced
from infra.object_key import BatchSegmentKey
from infra.partition import SessionId
from infra.ports import SessionGuard
from infra.segment.extent import FlushedExtent
from infra.segment.holders import Holders, carries_holders
from infra.store.port import Buffer, ObjectStore
from ingest.acks import complete_all
from ingest.backoff import until_available
from ingest.flush_plan import FlushPolicy, FlushSchedule
from ingest.last_holders import LastHolders
from ingest.observer import IngestObserver
from ingest.partition_log import FlushPart, PartitionLog
from ingest.publish import Publisher

_log = logging.getLogger(__name__)


class BuiltSegment(Protocol):
    """A batch segment ready to be sent."""

    @property
    def body(self) -> Buffer | Sequence[Buffer]: ...
    @property
    def flushed(self) -> Sequence[FlushedExtent]: ...


Build = Callable[[str, SessionId, Sequence[FlushPart], Holders | None], BuiltSegment]
"""Builds the segment of a key, which tells of holders when it is given any. Called on a thread."""


@dataclass(frozen=True, slots=True)
class _Flight:
    guard: SessionGuard
    key: str
    parts: Sequence[FlushPart]
    holders: Holders | None
    before: "asyncio.Future[bool] | None"  # the flight to publish after; True when it did
    published: "asyncio.Future[bool]"

    @property
    def session(self) -> SessionId:
        return self.guard.session

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)


class Flusher:
    """Flushes for one node. `on_published` and `on_lost` are told on the event loop."""

    def __init__(
        self,
        *,
        store: ObjectStore,
        publisher: Publisher,
        build: Build,
        policy: FlushPolicy,
        clock: Clock,
        observer: IngestObserver,
        on_published: Callable[[], None],
        on_lost: Callable[[SessionId, CauceError], None],
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._build = build
        self._policy = policy
        self._clock = clock
        self._observer = observer
        self._on_published = on_published
        self._on_lost = on_lost
        self._schedule = FlushSchedule(policy)
        self._changed = asyncio.Event()
        self._flights: dict[asyncio.Task[None], _Flight] = {}
        self._sequences: dict[SessionId, int] = {}
        self._holders = LastHolders(0)  # of the session of the last flight
        self._last: tuple[SessionId, asyncio.Future[bool]] | None = None
        self._task: asyncio.Task[None] | None = None
        self._threads = ThreadPoolExecutor(1, "flush")

    def start(self) -> None:
        """Begin to flush what is noted. Needs a running loop."""
        self._task = asyncio.create_task(self._run(), name="flusher")

    async def stop(self) -> None:
        """Give up whatever is in the air; release leases first to lose nothing of it."""
        tasks = [task for task in (self._task, *self._flights) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._threads.shutdown(wait=False)

    @property
    def in_flight(self) -> int:
        """Flushes in the air."""
        return len(self._flights)

    def note(self, log: PartitionLog) -> None:
        """The WAL has more of this log."""
        if self._schedule.note(log, self._clock.monotonic()):
            self._changed.set()

    def hurry(self, log: PartitionLog) -> None:
        """Flush this log without delay from now on (release)."""
        self._schedule.hurry(log)
        self._changed.set()

    def forget(self, log: PartitionLog) -> None:
        """The log is closed."""
        self._schedule.forget(log)

    def abandon(self, session: SessionId) -> None:
        """The session is over: none of its flushes will be published. What lands in the bucket yet is void."""
        current = asyncio.current_task()
        for task, flight in tuple(self._flights.items()):
            if flight.session == session and task is not current:
                task.cancel()

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            due_in = self._schedule.due_in(self._clock.monotonic())
            if due_in == 0 and self._policy.may_launch([flight.size for flight in self._flights.values()]):
                self._launch()
                continue
            try:
                async with asyncio.timeout(due_in or None):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _launch(self) -> None:
        parts = self._schedule.take(self._clock.monotonic())
        if not parts:
            return
        guard = parts[0].log.guard  # the same for all: a new session begins with no logs
        session = guard.session
        sequence = self._sequences.get(session, 0)
        self._sequences[session] = sequence + 1
        before = self._last[1] if self._last is not None and self._last[0] == session else None
        if before is None:
            self._holders = LastHolders(sequence)
        flight = _Flight(
            guard,
            BatchSegmentKey(session, sequence).key,
            parts,
            self._holders.holders() if carries_holders(sequence) else None,
            before,
            asyncio.get_running_loop().create_future(),
        )
        self._holders.note(sequence, [(one.log.partition, one.log.leader_epoch, one.last_offset) for one in parts])
        self._last = (session, flight.published)
        task = asyncio.create_task(self._fly(flight), name=f"flush {flight.key}")
        self._flights[task] = flight
        task.add_done_callback(self._landed)

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._flights.pop(task, None)
        self._changed.set()

    async def _fly(self, flight: _Flight) -> None:
        try:
            await self._carry(flight)
        except CauceError as error:
            self._lose(flight, error)
        except Exception as error:  # noqa: BLE001  whatever it is, those who wait must not be acknowledged
            _log.exception("%s cannot be flushed", flight.key)
            self._lose(flight, Fenced(f"{flight.key} cannot be flushed: {error}"))
        finally:
            if not flight.published.done():
                flight.published.set_result(False)

    async def _carry(self, flight: _Flight) -> None:
        """The order that must not change: object, fence, predecessor, publish, acknowledge."""
        started = self._clock.monotonic()
        loop = asyncio.get_running_loop()
        built = await loop.run_in_executor(
            self._threads, self._build, flight.key, flight.session, flight.parts, flight.holders
        )
        await until_available(
            self._clock, f"the PUT of {flight.key}", lambda: self._store.create(flight.key, built.body)
        )
        await until_available(self._clock, "the look for the fence", flight.guard.look_for_fence)
        in_bucket = self._clock.monotonic()
        self._observer.flushed(in_bucket - started, flight.size, len(flight.parts))
        if flight.before is not None and not await asyncio.shield(flight.before):
            raise Fenced(f"{flight.key} cannot be published: an earlier segment was not")
        by_partition = {part.log.partition: part.log for part in flight.parts}
        flushed = [(by_partition[one.extent.partition], one) for one in built.flushed]
        await self._publisher.publish(flight.session, flight.key, flushed)
        self._observer.published(self._clock.monotonic() - in_bucket)
        flight.published.set_result(True)
        for log, one in flushed:
            if not log.closed:
                complete_all(log.on_published(one))
        self._on_published()

    def _lose(self, flight: _Flight, error: CauceError) -> None:
        if not flight.published.done():
            flight.published.set_result(False)
        self._on_lost(flight.session, error)
