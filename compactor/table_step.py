"""Tables as a step of the worker: a topic's table follows its manifests, beside compaction and never in its way.

A step only begins what is due, and a task of its own goes on with it: a catalog that fails or hangs costs the table
time, and nobody else. Nothing is asked, of bucket or catalog, while manifests stand still and no snapshot expires.
A work lease spares two nodes the same commit; the catalog decides between them.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from compactor.meter import Meter
from compactor.partition import PartitionWork
from compactor.replace import Replacer
from compactor.table import TableGoal, goal_of
from infra.clock import Clock
from infra.cluster.manifest import Manifest
from infra.cluster.state import ClusterState, Topic
from infra.cluster.topics import TopicLedger
from infra.errors import CauceError
from infra.object_key import TABLES, TableKey, parse_key
from infra.partition import PartitionId
from infra.store.port import ObjectStore
from infra.table_config import ICEBERG
from infra.topic_config import TopicSettings
from infra.view.port import View

if TYPE_CHECKING:
    from compactor.table_keeper import TableFollowed, TableKeeper

T = TypeVar("T")

log = logging.getLogger(__name__)

_LEASE_MS = 30_000  # a commit takes seconds; without the lease it goes on all the same
_FIRST_RETRY_SECONDS = 5.0
_MOST_DOUBLINGS = 7  # about ten minutes


@dataclass(frozen=True, slots=True)
class TableLimits:
    """Of all tables of a process."""

    commit_interval_seconds: float
    snapshot_retention_ms: int
    grace_ms: int  # metadata that nothing needs is deleted when it is so old


@dataclass(slots=True)
class _Following:
    """One topic's table, as far as this process has brought it."""

    seen: list[int] = field(default_factory=list)  # versions of the manifests that it holds
    not_before: float = 0.0  # monotonic seconds
    expiry_ms: int | None = None
    failures: int = 0
    task: "asyncio.Task[None] | None" = None


