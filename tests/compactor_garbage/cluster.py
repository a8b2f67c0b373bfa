"""A small cluster that does to one bucket whatever a real one does, and may die between any two requests.

Topics, epochs, manifests, segments and garbage collection are the real ones; leaders and compactors are reduced to the
objects that they make, in their order. What must be in the bucket, and what may be, is worked out here once more, from
the JSON of the ledgers and offset by offset, without the code under test.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

from compactor.bucket_check import BucketCheck, CheckReport
from compactor.garbage_limits import GarbageLimits
from compactor.reconcile import Garbage, GarbageReport
from compactor.replace import Replacer
from infra.cluster.extent_chain import chain_log
from infra.cluster.lease_objects import create_fence, create_release, last_epochs, read_epoch
from infra.cluster.manifest import Manifest, ManifestLedger
from infra.cluster.manifest_record import ManifestRecord, RecordSegment
from infra.cluster.records import EpochRecord
from infra.cluster.topics import TopicLedger
from infra.errors import Exists, NotFound, Refused
from infra.object_key import BatchSegmentKey, EpochKey, ProbeKey, RecordSegmentKey, new_ulid, parse_key
from infra.partition import Lease, PartitionId, SessionId
from infra.records.batch import stamp
from infra.segment.batch_segment import SegmentPart, build_batch_segment
from infra.segment.extent import FlushedExtent
from infra.segment.footer import read_extents
from infra.store.port import Buffer, ObjectInfo
from infra.view.memory import MemoryView
from infra.view.memory_server import MemoryServer
from tests.cluster.world import CountingStore, FakeClock
from tests.ingest.batches import make_batch

GRACE_MS = 3_600_000
UNDELETE_MS = 86_400_000
LIMITS = GarbageLimits(grace_ms=GRACE_MS, undelete_ms=UNDELETE_MS, interval_ms=600_000)
PARTITIONS = 2


class Crashed(Exception):
    """The process is gone: before a request, or after it, without having heard the answer."""


class FragileStore(CountingStore):
    """Dies when told to; writes down what was deleted."""

    def __init__(self, clock: FakeClock, seed: int) -> None:
        super().__init__(clock)
        self.random = Random(seed)
        self.dies_in: int | None = None  # requests
        self.dies_after = False  # the request was carried out
        self.before_delete: Callable[[Sequence[str]], None] = lambda keys: None

    async def _through(self, request: Callable[[], Awaitable[None]]) -> None:
        await self._elsewhere()
        if self.dies_in is None:
            await request()
            return
        if self.dies_in == 0:
            if self.dies_after:
                self.dies_after = False
                await request()
            raise Crashed
        self.dies_in -= 1
        await request()

    async def create(self, key: str, body: Buffer | list[Buffer]) -> None:  # type: ignore[override]
        await self._through(lambda: super(FragileStore, self).create(key, body))

    async def delete(self, keys: Sequence[str]) -> None:
        async def carry_out() -> None:
            self.before_delete(keys)
            await super(FragileStore, self).delete(keys)

        await self._through(carry_out)

    def list(self, prefix: str, *, start_after: str = ""):  # type: ignore[no-untyped-def]
        if self.dies_in == 0:
            raise Crashed
        if self.dies_in is not None:
            self.dies_in -= 1
        return super().list(prefix, start_after=start_after)

    async def get(self, key: str) -> bytes:
        await self._elsewhere()
        if self.dies_in == 0:
            raise Crashed
        return await super().get(key)

    async def _elsewhere(self) -> None:
        """Let whoever works beside this request go on, by a random number of steps."""
        for _ in range(self.random.randrange(4)):
            await asyncio.sleep(0)

    def bodies(self, prefix: str) -> dict[str, dict[str, object]]:
        """JSON objects below a prefix, in order."""
        return {key: json.loads(self._objects[key][0]) for key in self.keys(prefix)}

    def info(self, key: str) -> ObjectInfo:
        return self._info(key)


@dataclass
class Led:
    """A partition as its leader has it."""

    session: SessionId
    epoch: int
    end: int
    extents: list[FlushedExtent] = field(default_factory=list)


@dataclass
class Slow:
    """A compaction that has PUT its output and not appended its record yet."""

    partition: PartitionId
    manifest: Manifest
    record: ManifestRecord


class SmallCluster:
    """Everything that happens, as methods; each may be cut short by `Crashed`."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.clock = FakeClock()
        self.clock.seconds = 1_700_000_000.0
        self.store = FragileStore(self.clock, seed)
        self.manifests = ManifestLedger(self.store)
        self.topics: set[UUID] = set()
        self.acknowledged: dict[PartitionId, int] = {}  # exclusive end of what must be readable
        self.led: dict[PartitionId, Led] = {}
        self.old: list[tuple[PartitionId, Led]] = []  # leaders that do not know yet that they are over
        self.slow: list[Slow] = []
        self.sequences: dict[SessionId, int] = {}
        self.sessions = 0
        self.session: SessionId | None = None
        self.reports: list[GarbageReport] = []

    async def start(self) -> "SmallCluster":
        self.view = await self._view()
        self.ledger = TopicLedger(self.store, self.view, self.clock)
        self.collectors = [await self.collector(name) for name in "ab"]
        return self

    async def collector(self, name: str) -> Garbage:
        """A garbage collector that thinks it is alone."""
        view = await self._view()
        return Garbage(self.store, view, self.clock, Replacer(self.manifests, view), LIMITS, owner=name)

    async def _view(self) -> MemoryView:
        server = MemoryServer(self.clock)
        view = MemoryView(server)
        assert await view.begin_rebuild("test", 1000)
        await view.install("test", "first")
        await view.use("first")
        return view

    def discover(self) -> None:
        """Topics whose creator died are topics all the same."""
        self.topics.update(UUID(key.split("/")[1]) for key in self.store.keys("topics/"))

    # topics

    async def create(self) -> None:
        name = f"t{self.random.randrange(3)}"
        with _refused():
            await self.ledger.create(name, PARTITIONS, {})

    async def delete(self) -> None:
        topic_id = self._some_topic()
        if topic_id is not None:
            with _refused():
                await self.ledger.delete(topic_id)

    async def undelete(self) -> None:
        topic_id = self._some_topic()
        if topic_id is not None:
            with _refused():
                await self.ledger.undelete(topic_id)

    # leaders

    def _own_session(self) -> SessionId:
        """The claimant's: the last one, or a new one."""
        if self.session is None or self.random.random() < 0.5:
            self.sessions += 1
            self.session = SessionId(1 + self.sessions % 3, self.sessions)
        return self.session

    async def _fence(self, session: SessionId) -> None:
        """It is over for all its partitions; some leaders do not know yet."""
        if session == self.session:
            self.session = None
        over = [one for one, led in self.led.items() if led.session == session]
        for partition in over:
            led = self.led.pop(partition)
            if self.random.random() < 0.5:
                self.old.append((partition, led))
        await create_fence(self.store, session, session)

    async def lead(self) -> None:
        """Take over a partition; the leader before may not know it."""
        partition = self._some_partition()
        if partition is None:
            return
        before = self.led.pop(partition, None)
        if before is not None and self.random.random() < 0.5:
            self.old.append((partition, before))
        session = self._own_session()
        epoch = (await last_epochs(self.store, partition.topic_id)).get(partition)
        if epoch is None:
            record = EpochRecord(session, 0, "object", False, None)
            with _exists():
                await self.store.create(EpochKey(partition, 0).key, record.encode())
                self.led[partition] = Led(session, 0, 0)
            return
        last = await read_epoch(self.store, partition, epoch)
        if self.random.random() < 0.3:
            await create_release(self.store, Lease(partition, last.session, epoch))
        elif last.session != session:
            await self._fence(last.session)
        manifest = await self.manifests.read(partition)
        found = [one for one in await self._found() if one.extent.partition == partition]
        chained = chain_log(last.chain(epoch), found, floor=manifest.floor)
        assert not chained.gaps, chained.gaps
        end = chained.end_offset
        record = EpochRecord(session, end, "object", False, None, last.chain_before(epoch, end))
        by_place = {(one.extent.segment, one.extent.first_row): one for one in found}
        extents = [by_place[one.segment, one.first_row] for one in chained.extents]
        with _exists():
            await self.store.create(EpochKey(partition, epoch + 1).key, record.encode())
            self.led[partition] = Led(session, epoch + 1, end, extents)
            self.acknowledged[partition] = max(end, self.acknowledged.get(partition, 0))

    async def flush(self) -> None:
        """A node's flush of several partitions; what is acknowledged must stay readable."""
        sessions = sorted({led.session for led in self.led.values()})
        session = self.random.choice(sessions) if sessions else None
        chosen = [one for one in sorted(self.led) if self.led[one].session == session and self.random.random() < 0.8]
        if session is not None and chosen:
            parts = [(one, self.led[one], self.random.randrange(1, 9)) for one in chosen]
            for (partition, led, _), flushed in zip(parts, await self._put(session, parts), strict=True):
                if self.led.get(partition) is led:  # else its fence is found, and nothing acknowledged
                    led.end = flushed.extent.last_offset + 1
                    led.extents.append(flushed)
                    self.acknowledged[partition] = led.end

    async def flush_late(self) -> None:
        """A leader that is over PUTs once more: nothing of it exists."""
        if self.old:
            partition, led = self.old.pop(self.random.randrange(len(self.old)))
            await self._put(led.session, [(partition, led, self.random.randrange(1, 9))])

    async def _put(self, session: SessionId, parts: Sequence[tuple[PartitionId, Led, int]]) -> list[FlushedExtent]:
        sequence = self.sequences[session] = self.sequences.get(session, -1) + 1
        key = BatchSegmentKey(session, sequence).key
        written = []
        for partition, led, count in parts:
            batch = make_batch(count)
            stamp(batch, led.end, led.epoch)
            written.append(SegmentPart(partition, led.epoch, [batch]))
        built = build_batch_segment(key, "c", session, written)
        await self.store.create(key, bytes(built.body))
        by_partition = {one.extent.partition: one for one in built.flushed}
        return [by_partition[partition] for partition, _, _ in parts]

    async def _found(self) -> list[FlushedExtent]:
        found: list[FlushedExtent] = []
        for key in self.store.keys("batches/"):
            with _Expected(NotFound):
                found += await read_extents(self.store, key)
        return found

    # the compactor

    async def compact(self) -> None:
        """Extents become a record segment; perhaps the compactor is slow to say so."""
        partition = self._some_led()
        if partition is None:
            return
        led = self.led[partition]
        manifest = await self.manifests.read(partition)
        extents = [one.extent for one in led.extents if one.extent.last_offset >= manifest.floor]
        if not extents:
            return
        upto = self.random.choice(extents).last_offset
        added = await self._record_segment(partition, manifest.floor, upto)
        record = ManifestRecord(manifest.log_start_offset, added=(added,), producers=(), producers_upto=upto + 1)
        await self._append_sooner_or_later(Slow(partition, manifest, record))

    async def merge(self) -> None:
        """Two record segments become one."""
        partition = self._some_led()
        manifest = Manifest() if partition is None else await self.manifests.read(partition)
        if partition is None or len(manifest.segments) < 2:
            return
        one, two = manifest.segments[-2:]
        added = await self._record_segment(partition, one.base_offset, two.last_offset)
        record = ManifestRecord(manifest.log_start_offset, added=(added,), removed=(one.key, two.key))
        await self._append_sooner_or_later(Slow(partition, manifest, record))

    async def retain(self) -> None:
        """The log start offset rises; sometimes the producers do not follow."""
        partition = self._some_led()
        if partition is None:
            return
        manifest = await self.manifests.read(partition)
        end = self.acknowledged.get(partition, 0)
        if manifest.log_start_offset >= end:
            return
        start = self.random.randint(manifest.log_start_offset, end)
        gone = [one for one in manifest.segments if one.last_offset < start]
        producers_upto = start if self.random.random() < 0.6 and start > manifest.producers_upto else None
        record = ManifestRecord(
            start,
            removed=tuple(one.key for one in gone),
            producers=None if producers_upto is None else (),
            producers_upto=producers_upto or 0,
        )
        with _exists():
            await self.manifests.append(partition, manifest, record)

    async def finish_slow(self) -> None:
        """A slow compactor goes on: it wins or makes garbage."""
        if self.slow:
            slow = self.slow.pop(self.random.randrange(len(self.slow)))
            with _exists():
                await self.manifests.append(slow.partition, slow.manifest, slow.record)

    async def _append_sooner_or_later(self, slow: Slow) -> None:
        self.slow.append(slow)
        if self.random.random() < 0.7:
            self.slow.remove(slow)
            with _exists():
                await self.manifests.append(slow.partition, slow.manifest, slow.record)

    async def _record_segment(self, partition: PartitionId, base: int, last: int) -> RecordSegment:
        key = RecordSegmentKey(partition, base, last, new_ulid(self.clock)).key
        await self.store.create(key, b"r" * 50)
        return RecordSegment(key, base, last, last - base + 1, 50, -1, ())

    # the rest

    async def probe(self) -> None:
        """A start-up probe that was never cleaned up."""
        await self.store.create(ProbeKey(self.clock.token()).key, b"probe")

    async def collect(self) -> None:
        """One cycle of one collector; one that dies is followed by another that knows nothing."""
        at = self.random.randrange(2)
        try:
            self.reports.append(await self.collectors[at].run())
        except Crashed:
            self.store.dies_in = None
            if self.random.random() < 0.5:
                self.collectors[at] = await self.collector("ab"[at])
            raise

    async def check(self) -> CheckReport:
        """What `cauce bucket check` finds; record segments are not real here, so their footers are what keys say."""
        return await BucketCheck(self.store, self.ledger, read_record_footer=_footer_by_key).run()

    async def minutes(self) -> None:
        self.clock.seconds += 60 * self.random.randint(1, 40)

    async def hours(self) -> None:
        self.clock.seconds += 3600 * self.random.randint(1, 20)

    def forget_leaders(self) -> None:
        """Who led dies with the process that crashed: what it had PUT may or may not be adopted."""
        self.old += [(one, led) for one, led in self.led.items() if self.random.random() < 0.5]
        self.led.clear()

    # choices

    def _some_topic(self) -> UUID | None:
        return self.random.choice(sorted(self.topics)) if self.topics else None

    def _some_partition(self) -> PartitionId | None:
        alive = sorted(one for one in self.topics if is_alive(self.store, one))
        return PartitionId(self.random.choice(alive), self.random.randrange(PARTITIONS)) if alive else None

    async def lead_all(self) -> None:
        """Every partition of every topic that is there has a leader."""
        while any(
            PartitionId(one, number) not in self.led
            for one in self.topics
            if is_alive(self.store, one)
            for number in range(PARTITIONS)
        ):
            await self.lead()

    def _some_led(self) -> PartitionId | None:
        led = sorted(one for one in self.led if is_alive(self.store, one.topic_id))
        return self.random.choice(led) if led else None


