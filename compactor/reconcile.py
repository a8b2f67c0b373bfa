"""Garbage collection, on one compactor node at a time: lists, reads ledgers, judges, and deletes after a grace.

The order is what makes it safe: objects are listed, then footers are read, then the ledgers (`ledger_reader` says why),
then each verdict is noted. Only what this process has seen dead for the whole grace goes, so whoever read an older
manifest has had that long to finish. A verdict is made anew in the very cycle that deletes.

Work is bounded in each cycle and goes on where it stopped. Two at once do no harm: deletes are repeatable, and both
judge for themselves.
"""

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from compactor.garbage import DeadSince, ExtentSpan, Ledgers, record_segment_is_dead
from compactor.garbage_limits import GarbageLimits
from compactor.gone_topics import GoneTopics
from compactor.ledger_reader import Damage, LedgerReader
from compactor.replace import Replacer
from compactor.segment_memory import SegmentMemory
from compactor.sweep import Listed, Stretch, Sweep, topic_of
from compactor.unnamed_segments import UnnamedSegments
from infra.all_of import all_of
from infra.clock import Clock
from infra.cluster.topics import TopicLedger
from infra.errors import BadStart, Corrupt, NotFound
from infra.object_key import BatchSegmentKey, ProbeKey, RecordSegmentKey
from infra.partition import PartitionId
from infra.segment.footer import read_extents
from infra.store.port import ObjectStore
from infra.view.bucket_log import ReadExtents
from infra.view.port import View

log = logging.getLogger(__name__)

WORK = "garbage"
_FOOTERS_AT_ONCE = 16

NamedByTables = Callable[[UUID], Awaitable[Collection[str]]]
"""The record segments of a topic that a snapshot of its table still names."""


@dataclass(frozen=True, slots=True)
class GarbageReport:
    """What one cycle found and did."""

    held: bool = True  # False: another node does the work, nothing was looked at
    listed: int = 0
    deleted: tuple[str, ...] = ()
    waiting: int = 0  # dead objects in their grace
    purged: tuple[UUID, ...] = ()  # topics that cannot be undeleted from now on
    unknown: tuple[str, ...] = ()  # keys that are none of ours
    damaged: tuple[Damage, ...] = ()
    missing: tuple[str, ...] = ()  # record segments that a manifest names and the bucket has not


