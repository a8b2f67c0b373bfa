"""The compactor's loop: whose turn it is, a look at it, then every step in order; a fresh look after each change.

A lease in the view spares two nodes the same work; the manifest ledger alone decides what counts. One partition's
error never stops the others: it is logged once, and its next turn comes later. While a node of an earlier release is
there, nothing is done.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from compactor.meter import Meter
from compactor.partition import PartitionWork, Step
from compactor.replace import Replacer
from compactor.schedule import Schedule
from compactor.upgrade import Upgrade
from infra.clock import Clock
from infra.cluster.state import ClusterState, Topic
from infra.errors import CauceError, Unavailable
from infra.partition import PartitionId
from infra.topic_config import TopicSettings
from infra.view.port import View

log = logging.getLogger(__name__)

_AT_ONCE = 3  # partitions: while one is decoded, others wait for the store
_MOST_ROUNDS = 16  # of a step in a turn, so that a busy partition leaves the others theirs
_LEASE_MS = 30_000
_GIVE_SECONDS = 1.0  # how long a stop waits for the view


@dataclass(frozen=True, slots=True)
class Chore:
    """Work of a node that belongs to no partition: done every so often, whatever its last outcome was."""

    name: str
    interval_seconds: float
    run: Callable[[], Awaitable[object]]


class Worker:
    """One for a compactor process."""

    def __init__(
        self,
        *,
        state: ClusterState,
        view: View,
        replacer: Replacer,
        steps: Sequence[Step],
        schedule: Schedule,
        settings_of: Callable[[Topic], TopicSettings],
        owner: str,
        interval_seconds: float,
        clock: Clock,
        meter: Meter,
        chores: Sequence[Chore] = (),
        on_gone: Callable[[PartitionId], None] = lambda partition: None,
    ) -> None:
        """`owner`: names this process in work leases; `on_gone` is told of partitions that exist no more."""
        self._state = state
        self._view = view
        self._replacer = replacer
        self._steps = steps
        self._schedule = schedule
        self._settings_of = settings_of
        self._owner = owner
        self._interval = interval_seconds
        self._clock = clock
        self._meter = meter
        self._chores = chores
        self._on_gone = on_gone
        self._seen: dict[PartitionId, tuple[int, int]] = {}  # end offset, manifest version
        self._stale = True  # the schedule is to follow the state
        self._away = False
        self._upgrade = Upgrade()
        state.on_change(self._changed)

    async def run(self) -> None:
        """Work until cancelled; what is under way then is abandoned."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(self._take_turns())
            for chore in self._chores:
                group.create_task(self._keep_doing(chore))

    def _changed(self) -> None:
        self._stale = True

    async def _take_turns(self) -> None:
        while True:
            if self._stale:
                self._follow()
            partition = None if self._waits() else self._schedule.take(self._clock.monotonic())
            if partition is None:
                await asyncio.sleep(self._interval * self._clock.uniform(0.2, 0.4))
            else:
                await self._turn(partition)

    def _waits(self) -> bool:
        return self._upgrade.under_way(self._state.behind(), self._clock.monotonic())

    def _follow(self) -> None:
        self._stale = False
        partitions = [
            PartitionId(topic.topic_id, number) for topic in self._state.topics() for number in range(topic.partitions)
        ]
        compactors = [node.session.node_id for node in self._state.nodes() if "compactor" in node.roles]
        for gone in self._schedule.follow(partitions, compactors, self._clock.monotonic()):
            self._seen.pop(gone, None)
            self._replacer.forget(gone)
            self._on_gone(gone)

    async def _turn(self, partition: PartitionId) -> None:
        try:
            news = await self._work(partition)
        except Unavailable as error:
            self._schedule.failed(partition, self._clock.monotonic())
            self._is_away(error)
        except Exception as error:  # noqa: BLE001 (whatever is wrong with one partition must not stop the others)
            self._failed(partition, error)
        else:
            self._schedule.done(partition, self._clock.monotonic(), news=news)
            self._is_away(None)

    def _is_away(self, error: Unavailable | None) -> None:
        """The store or the view does not answer, or does again: said once, not for each partition."""
        if error is not None and not self._away:
            log.warning("compaction waits: %s", error)
        elif error is None and self._away:
            log.warning("compaction goes on")
        self._away = error is not None

    def _failed(self, partition: PartitionId, error: Exception) -> None:
        self._meter.add("failures")
        if self._schedule.failed(partition, self._clock.monotonic()) == 1:
            known = isinstance(error, CauceError | OSError)
            log.error("partition %s: %s; tried again later", partition, error, exc_info=None if known else error)

    async def _work(self, partition: PartitionId) -> bool:
        """One turn; whether there was anything new."""
        topic = self._state.topic_by_id(partition.topic_id)
        work = None if topic is None else await self._look(partition, topic)
        if topic is None or work is None:
            return False
        news = self._note(work)
        async with self._lease(f"compact/{partition}") as taken:
            if not taken:
                return news
            await self._catch_up_view(work)
            for step in self._steps:
                for _ in range(_MOST_ROUNDS):
                    if await step.run(work) is None:
                        break
                    news = True
                    work = await self._look(partition, topic) or work
            self._note(work)
        return news

    async def _look(self, partition: PartitionId, topic: Topic) -> PartitionWork | None:
        """None when nothing was ever written to it. Asks the bucket only for what the view says is new."""
        published = await self._view.partition(partition)
        version = self._state.manifest_version(partition)
        if version < 0 and not published.end_offset:
            return None
        manifest = await self._replacer.at_least(partition, version)
        return PartitionWork(partition, topic, self._settings_of(topic), manifest, published)

    def _note(self, work: PartitionWork) -> bool:
        seen = work.published.end_offset, work.manifest.version
        before, self._seen[work.partition] = self._seen.get(work.partition), seen
        return before != seen

    async def _catch_up_view(self, work: PartitionWork) -> None:
        """Tell the view again what it was not told, or has forgotten."""
        manifest, extents = work.manifest, work.published.extents
        untrimmed = bool(extents) and extents[0].last_offset < min(manifest.floor, manifest.producers_upto)
        if untrimmed or self._state.manifest_version(work.partition) < manifest.version:
            await self._replacer.tell(work.partition, manifest)

    @contextlib.asynccontextmanager
    async def _lease(self, name: str) -> AsyncIterator[bool]:
        if not await self._view.take_work(name, self._owner, _LEASE_MS):
            yield False
            return
        renewing = asyncio.create_task(self._renew(name))
        try:
            yield True
        finally:
            renewing.cancel()
            with contextlib.suppress(CauceError, TimeoutError):  # it lapses by itself
                async with asyncio.timeout(_GIVE_SECONDS):
                    await self._view.give_work(name, self._owner)

    async def _renew(self, name: str) -> None:
        while True:
            await asyncio.sleep(_LEASE_MS / 3000)
            with contextlib.suppress(CauceError):  # work goes on without a lease: the ledger decides
                await self._view.take_work(name, self._owner, _LEASE_MS)

    async def _keep_doing(self, chore: Chore) -> None:
        failing = waiting = False
        while True:
            await asyncio.sleep(chore.interval_seconds * self._clock.uniform(0.9, 1.1))
            if self._waits():
                continue
            try:
                await chore.run()
                failing = waiting = False
            except Unavailable as error:
                if not waiting:
                    log.warning("%s waits: %s", chore.name, error)
                waiting = True
            except Exception as error:
                if not failing:
                    log.error("%s: %s; tried again later", chore.name, error, exc_info=error)
                failing = True
