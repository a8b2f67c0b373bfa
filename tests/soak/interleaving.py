"""One leader, one compactor and readers in one loop, all of them the real parts, over a bucket and a view in memory.

Whatever happens is a step, and two steps may run beside each other: the store lets others go on in the middle of each
request. Time stands still but for the step that lets it pass.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

from compactor.bucket_check import BucketCheck
from compactor.partition import PartitionWork
from infra.cluster.manifest import ManifestLedger
from infra.cluster.state import Topic
from infra.error_code import ErrorCode
from infra.errors import CauceError, NotFound, NotLeader, Unavailable
from infra.partition import PartitionId
from infra.records.batch import BatchHeader
from infra.records.decode import decode_batch
from infra.records.encode import encode_batch
from infra.records.record import Record
from infra.store.port import Buffer
from ingest.appender import PartitionAppend
from ingest.flush_plan import FlushPolicy, FlushTrigger
from ingest.leaders import IngestLimits
from ingest.manifests import ManifestFollower
from ingest.partition_log import PartitionLog
from reader.catch_up import CatchUpReader
from reader.fetch import Fetcher
from reader.fetch_pass import FetchLimits, PartitionFetch
from reader.offset_lookup import OffsetLookup
from tests.cluster.world import World
from tests.ingest.node import AT_ONCE
from tests.ingest_leases.node import LeaseNode, entries_of, start_node
from tests.soak.follower import Follower, Place
from tests.soak.interleaved_parts import GRACE_MS, Compactor, RestlessStore
from tests.soak.interleaved_topics import TOPICS
from tests.soak.model import PartitionModel, Seen, digest
from tests.soak.score import Score
from tests.soak.topics import SoakTopic

READERS = 3
_CODECS = (0, 1, 2, 3, 4)
_NEVER = 10**9
_ROUNDS = 40  # far more than converging takes
_RETRIED = (ErrorCode.KAFKA_STORAGE_ERROR, ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)


class Interleaving:
    """Everything that happens, as methods, and what must be true of it."""

    node: LeaseNode
    compactor: Compactor

    def __init__(self, folder: Path, threads: ThreadPoolExecutor, durability: str, seed: int) -> None:
        self.random = Random(seed)
        self.world = World()
        self.world.store = RestlessStore(self.world.clock, self.random)
        self.score = Score(seed)
        self.models = {topic.name: [PartitionModel(topic, 0)] for topic in TOPICS}
        self.topics: dict[str, Topic] = {}
        self._folder = folder
        self._threads = threads
        self._durability = durability
        self._followers = [self._new_follower(f"reader {number}") for number in range(READERS)]
        self._busy = [asyncio.Lock() for _ in range(READERS)]

    async def start(self) -> "Interleaving":
        await self.world.start()
        await self._start_leader(None)
        for topic in TOPICS:
            configs = {**topic.configs, "cauce.durability": self._durability}
            self.topics[topic.name] = await self.node.topics.create(topic.name, 1, configs)
        await self.node.turn()
        self.view = await self.world.view()
        await self.restart_compactor()
        for number in range(READERS):
            await self.seek(number)
        return self

    async def stop(self) -> None:
        await self._stop_leader()

    # What happens

    async def write(self) -> None:
        """A few batches, one after another."""
        for _ in range(self.random.randint(1, 4)):
            await self._write(self.random.choice(TOPICS))

    async def read(self) -> None:
        """A few fetches of one reader."""
        number = self.random.randrange(READERS)
        async with self._busy[number]:
            for _ in range(self.random.randint(1, 4)):
                await self._fetch(self._followers[number], self.random.choice((500, 3000, 1 << 20)))

    async def seek(self, number: int | None = None) -> None:
        """A reader goes to the beginning, or anywhere."""
        number = self.random.randrange(READERS) if number is None else number
        at_beginning = self.random.random() < 0.5
        async with self._busy[number]:
            starts = {}
            for topic in TOPICS:
                log = self._log(topic.name)
                if log is None:
                    return
                start = log.log_start_offset
                starts[topic.name, 0] = start if at_beginning else self.random.randint(start, log.high_watermark)
            self._followers[number].begin(starts, at_beginning=at_beginning)

    async def find_time(self) -> None:
        """The offset of a time, where all is kept."""
        model, log = self.models["whole"][0], self._log("whole")
        stamp = model.some_stamp(self.random.random())
        if log is None or not model.end:
            return
        try:
            found = await OffsetLookup(self._catch_up).at_or_after(log, stamp, log.high_watermark)
        except (NotFound, NotLeader, Unavailable):
            return
        first = model.offset_at(stamp)
        if found is None or first is None or found.offset > first or model.stamp(found.offset) < stamp:
            self.score.fail("whole", f"the first offset of {stamp} ms is {first}, found was {found}")

    async def look(self) -> None:
        """The leader hears what the view tells."""
        await self.node.state.refresh()
        self._manifests.look()
        await self._manifests.settle()

    async def cut(self) -> None:
        """DeleteRecords."""
        topic = self.random.choice([topic for topic in TOPICS if topic.cut])
        log, model = self._log(topic.name), self.models[topic.name][0]
        if log is None:
            return
        offset = self.random.randint(log.log_start_offset, log.high_watermark)
        model.cut_at = max(model.cut_at, offset)
        if offset > log.log_start_offset:
            await self._manifests.raise_log_start(log, offset)
            if log.log_start_offset < offset:
                self.score.fail(topic.name, f"DeleteRecords up to {offset} left {log.log_start_offset}")

    async def work(self, kind: str) -> bool:
        """A turn of one of the compactor's steps for each partition; whether it changed anything."""
        changed = False
        for topic in self.random.sample(TOPICS, len(TOPICS)):
            work = await self._look_at(topic.name)
            changed |= await self.compactor.steps[kind].run(work) is not None
        if changed:
            self.score.add(f"{kind} changed")
        return changed

    async def work_cut_short(self) -> None:
        """A turn that dies somewhere in the middle, with all that the compactor remembers."""
        turn = asyncio.create_task(self.work(self.random.choice(["expire", "compact", "clean"])))
        for _ in range(self.random.randrange(60)):
            await asyncio.sleep(0)
        turn.cancel()
        await asyncio.gather(turn, return_exceptions=True)
        await self.restart_compactor()

    async def collect(self) -> None:
        """A cycle of garbage collection."""
        await self.compactor.garbage.run()

    async def restart_compactor(self) -> None:
        self.compactor = Compactor(self.world, self.view, self._folder, self._threads)

    async def wait(self) -> None:
        """Time passes."""
        await self._pass_seconds(self.random.choice((1, 2, 6, 16)))

    async def kill_leader(self) -> None:
        """The node dies and starts again with its WAL."""
        wal = await self._stop_leader()
        for _ in range(4):
            self.world.clock.seconds += 2
        await self._start_leader(wal)
        for _ in range(4):
            await self.node.turn()

    # What must be true

    def check(self) -> None:
        """Nothing wrong was seen; everything has been acknowledged, so that all that is missing has its reason now."""
        for [model] in self.models.values():
            log = self._log(model.topic.name)
            if log is not None:
                low = model.check_low(log.log_start_offset, model.low, self.world.clock.now_ms())
                if low is not None:
                    self.score.fail(model.topic.name, low)
            for sentence in model.settle(_NEVER, self.world.clock.now_ms()) + model.unsettled():
                self.score.fail(model.topic.name, sentence)
        assert not self.score.failures, self.score.failures

    async def finish(self) -> None:
        """All comes to rest: then everything is read, and nothing is left over."""
        await self._settle()
        everything = self._new_follower("everything")
        await self._settle_reader(everything)
        self.check()
        for topic in TOPICS:
            self._compare_state(topic, everything)
        for _ in range(12):  # noted, dead for the grace, deleted; a few objects a cycle
            await self._pass_seconds(GRACE_MS / 4000)
            await self.look()
            await self._settle()
            for _ in range(8):
                await self.collect()
        report = await BucketCheck(self.world.store, self.node.topics).run()
        assert not report.findings, report.findings

    async def _settle(self) -> None:
        """Compactor and leader, until nothing changes any more."""
        for _ in range(_ROUNDS):
            changed = False
            for kind in ("expire", "compact", "clean"):
                await self._pass_seconds(2)
                changed |= await self.work(kind)
            await self.look()
            if not changed:
                return
        raise AssertionError("the compactor never comes to rest")

    async def _settle_reader(self, follower: Follower) -> None:
        """From the beginning to the end."""
        starts = {(topic.name, 0): self._led(topic.name).log_start_offset for topic in TOPICS}
        follower.begin(starts, at_beginning=True)
        for _ in range(1000):
            if all(at == self._led(name).high_watermark for (name, _), at in follower.positions.items()):
                return
            await self._fetch(follower, 1 << 20)
        raise AssertionError(f"the end is not reached: {follower.positions}")

    def _compare_state(self, topic: SoakTopic, follower: Follower) -> None:
        if not topic.compacted:
            return
        last, low = follower.last_of_each[topic.name, 0], self._led(topic.name).log_start_offset
        for key, (newest, tombstone) in self.models[topic.name][0].newest_of_each().items():
            read = last.get(key, -1)
            gone = read < 0 and (newest < low or tombstone)
            assert read == newest or gone, f"{topic.name}: the newest of {key!r} is at {newest}, read was {read}"
        if topic.configs["min.cleanable.dirty.ratio"] == "0":
            segments = self._led(topic.name).manifest.segments
            held = sum(segment.records for segment in segments)
            keys = self.models[topic.name][0].keys_in(segments[0].base_offset, segments[-1].last_offset) if held else 0
            assert held <= keys, f"{topic.name} has {held} records of {keys} keys after cleaning"

    # Parts

    async def _write(self, topic: SoakTopic) -> None:
        clock = self.world.clock
        records = [self._record(at, topic) for at in range(self.random.randint(1, 12))]
        batch = memoryview(encode_batch(records, codec=self.random.choice(_CODECS)))
        told: asyncio.Future[CauceError | None] = asyncio.get_running_loop().create_future()
        partition = self._partition(topic.name)
        one = PartitionAppend(partition, [(BatchHeader.parse(batch), batch)], -1, told.set_result)
        [appended] = self.node.leaders.appender.append([one], clock.now_ms())
        if isinstance(appended, NotLeader):
            return
        assert not isinstance(appended, CauceError), appended
        error = await told
        if error is not None:
            assert isinstance(error, NotLeader), error
            return
        model = self.models[topic.name][0]
        for record in records:
            seen = _seen(record)
            offset = appended.base_offset + record.offset
            wrong = model.acknowledge(offset, record.key, record.value is None, record.timestamp, seen.digest)
            if wrong is not None:
                self.score.fail(topic.name, wrong)

    async def _pass_seconds(self, seconds: float) -> None:
        while seconds > 0:
            self.world.clock.seconds += min(seconds, 2)
            seconds -= 2
            await self.node.sessions.session.renew()

    async def _fetch(self, follower: Follower, max_bytes: int) -> None:
        wanted = [PartitionFetch(self._partition(name), at, max_bytes) for (name, _), at in follower.positions.items()]
        answers = await self._fetcher.fetch(wanted, FetchLimits(0.0, 1, 50 << 20, False))
        for place, answer in zip(list(follower.positions), answers, strict=True):
            if answer.error is ErrorCode.OFFSET_OUT_OF_RANGE:
                log = self._log(place[0])
                if log is not None:
                    bounds = log.log_start_offset, log.high_watermark
                    follower.out_of_range(place, follower.positions[place], *bounds, answer.error.name)
            elif answer.error is not ErrorCode.NONE:
                assert answer.error in _RETRIED, answer.error
            else:
                self._take(follower, place, answer.batches)

    def _take(self, follower: Follower, place: Place, batches: Sequence[Buffer]) -> None:
        for batch in batches:
            position = follower.positions[place]
            rows = [_seen(record) for record in decode_batch(memoryview(batch)) if record.offset >= position]
            follower.take(place, rows)
            follower.skip(place, BatchHeader.parse(batch).next_offset)

    def _record(self, at: int, topic: SoakTopic) -> Record:
        chance = self.random
        keys: list[bytes | None] = [b"a", b"b", b"c", b"d", b"e", b"once-%d" % chance.getrandbits(40)]
        key = chance.choice(keys if topic.compacted else [*keys, None])
        value = None if chance.random() < 0.2 else chance.randbytes(chance.choice((0, 10, 100, 400)))
        headers = ((b"h", None), (b"", b"x"))[: chance.randrange(3)]
        stamp = self.world.clock.now_ms() - chance.choice((0, 0, 1, 500))
        return Record(at, stamp, key, value, headers)

    def _partition(self, topic: str) -> PartitionId:
        return PartitionId(self.topics[topic].topic_id, 0)

    def _log(self, topic: str) -> PartitionLog | None:
        with contextlib.suppress(NotLeader):
            return self.node.leaders.log(self._partition(topic))
        return None

    def _led(self, topic: str) -> PartitionLog:
        return self.node.leaders.log(self._partition(topic))

    def _new_follower(self, name: str) -> Follower:
        return Follower(name, self.models, self.score, self.world.clock)

    async def _look_at(self, topic: str) -> PartitionWork:
        """As the compactor's worker does."""
        partition = self._partition(topic)
        published = await self.view.partition(partition)
        version = (await self.view.manifests()).get(partition, -1)
        manifest = await self.compactor.replacer.at_least(partition, version)
        settings = self.node.settings_of(self.topics[topic])
        return PartitionWork(partition, self.topics[topic], settings, manifest, published)

    async def _start_leader(self, before: LeaseNode | None) -> None:
        flush = FlushTrigger(flush_bytes=3000, flush_interval_ms=_NEVER)
        self.node = await start_node(
            self.world,
            node_id=1,
            wal_id="disk",
            policy=FlushPolicy(object=AT_ONCE, wal=flush),
            recovered=entries_of(before.wal) if before is not None else (),
            limits=IngestLimits(tail_bytes=4000),
        )
        if before is not None:  # one WAL goes on behind what it held
            self.node.wal.entries[:0] = before.wal.entries
        self._manifests = ManifestFollower(
            ledger=ManifestLedger(self.world.store),
            view=self.node.view,
            clock=self.world.clock,
            state=self.node.state,
            logs=self.node.leaders.logs,
        )
        self._catch_up = CatchUpReader(self.world.store, cache_bytes=20_000, block_bytes=2000)
        self._fetcher = Fetcher(self.node.leaders, self._catch_up, alone_seconds=30.0, beside_hot_seconds=30.0)

    async def _stop_leader(self) -> LeaseNode:
        await self._manifests.stop()
        await self._catch_up.close()
        await self.node.crash()
        return self.node