async def _footer_by_key(store: object, key: str) -> Any:
    parsed = parse_key(key)
    assert isinstance(parsed, RecordSegmentKey)
    return parsed


class _Expected:
    """Swallows one error that is a rightful answer."""

    def __init__(self, kind: type[Exception]) -> None:
        self._kind = kind

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: object, at: object) -> bool:
        return kind is not None and issubclass(kind, self._kind)


def _refused() -> _Expected:
    return _Expected(Refused)


def _exists() -> _Expected:
    return _Expected(Exists)


# What must be there, worked out plainly


def topic_body(store: FragileStore, topic_id: UUID) -> dict[str, object] | None:
    """The newest record of a topic."""
    bodies = list(store.bodies(f"topics/{topic_id}/").values())
    return bodies[-1] if bodies else None


def is_alive(store: FragileStore, topic_id: UUID) -> bool:
    body = topic_body(store, topic_id)
    return body is not None and body["deleted_ms"] is None


def is_gone(store: FragileStore, topic_id: UUID) -> bool:
    body = topic_body(store, topic_id)
    return body is None or bool(body.get("purged"))


@dataclass
class PlainManifest:
    segments: dict[str, tuple[int, int]]
    log_start: int
    producers_upto: int

    @property
    def floor(self) -> int:
        return max([self.log_start, *(last + 1 for _, last in self.segments.values())])

    @property
    def extents_from(self) -> int:
        return min(self.floor, self.producers_upto)


