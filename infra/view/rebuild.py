"""Rebuild a view that was lost from the bucket: topics, settings, and of every partition extents, producers and the
version of its manifest.

Sessions and leaders are not in it: nodes register again and tell what they lead once they see the new incarnation.
Consumer offsets neither: coordinators replay their partitions.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Protocol, Self
from uuid import UUID

from infra.all_of import all_of
from infra.clock import SYSTEM_CLOCK, Clock
from infra.cluster.producer_ids import pass_over
from infra.cluster.settings import all_settings
from infra.cluster.topics import TopicLedger
from infra.errors import Unavailable
from infra.partition import PartitionId
from infra.store.port import ObjectStore
from infra.view.bucket_log import BucketLog, BucketLogs, ReadExtents
from infra.view.port import View, ViewLost

_log = logging.getLogger(__name__)

_LOCK_TTL_MS = 15_000
_WAIT_S = 0.2  # between two looks at what another node rebuilds
_WRITES_AT_ONCE = 32


class RebuildableView(View, Protocol):
    """A view as the rebuild needs it."""

    def sibling(self) -> Self:
        """Another client of the same server: what the holder of the lock may, this node's other calls may not."""

    async def keep_rebuild(self, owner: str, ttl_ms: int) -> bool:
        """Hold the recovery lock for another ttl_ms; False when it is lost."""

    async def wipe(self, owner: str) -> None:
        """Forget everything, beginning with the incarnation. Needs the recovery lock."""


async def rebuild(
    view: RebuildableView,
    store: ObjectStore,
    read_extents: ReadExtents,
    clock: Clock = SYSTEM_CLOCK,
    *,
    force: bool = False,
) -> str:
    """Bring the view to an incarnation that is whole, and use it. Answers that incarnation.

    Another node's rebuild is waited for. `force` rebuilds a view that looks whole. Raises `Unavailable` (`ViewLost`
    too) when bucket or Redis fails meanwhile; the view then has no incarnation, and the call may be repeated.
    """
    owner = clock.token()
    replaced = await view.incarnation() if force else None
    own = view.sibling()
    try:
        while (known := await view.incarnation()) == replaced:
            if await own.begin_rebuild(owner, _LOCK_TTL_MS):
                async with _lock_kept(own, owner):
                    known = await view.incarnation()
                    if known == replaced:  # nobody else finished between our look and our lock
                        known = await _rebuild(own, store, read_extents, clock, owner)
                break
            await asyncio.sleep(_WAIT_S)
    finally:
        await own.close()
    if known is None:
        raise Unavailable("the view was lost again while it was rebuilt")
    await view.use(known)
    return known


async def repair_partition(
    view: View, store: ObjectStore, read_extents: ReadExtents, partition: PartitionId
) -> BucketLog:
    """Put into the view what the bucket says of one partition (a publish that leaves a gap asks for it)."""
    log = await BucketLogs(store, read_extents).read_one(partition)
    await _put(view, partition, log)
    return log


async def _put(view: View, partition: PartitionId, log: BucketLog) -> None:
    await view.put_partition(partition, log.published)
    if log.manifest.version >= 0:
        await view.put_manifest(partition, log.manifest.version)


async def _rebuild(
    view: RebuildableView, store: ObjectStore, read_extents: ReadExtents, clock: Clock, owner: str
) -> str:
    _log.info("the view is empty: building it from the bucket")
    stages = _Stages(clock)
    await view.wipe(owner)  # nobody uses it from now on
    topics = await TopicLedger(store, view, clock).all()
    settings = await all_settings(store)
    stages.passed("topics and settings")
    living = {topic_id for topic_id, (_, record) in topics.items() if record.deleted_ms is None}
    logs = await BucketLogs(store, read_extents, tolerant=True, passed=stages.passed).read_all(living)
    await _pass_over_producer_ids(store, logs.values())
    await view.wipe(owner)  # an older copy with our lock may have come in its place: reading takes long
    await _put_partitions(view, logs)
    await _put_catalogue(
        view,
        {topic_id: (version, record.encode()) for topic_id, (version, record) in topics.items()},
        {key: (entry.number, entry.body) for key, entry in settings.items()},
    )
    incarnation = clock.token()
    await view.install(owner, incarnation)
    stages.passed("telling the view")
    level = logging.WARNING if living else logging.INFO  # a new cluster has lost nothing
    _log.log(level, "built the view: incarnation %s, %d topics, %d partitions", incarnation, len(living), len(logs))
    _log.info("the building took %s", stages)
    return incarnation


class _Stages:
    """How long each stage of a rebuild took, for the log."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since = clock.monotonic()
        self._seconds: dict[str, float] = {}

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in self._seconds.items())
        return f"{sum(self._seconds.values()):.2f} s: {parts}"

    def passed(self, stage: str) -> None:
        """A stage is over."""
        now = self._clock.monotonic()
        self._seconds[stage] = self._seconds.get(stage, 0.0) + now - self._since
        self._since = now


async def _pass_over_producer_ids(store: ObjectStore, logs: Iterable[BucketLog]) -> None:
    """What the log holds of producers must have been given out: a bucket without the record of that is a copy."""
    producers = [entry.producer_id for log in logs for entry in log.published.producers]
    if producers and await pass_over(store, max(producers)):
        _log.warning("producer ids up to %d are in use, though the bucket does not say so: passed over", max(producers))


async def _put_partitions(view: View, logs: Mapping[PartitionId, BucketLog]) -> None:
    gate = asyncio.Semaphore(_WRITES_AT_ONCE)

    async def put(partition: PartitionId, log: BucketLog) -> None:
        async with gate:
            await _put(view, partition, log)

    await all_of(put(partition, log) for partition, log in logs.items())


async def _put_catalogue(
    view: View,
    topics: Mapping[UUID, tuple[int, bytes]],
    settings: Mapping[tuple[str, str], tuple[int, bytes]],
) -> None:
    """Tell the newest record of each topic and setting, and see that they stay.

    What a server that fails over to a lagging replica forgets of a partition is mended by its leader's next publish. A
    topic that it forgets is unknown to all nodes until somebody compares the view with the bucket.
    """
    for topic_id, (version, body) in topics.items():
        await view.put_topic(topic_id, version, body)
    for (kind, name), (version, body) in settings.items():
        await view.put_setting(kind, name, version, body)
    if await view.topics() != topics or await view.settings() != settings:
        raise ViewLost("the view has forgotten topics or settings that it was just told")


@contextlib.asynccontextmanager
async def _lock_kept(view: RebuildableView, owner: str) -> AsyncIterator[None]:
    """Keep the recovery lock while the body runs, and let it lapse at once after it, also when that failed.

    Once it is lost, with all that the view was told under it, it stays lost: every call of the body raises `ViewLost`.
    """

    async def keep() -> None:
        while True:
            await asyncio.sleep(_LOCK_TTL_MS / 3000)
            with contextlib.suppress(Unavailable):
                await view.keep_rebuild(owner, _LOCK_TTL_MS)

    keeping = asyncio.create_task(keep())
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        with contextlib.suppress(Unavailable):
            await view.keep_rebuild(owner, 1)