class _Everything(Collection[str]):
    """The answer when it is not known what tables name."""

    def __contains__(self, key: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class Tables:
    """Implements `Step`, and keeps the tables of all topics. One for a compactor process."""

    def __init__(
        self,
        *,
        store: ObjectStore,
        location: str,
        catalog: Mapping[str, str],
        folder: Path,
        limits: TableLimits,
        state: ClusterState,
        settings_of: Callable[[Topic], TopicSettings],
        topics: TopicLedger,
        replacer: Replacer,
        view: View,
        owner: str,
        clock: Clock,
        meter: Meter,
    ) -> None:
        """`location`: of the bucket, as engines name it; `catalog`: properties, empty for a file in `folder`."""
        self._store = store
        self._location = location
        self._catalog = dict(catalog)
        self._folder = folder
        self._limits = limits
        self._state = state
        self._settings_of = settings_of
        self._topics = topics
        self._replacer = replacer
        self._view = view
        self._owner = owner
        self._clock = clock
        self._meter = meter
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="tables")
        self._keeper: TableKeeper | None = None
        self._following: dict[UUID, _Following] = {}
        self._unknown = False  # the last question what tables name had no answer

    async def run(self, work: PartitionWork) -> None:
        """As `Step.run`; manifests never change here, and what is begun goes on by itself."""
        if work.settings.table != ICEBERG:
            return
        one = self._following.setdefault(work.topic.topic_id, _Following())
        if one.task is not None or self._clock.monotonic() < one.not_before:
            return
        versions = self._versions(work, one)
        expires = one.expiry_ms is not None and self._clock.now_ms() > one.expiry_ms
        if expires or versions != one.seen:
            one.task = asyncio.create_task(self._follow(work.topic, one, versions), name=f"table of {work.topic.name}")

    def forget(self, partition: PartitionId) -> None:
        """The partition is gone; `sweep` finds what is left of its topic's table."""
        self._following.pop(partition.topic_id, None)

    async def settle(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*(one.task for one in self._following.values() if one.task is not None))

    async def close(self) -> None:
        """Abandon what is under way."""
        tasks = [one.task for one in self._following.values() if one.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._keeper is not None:
            self._keeper.close()

    async def named(self, topic_id: UUID) -> Collection[str]:
        """Keys of the record segments of a topic that a live snapshot of its table names: these must not be deleted.

        When the catalog does not answer, and for a topic that may yet be undeleted, everything counts as named.
        """
        topic = self._state.topic_by_id(topic_id)
        if topic is None:
            return _Everything()
        if self._settings_of(topic).table != ICEBERG:
            return ()
        try:
            keys = await self._on_thread(lambda keeper: keeper.named(topic_id, topic.name))
        except Exception as error:  # noqa: BLE001 (whatever fails, what a table may name must stay)
            if not self._unknown:
                log.error("what tables name is not known, so no record segment of theirs is deleted: %s", error)
            self._unknown = True
            return _Everything()
        self._unknown = False
        return keys

    async def sweep(self) -> None:
        """Delete metadata that no table needs, and drop the tables of deleted topics and of topics that have none now.

        One LIST when there are no tables. Raises what catalog and store raise.
        """
        async with self._lease("tables") as taken:
            if taken:
                for topic_id in sorted(await self._found()):
                    await self._sweep_one(topic_id)

    async def _found(self) -> set[UUID]:
        """Topics with files of a table in the bucket."""
        keys = [parse_key(info.key) async for info in self._store.list(TABLES)]
        return {key.topic_id for key in keys if isinstance(key, TableKey)}

    async def _sweep_one(self, topic_id: UUID) -> None:
        topic = self._state.topic_by_id(topic_id)
        if topic is None:
            if await self._is_gone(topic_id):
                await self._on_thread(lambda keeper: keeper.drop(topic_id, with_files=False))
        elif self._settings_of(topic).table != ICEBERG:
            self._following.pop(topic_id, None)
            await self._on_thread(lambda keeper: keeper.drop(topic_id, with_files=True))
            log.info("topic %r has no table any more", topic.name)
        else:
            now_ms, retention_ms = self._clock.now_ms(), self._limits.snapshot_retention_ms
            grace_ms, name = self._limits.grace_ms, topic.name
            await self._on_thread(lambda keeper: keeper.sweep(topic_id, name, now_ms, retention_ms, grace_ms))

    def _versions(self, work: PartitionWork, one: _Following) -> list[int]:
        """Versions of all manifests of a topic; what this process knew before is not forgotten with the view."""
        topic_id = work.topic.topic_id
        told = [self._state.manifest_version(PartitionId(topic_id, n)) for n in range(work.topic.partitions)]
        told[work.partition.partition] = max(told[work.partition.partition], work.manifest.version)
        seen = one.seen + [-1] * (len(told) - len(one.seen))
        return [max(pair) for pair in zip(told, seen, strict=True)]

    async def _follow(self, topic: Topic, one: _Following, versions: list[int]) -> None:
        try:
            async with self._lease(f"table/{topic.topic_id}") as taken:
                if taken:
                    await self._commit(topic, one, versions)
            one.not_before = self._clock.monotonic() + self._limits.commit_interval_seconds
            one.failures = 0
        except Exception as error:  # noqa: BLE001 (foreign catalogs raise what they like; compaction goes on)
            self._failed(topic, one, error)
        finally:
            one.task = None

    async def _commit(self, topic: Topic, one: _Following, versions: list[int]) -> None:
        goal = await self._goal(topic, versions)
        now_ms, retention_ms = self._clock.now_ms(), self._limits.snapshot_retention_ms
        followed: TableFollowed = await self._on_thread(lambda keeper: keeper.follow(goal, now_ms, retention_ms))
        one.seen, one.expiry_ms = list(goal.versions), followed.next_expiry_ms
        self._meter.add("table_commits", followed.commits)

    async def _goal(self, topic: Topic, versions: list[int]) -> TableGoal:
        manifests = [
            await self._replacer.at_least(PartitionId(topic.topic_id, number), version) if version >= 0 else Manifest()
            for number, version in enumerate(versions)
        ]
        return goal_of(topic.topic_id, topic.name, manifests)

    def _failed(self, topic: Topic, one: _Following, error: Exception) -> None:
        delay = _FIRST_RETRY_SECONDS * 2 ** min(one.failures, _MOST_DOUBLINGS)
        one.failures += 1
        one.not_before = self._clock.monotonic() + delay
        self._meter.add("table_failures")
        if one.failures == 1:
            log.error("the table of topic %r is behind; it is tried again: %s", topic.name, error)

    @asynccontextmanager
    async def _lease(self, name: str) -> AsyncIterator[bool]:
        if not await self._view.take_work(name, self._owner, _LEASE_MS):
            yield False
            return
        try:
            yield True
        finally:
            with suppress(CauceError):  # it lapses by itself
                await self._view.give_work(name, self._owner)

    async def _is_gone(self, topic_id: UUID) -> bool:
        found = await self._topics.read(topic_id)
        return found is None or found[1].deleted_ms is not None

    async def _on_thread(self, call: "Callable[[TableKeeper], T]") -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: call(self._open(loop)))

    def _open(self, loop: asyncio.AbstractEventLoop) -> "TableKeeper":
        if self._keeper is None:
            from compactor.table_keeper import TableKeeper  # loads the Iceberg library: not before there is a table

            properties = self._catalog or self._embedded()
            token = self._clock.token()
            self._keeper = TableKeeper(self._store, self._location, loop, properties, self._is_gone, token=token)
        return self._keeper

    def _embedded(self) -> dict[str, str]:
        self._folder.mkdir(parents=True, exist_ok=True)
        return {"type": "sql", "uri": f"sqlite:///{self._folder / 'catalog.sqlite'}"}