def plain_manifest(store: FragileStore, partition: PartitionId) -> PlainManifest:
    """The fold of a manifest ledger, from its first record on."""
    segments: dict[str, tuple[int, int]] = {}
    log_start = producers_upto = 0
    for body in store.bodies(f"manifests/{partition.topic_id}/{partition.partition:010}/").values():
        if body["whole"]:
            segments = {}
        for key in body["removed"]:  # type: ignore[attr-defined]
            segments.pop(key, None)
        for one in body["added"]:  # type: ignore[attr-defined]
            segments[one["key"]] = (one["base_offset"], one["last_offset"])
        log_start = max(log_start, int(body["log_start_offset"]))  # type: ignore[call-overload]
        if body["producers"] is not None:
            producers_upto = int(body["producers_upto"])  # type: ignore[call-overload]
    return PlainManifest(segments, log_start, producers_upto)


def epoch_starts(store: FragileStore, partition: PartitionId) -> list[int]:
    """Start offset of every leader epoch, from 0 on."""
    bodies = store.bodies(f"epochs/{partition.topic_id}/{partition.partition:010}/").values()
    return [int(body["start_offset"]) for body in bodies]  # type: ignore[call-overload]


def exists(starts: Sequence[int], epoch: int, base: int, last: int) -> bool:
    """The one rule, offset by offset: a record of epoch e at or above the start of a later epoch does not exist."""
    return all(
        starts[epoch] <= offset and all(offset < later for later in starts[epoch + 1 :])
        for offset in range(base, last + 1)
    )


