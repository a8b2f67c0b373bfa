"""One run: a cluster, its clients, faults for a while, then peace, and a look whether every promise was kept."""

import asyncio
import gc
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal

from compactor.bucket_check import BucketCheck
from infra.cluster.topics import TopicLedger
from tests.checker.check import check
from tests.checker.history import Operation, Partition
from tests.simulation.clients import Admin, Client, History, Producer
from tests.simulation.cluster import GRACE_SECONDS, Cluster
from tests.simulation.consumer import Consumer
from tests.simulation.faults import Faults
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import Trace
from tests.simulation.nodes import CompactorNode, IngestNode, SimNode
from tests.simulation.pipelined import PipelinedProducer
from tests.simulation.reader_node import ReaderNode
from tests.simulation.segments import holders_told_often, only_what_is_read, parsed_once
from tests.simulation.verdict import Finding, judge

Durability = Literal["object", "wal", "mixed"]
DURABILITIES: tuple[Durability, ...] = ("object", "wal", "mixed")

_FAULT_SECONDS = 50.0
_PEACE_SECONDS = 4.0  # clients go on, at full speed: a second of it costs as much as three of faults
_CONVERGE_SECONDS = 120.0
_READ_SECONDS = 120.0


@dataclass(slots=True)
class Result:
    """What came of a run."""

    seed: int
    durability: Durability
    digest: str
    findings: list[Finding]
    acknowledged: int
    ambiguous: int
    polled: int  # records, by all consumers
    events: int
    virtual_seconds: float
    effects: dict[str, int] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)


def simulate(
    seed: int,
    durability: Durability = "mixed",
    *,
    tell: Callable[[str], None] | None = None,
    fault_seconds: float = _FAULT_SECONDS,
) -> Result:
    """Run one seed to its end."""
    gc.disable()  # when something is collected must not depend on what ran before
    loop = VirtualLoop(Random(f"{seed}/order"))
    trace = Trace(loop, tell)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="simulation-") as folder,
            parsed_once(),
            only_what_is_read(),
            holders_told_often(),
        ):
            whole = Run(loop, f"{seed}/{durability}", durability, Path(folder), trace, fault_seconds).whole(seed)
            return loop.run_until_complete(whole)  # type: ignore[no-any-return]
    finally:
        unraisable, sys.unraisablehook = sys.unraisablehook, lambda _: None  # what is ended half way may complain
        loop.close()
        del loop, trace
        gc.collect()
        sys.unraisablehook = unraisable
        gc.enable()