Happening = Callable[[Interleaving], Awaitable[object]]

STEPS: dict[str, Happening] = {
    "write": Interleaving.write,
    "read": Interleaving.read,
    "seek": Interleaving.seek,
    "find time": Interleaving.find_time,
    "look": Interleaving.look,
    "cut": Interleaving.cut,
    "expire": lambda one: one.work("expire"),
    "compact": lambda one: one.work("compact"),
    "clean": lambda one: one.work("clean"),
    "cut short": Interleaving.work_cut_short,
    "collect": Interleaving.collect,
    "wait": Interleaving.wait,
}
ALONE: dict[str, Happening] = {"kill leader": Interleaving.kill_leader}


def _seen(record: Record) -> Seen:
    headers = [(name.decode(), value) for name, value in record.headers]
    return Seen(record.offset, record.key, digest(record.key, record.value, headers, record.timestamp))


async def run_history(folder: Path, durability: str, steps: Sequence[tuple[str, str]], seed: int) -> None:
    """The steps in order, each beside another one; then the end of it all."""
    with ThreadPoolExecutor(1) as threads:
        history = Interleaving(folder, threads, durability, seed)
        async with asyncio.timeout(100):
            await history.start()
            try:
                for step, beside in steps:
                    if step in ALONE:
                        await ALONE[step](history)
                    else:
                        await asyncio.gather(STEPS[step](history), STEPS[beside](history))
                    history.check()
                await history.finish()
            finally:
                await history.stop()