class Oracle:
    """Remembers footers, so that an object that is gone is known all the same."""

    def __init__(self, cluster: SmallCluster) -> None:
        self._cluster = cluster
        self._footers: dict[str, Sequence[FlushedExtent]] = {}

    async def look(self) -> None:
        for key in self._cluster.store.keys("batches/"):
            if key not in self._footers:
                self._footers[key] = await read_extents(self._cluster.store, key)

    def needed(self) -> set[str]:
        """Every object that something needs now. Ledgers, fences and sessions of topics that are not gone are, too."""
        store = self._cluster.store
        gone = {one for one in self._cluster.topics if is_gone(store, one)}
        needed = {key for key in store.keys("") if key.split("/")[0] in ("topic-names", "sessions", "fences")}
        for topic_id in self._cluster.topics - gone:
            for kind in ("topics", "epochs", "manifests", "releases"):
                needed.update(store.keys(f"{kind}/{topic_id}/"))
            for number in range(PARTITIONS):
                needed.update(plain_manifest(store, PartitionId(topic_id, number)).segments)
        for key, flushed in self._footers.items():
            if any(self._is_needed(one, gone) for one in flushed):
                needed.add(key)
        return needed

    def _is_needed(self, one: FlushedExtent, gone: set[UUID]) -> bool:
        extent, store = one.extent, self._cluster.store
        if extent.partition.topic_id in gone:
            return False
        manifest = plain_manifest(store, extent.partition)
        starts = epoch_starts(store, extent.partition)
        return extent.last_offset >= manifest.extents_from and exists(
            starts, extent.leader_epoch, extent.base_offset, extent.last_offset
        )

    def check_names(self) -> None:
        """No two topics that are there have one name, and each is what its name stands for."""
        store = self._cluster.store
        for topic_id in self._cluster.topics:
            body = topic_body(store, topic_id)
            if body is not None and body["deleted_ms"] is None:
                newest = list(store.bodies(f"topic-names/{body['name']}/").values())[-1]["topic"]
                assert newest is not None, f"{topic_id} has no name"
                assert json.loads(str(newest))["topic_id"] == str(topic_id), f"{topic_id} has lost its name"

    def check_readable(self) -> None:
        """Every acknowledged offset of every topic that is there, or can be undeleted, has an object."""
        store = self._cluster.store
        there = set(store.keys())
        for partition, end in self._cluster.acknowledged.items():
            if is_gone(store, partition.topic_id):
                continue
            manifest = plain_manifest(store, partition)
            starts = epoch_starts(store, partition)
            covered = set[int]()
            for key, (base, last) in manifest.segments.items():
                assert key in there, f"{key} is gone"
                covered.update(range(base, last + 1))
            for key in self._footers.keys() & there:
                for one in self._footers[key]:
                    extent = one.extent
                    if extent.partition == partition and exists(
                        starts, extent.leader_epoch, extent.base_offset, extent.last_offset
                    ):
                        covered.update(range(extent.base_offset, extent.last_offset + 1))
            missing = set(range(manifest.log_start, end)) - covered
            assert not missing, f"{partition}: {sorted(missing)}"