class Run:
    """Made by `simulate`."""

    def __init__(
        self, loop: VirtualLoop, seed: str, durability: Durability, folder: Path, trace: Trace, fault_seconds: float
    ) -> None:
        self.random = Random(f"{seed}/run")
        self.durability = durability
        self.cluster = Cluster(loop, seed, folder, trace)
        self.history = History(self.cluster)
        self.ingest = [IngestNode(self.cluster, number) for number in (1, 2, 3)]
        self.reader = ReaderNode(self.cluster, 21)
        self.compactors = [CompactorNode(self.cluster, 31 + number) for number in range(self.random.choice((1, 2, 2)))]
        self.nodes: list[SimNode] = [*self.ingest, self.reader, *self.compactors]
        self.partitions: list[Partition] = []
        self.producers: list[Producer | PipelinedProducer] = []
        self.consumers: list[Consumer] = []
        self._clients = 0
        self._fault_seconds = fault_seconds
        self._findings: list[Finding] = []
        self._at_peace = False

    async def whole(self, seed: int) -> Result:
        cluster, loop = self.cluster, self.cluster.loop
        for node in self.nodes:
            node.start()
        keeping = loop.world.spawn(self._keep_running())
        await self._create_topics()
        self._start_clients()
        faults = Faults(self.cluster, self.ingest, self.nodes, disks_may_go=self.durability == "object")
        await faults.run(self._fault_seconds)
        self._at_peace = True
        faults.heal()
        await asyncio.sleep(_PEACE_SECONDS)
        await self._stop_clients()
        end = await self._read_all()
        await self._check_bucket()
        keeping.cancel()
        findings = [*self._findings, *judge(self.history.operations, end)]
        read_to_end = not any(one.kind == "no-convergence" for one in self._findings)
        findings += [
            Finding(one.kind, one.sentence)
            for one in check(self.history.operations, read_to_end=read_to_end, interleaved=False)
        ]
        findings += [Finding("surprise", sentence) for sentence in cluster.surprises]
        findings += [Finding("surprise", sentence) for sentence in loop.unheard]
        return Result(
            seed,
            self.durability,
            cluster.trace.digest(),
            findings,
            self.history.acknowledged,
            self.history.ambiguous,
            sum(len(operation.polls) for operation in self.history.operations),
            cluster.trace.events,
            loop.time(),
            dict(sorted(cluster.network.effects.items())),
            self.history.operations,
        )

    def _bootstrap(self) -> list[int]:
        return [node.node_id for node in self.ingest]

    def _next_client(self) -> int:
        self._clients += 1
        return self._clients

    async def _keep_running(self) -> None:
        """What a service manager does: start again what has ended."""
        while True:
            await asyncio.sleep(0.5)
            for node in self.nodes:
                if node.wanted and not node.process.alive and (self._at_peace or self.random.random() < 0.12):
                    node.start()

    async def _create_topics(self) -> None:
        admin = Admin(self.cluster, self.history, self._next_client(), self._bootstrap())
        kinds = ("object", "wal") if self.durability == "mixed" else (self.durability,)
        topics = [(f"{kind}-topic", kind, 3 if len(kinds) == 1 else 2) for kind in kinds]

        async def create() -> None:
            for name, kind, partitions in topics:
                await admin.create(name, partitions, {"cauce.durability": kind})
                self.partitions += [(name, number) for number in range(partitions)]

        await admin.process.spawn(create())

    def _start_clients(self) -> None:
        self.producers.append(PipelinedProducer(self.cluster, self.history, self._next_client(), self._bootstrap()))
        for idempotent, acks in ((True, -1), (False, -1), (False, 1)):
            self.producers.append(
                Producer(
                    self.cluster, self.history, self._next_client(), self._bootstrap(), idempotent=idempotent, acks=acks
                )
            )
        for producer in self.producers:
            producer.process.spawn(producer.run(self.partitions)).add_done_callback(self._client_ended(producer))
        for _ in range(2):
            consumer = Consumer(self.cluster, self.history, self._next_client(), self._bootstrap())
            self.consumers.append(consumer)
            consumer.process.spawn(consumer.run(self.partitions)).add_done_callback(self._client_ended(consumer))

    def _client_ended(self, client: Client) -> Callable[[asyncio.Task[None]], None]:
        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and task.exception() is not None:
                client.surprise(f"it ended with {task.exception()!r}")
            client.process.alive = False

        return ended

    async def _stop_clients(self) -> None:
        """Producers finish what they are at; consumers are let go."""
        for producer in self.producers:
            producer.stopping = True
        deadline = self.cluster.loop.time() + _CONVERGE_SECONDS
        while any(producer.process.alive for producer in self.producers):
            await asyncio.sleep(0.2)
            if self.cluster.loop.time() > deadline:
                waiting = [one.number for one in self.producers if one.process.alive]
                self._findings.append(Finding("no-convergence", f"producers {waiting} get no answer after the faults"))
                break
        for client in (*self.producers, *self.consumers):
            client.process.kill()
        for producer in self.producers:
            producer.write_unanswered()

    async def _read_all(self) -> dict[Partition, list[tuple[int, int]]]:
        """Every partition from offset 0 to its end, by a consumer that was never there before."""
        reader = Consumer(self.cluster, self.history, self._next_client(), self._bootstrap())

        async def read() -> None:
            reader.begin(self.partitions)
            for partition in self.partitions:
                end = await reader.end_offset(partition)
                while reader.positions[partition] < end:
                    await reader.poll(partition)

        began = len(self.history.operations)
        reading = reader.process.spawn(read())
        await asyncio.wait([reading], timeout=_READ_SECONDS)
        if not reading.done():
            at = {partition: reader.positions.get(partition) for partition in self.partitions}
            self._findings.append(Finding("no-convergence", f"the last read does not come to its end: {at}"))
        elif reading.exception() is not None:
            self._findings.append(Finding("surprise", f"the last read ended with {reading.exception()!r}"))
        reader.process.kill()
        rows: dict[Partition, list[tuple[int, int]]] = {partition: [] for partition in self.partitions}
        for operation in self.history.operations[began:]:
            for poll in operation.polls:
                rows[poll.partition].append((poll.offset, poll.value))
        return rows

    async def _check_bucket(self) -> None:
        """Nothing is missing, nothing damaged, and what nothing needs goes after the grace.

        By then only one compactor runs: what the others acknowledged is in the bucket once they have left.
        """
        for node in (self.reader, *self.ingest, *self.compactors[1:]):
            node.wanted = False
            await node.leave()
        await asyncio.sleep(2.2 * GRACE_SECONDS)
        store = self.cluster.store(self.cluster.clock)
        report = await BucketCheck(store, TopicLedger(store, self.cluster.view(), self.cluster.clock)).run()
        long_ago_ms = self.cluster.clock.now_ms() - round(2 * GRACE_SECONDS * 1000)
        for one in report.findings:
            if one.kind != "unreferenced" or one.dead_since_ms < long_ago_ms:
                self._findings.append(Finding(f"bucket-{one.kind}", f"{one.key}: {one.problem}"))
        self._findings += [Finding("bucket-unknown", key) for key in report.unknown]