class Garbage:
    """One a compactor node. Call `run` every `interval_ms`."""

    def __init__(
        self,
        store: ObjectStore,
        view: View,
        clock: Clock,
        replacer: Replacer,
        limits: GarbageLimits,
        *,
        owner: str,
        read_extents: ReadExtents = read_extents,
        named_by_tables: NamedByTables | None = None,
    ) -> None:
        """`owner` names this node among those that would do the work. Without `named_by_tables` there are no tables."""
        self._store = store
        self._view = view
        self._clock = clock
        self._limits = limits
        self._owner = owner
        self._read_extents = read_extents
        self._named_by_tables = named_by_tables
        self._unnamed = UnnamedSegments(store, replacer, read_extents)
        topics = TopicLedger(store, view, clock)
        self._sweep = Sweep(store)
        self._ledgers = LedgerReader(store, topics)
        self._segments = SegmentMemory()
        self._dead = DeadSince[str](limits.noted)
        self._topics = GoneTopics(store, view, clock, topics, limits)
        self._unreadable: dict[str, Damage] = {}  # batch segments
        self._told: set[str] = set()

    async def run(self) -> GarbageReport:
        """One cycle. Raises `Unavailable`; what was done by then is done, and the next cycle goes on from there."""
        ttl_ms = 3 * self._limits.interval_ms
        if not await self._view.take_work(WORK, self._owner, ttl_ms):
            return GarbageReport(held=False)
        stretch = await self._sweep.list(self._limits.listed)
        await self._learn(stretch)
        ledgers = await self._ledgers.read(*self._concerned(stretch))
        damaged = [*self._ledgers.damaged, *self._judge(stretch, ledgers)]
        deleted = await self._delete_ripe(stretch, ledgers)
        purged = await self._topics.purge(ledgers)
        deleted += await self._topics.clear(ledgers, self._ledgers.seen | _topics_in(stretch))
        missing = await self._missing(stretch, ledgers)
        self._sweep.passed(stretch)
        self._tell(deleted, damaged, missing)
        return GarbageReport(
            listed=len(stretch.objects),
            deleted=tuple(deleted),
            waiting=len(self._dead),
            purged=tuple(purged),
            unknown=stretch.unknown,
            damaged=tuple(damaged),
            missing=tuple(missing),
        )

    # What was listed

    async def _learn(self, stretch: Stretch) -> None:
        """Read the footers of batch segments that nothing is known of, as many as a cycle may."""
        listed = {one.info.key for one in stretch.objects if isinstance(one.key, BatchSegmentKey)}
        for key in [key for key in self._unreadable if stretch.covers(key) and key not in listed]:
            del self._unreadable[key]
        unread = [
            key
            for key in sorted(listed)
            if key not in self._segments and key not in self._dead and key not in self._unreadable
        ]
        unread = unread[: self._limits.footers]
        for begin in range(0, len(unread), _FOOTERS_AT_ONCE):
            await all_of(self._learn_one(key) for key in unread[begin : begin + _FOOTERS_AT_ONCE])

    async def _learn_one(self, key: str) -> None:
        try:
            flushed = await self._read_extents(self._store, key)
        except NotFound:
            return
        except (Corrupt, BadStart) as error:
            self._unreadable[key] = Damage(key, error.message)
            return
        self._segments.learn(key, map(ExtentSpan.of, flushed))

    def _concerned(self, stretch: Stretch) -> tuple[set[PartitionId], set[UUID]]:
        """Partitions whose ledgers are needed, and all topics of which something was listed."""
        partitions: set[PartitionId] = set()
        for one in stretch.objects:
            if isinstance(one.key, RecordSegmentKey):
                partitions.add(one.key.partition)
            elif isinstance(one.key, BatchSegmentKey):
                partitions.update(span.partition for span in self._segments.spans(one.info.key))
        return partitions, _topics_in(stretch)

    def _judge(self, stretch: Stretch, ledgers: Ledgers) -> list[Damage]:
        """Note who is dead; answers what is damaged."""
        now = self._clock.monotonic()
        self._dead.forget(self._ledgers.removed)  # named until just now: their grace begins now
        damaged = [one for key, one in self._unreadable.items() if stretch.covers(key)]
        listed = set[str]()
        for one in stretch.objects:
            key = one.info.key
            listed.add(key)
            if isinstance(one.key, BatchSegmentKey):
                self._dead.note(key, key in self._dead or self._segments.judge(key, ledgers), now)
            elif isinstance(one.key, RecordSegmentKey):
                self._dead.note(key, record_segment_is_dead(key, one.key.partition, ledgers), now)
                damaged.extend(_other_size(one, one.key.partition, ledgers))
            elif isinstance(one.key, ProbeKey):
                self._dead.note(key, True, now)
        self._dead.forget(key for key in self._dead.noted() if stretch.covers(key) and key not in listed)
        self._segments.forget(key for key in self._segments.remembered() if stretch.covers(key) and key not in listed)
        return damaged

    # What goes

    async def _delete_ripe(self, stretch: Stretch, ledgers: Ledgers) -> list[str]:
        grace_seconds, now = self._limits.grace_ms / 1000, self._clock.monotonic()
        ripe = [one for one in stretch.objects if self._dead.is_ripe(one.info.key, grace_seconds, now)]
        ripe = ripe[: self._limits.deletes]
        keys = [one.info.key for one in ripe if not isinstance(one.key, RecordSegmentKey)]
        by_partition = defaultdict[PartitionId, list[Listed]](list)
        for one in ripe:
            if isinstance(one.key, RecordSegmentKey):
                by_partition[one.key.partition].append(one)
        for partition, segments in by_partition.items():
            keys += await self._deletable(partition, segments, ledgers)
        await self._store.delete(keys)
        self._dead.forget(keys)
        return keys

    async def _deletable(self, partition: PartitionId, segments: Sequence[Listed], ledgers: Ledgers) -> list[str]:
        """Those record segments of a partition that nobody can bring in any more and no table names."""
        known = ledgers.partitions.get(partition)
        if known is None:
            return [one.info.key for one in segments] if ledgers.is_gone(partition.topic_id) else []
        made = {one.key: one.info.modified_ms for one in segments if isinstance(one.key, RecordSegmentKey)}
        keys = await self._unnamed.deletable(partition, made, known)
        if not keys or self._named_by_tables is None:
            return keys
        named = await self._named_by_tables(partition.topic_id)
        return [key for key in keys if key not in named]

    # What should be there

    async def _missing(self, stretch: Stretch, ledgers: Ledgers) -> list[str]:
        """Record segments that the ledgers name, were not listed, and are really not there."""
        listed = {one.info.key for one in stretch.objects}
        unlisted = sorted(
            key
            for known in ledgers.partitions.values()
            for key in known.sizes
            if stretch.covers(key) and key not in listed
        )
        return [key for key in unlisted[: self._limits.footers] if await self._store.head(key) is None]

    def _tell(self, deleted: Sequence[str], damaged: Iterable[Damage], missing: Iterable[str]) -> None:
        """Into the log: each damage once."""
        if deleted:
            log.info("deleted %d objects that nothing needs any more", len(deleted))
        problems = {one.key: f"{one.key} is damaged: {one.problem}" for one in damaged}
        problems |= {key: f"{key} is gone, and a manifest names it: run `cauce bucket check`" for key in missing}
        for key in problems.keys() - self._told:
            log.error("%s", problems[key])
        self._told = set(problems)


def _topics_in(stretch: Stretch) -> set[UUID]:
    return {topic_id for one in stretch.objects if (topic_id := topic_of(one.key)) is not None}


def _other_size(one: Listed, partition: PartitionId, ledgers: Ledgers) -> list[Damage]:
    known = ledgers.partitions.get(partition)
    size = None if known is None else known.sizes.get(one.info.key)
    if size is None or size == one.info.size:
        return []
    return [Damage(one.info.key, f"it has {one.info.size} bytes, its manifest says {size}")]
