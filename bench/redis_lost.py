"""`python -m bench.redis_lost`: FLUSHALL under load, with many partitions and segments.

A cluster of nodes on one store and one Valkey writes thousands of batch segments, is started anew with its usual
settings, and works under a steady load when everything in Redis is deleted. Prints how long until acknowledgements
resume, what the nodes say of how the time went, and whether records and committed offsets are all there.
Ends with 1 when they are not.

python -m bench.redis_lost --partitions 1000 --segments 10000
"""

import argparse
import asyncio
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.redis_lost_load import SteadyLoad, read_numbers
from bench.verdict import end_with
from cauce.testing import CauceProcess
from infra.object_key import BATCHES
from infra.store.open import open_store
from tests.chaos.redis_party import RedisParty
from tests.servers import credentials, seaweed

TOPIC = "orders"
_GROUPS = 10
_FILL_SECONDS = 3600.0
_RESUME_SECONDS = 600.0
_CALM_SECONDS = 10.0
_PRODUCERS = 40
_SAID = re.compile(r"lost|view|incarnation|session|lease", re.IGNORECASE)


class Cluster:
    """Nodes on one bucket and one Valkey."""

    def __init__(self, folder: Path, bucket: str, options: argparse.Namespace) -> None:
        self._folder = folder
        self.bucket = bucket
        self._nodes = options.nodes
        self._settings = options.set
        self.redis = RedisParty(folder)
        self.redis.start()

    @contextmanager
    def running(self, *settings: str) -> Iterator[list[CauceProcess]]:
        """The nodes, one after the other, as long as the with statement lasts."""
        options = ["--bucket", self.bucket, "--redis", f"redis://127.0.0.1:{self.redis.port}"]
        options += ["--roles", "ingest,reader"]  # compaction would take the segments away
        options += [word for one in (*settings, *self._settings) for word in ("--set", one)]
        with ExitStack() as stack:
            yield [
                stack.enter_context(CauceProcess(self._folder / f"node-{number}", options=options, command="node"))
                for number in range(self._nodes)
            ]

    def save_logs(self, folder: str, nodes: Sequence[CauceProcess]) -> None:
        """What the nodes printed, if a folder for it is named."""
        for number, node in enumerate(nodes):
            if folder:
                Path(folder, f"redis-lost-{number}.log").write_text(node.output)

    def segments(self) -> int:
        """Batch segments in the bucket."""

        async def count() -> int:
            store = open_store(self.bucket)
            try:
                return sum([1 async for _ in store.list(BATCHES)])
            finally:
                await store.close()

        return asyncio.run(count())


@contextmanager
def _bucket(kind: str, folder: Path) -> Iterator[str]:
    if kind == "folder":
        yield (folder / "bucket").as_uri()
        return
    with credentials(), seaweed() as server:
        yield server.url("redis-lost")


def _brokers(nodes: Sequence[CauceProcess]) -> str:
    return ",".join(node.bootstrap for node in nodes)


def _make_topic(bootstrap: str, partitions: int, durability: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    config = {"cauce.durability": durability, "retention.ms": "-1"}
    admin.create_topics([NewTopic(TOPIC, partitions, config=config)])[TOPIC].result(120)


def _fill(cluster: Cluster, load: SteadyLoad, options: argparse.Namespace) -> None:
    """Segments by the nodes' own flushes, which come quickly here."""
    began = time.monotonic()
    with cluster.running("cauce.flush.interval.ms=10") as nodes:
        _make_topic(_brokers(nodes), options.partitions, options.durability)
        load.start(_brokers(nodes), _PRODUCERS, options.fill_rate)
        while (count := cluster.segments()) < options.segments:
            if time.monotonic() > began + _FILL_SECONDS:
                raise SystemExit(f"only {count} segments were written")
            cluster.save_logs(options.logs, nodes)
            time.sleep(10.0)
        load.stop()
    seconds = time.monotonic() - began
    print(f"{count:,} segments of {len(load.offsets):,} records written in {seconds:.0f} s", flush=True)


def _commit(bootstrap: str, partitions: int) -> None:
    for group in range(_GROUPS):
        consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"group-{group}"})
        offsets = [TopicPartition(TOPIC, number, number + group) for number in range(partitions)]
        consumer.commit(offsets=offsets, asynchronous=False)
        consumer.close()


def _missing_offsets(bootstrap: str, partitions: int) -> int:
    missing = 0
    for group in range(_GROUPS):
        consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"group-{group}"})
        told = consumer.committed([TopicPartition(TOPIC, number) for number in range(partitions)], timeout=60)
        missing += sum(one.offset != one.partition + group for one in told)
        consumer.close()
    return missing


def _flush_all(cluster: Cluster, load: SteadyLoad, partitions: int) -> dict[int, float]:
    """Seconds from FLUSHALL on after which each partition acknowledged what was sent after it."""
    cluster.redis.wipe()
    at = time.monotonic()
    print("everything in Redis is deleted", flush=True)
    while len(found := load.first_sent_after(at)) < partitions:
        if time.monotonic() > at + _RESUME_SECONDS:
            raise SystemExit(f"only {len(found)} of {partitions} partitions acknowledge again")
        time.sleep(0.5)
    return {partition: moment - at for partition, moment in found.items()}


def _print_resumed(resumed: dict[int, float]) -> None:
    seconds = np.array(sorted(resumed.values()))
    for name, value in (("first", seconds[0]), ("median", np.median(seconds)), ("last", seconds[-1])):
        print(f"| acknowledgements resume, {name} of {len(seconds):,} partitions, s | {value:.1f} |")


def _print_log(nodes: Sequence[CauceProcess], skip: Sequence[int]) -> None:
    """What the nodes said of it, each line behind the node's number."""
    lines = [
        (line[:12], number, line.rstrip())
        for number, node in enumerate(nodes)
        for line in node.output[skip[number] :].splitlines()
        if _SAID.search(line)
    ]
    for _, number, line in sorted(lines):
        print(f"    {number}: {line[:200]}")


def _run(options: argparse.Namespace, folder: Path, bucket: str) -> list[str]:
    cluster = Cluster(folder, bucket, options)
    wrong: list[str] = []
    try:
        load = SteadyLoad(TOPIC, options.partitions)
        _fill(cluster, load, options)
        with cluster.running() as nodes:
            brokers = _brokers(nodes)
            _commit(brokers, options.partitions)
            load.start(brokers, _PRODUCERS, options.rate)
            time.sleep(_CALM_SECONDS)
            before = [len(node.output) for node in nodes]
            resumed = _flush_all(cluster, load, options.partitions)
            load.stop()
            _print_log(nodes, before)
            cluster.save_logs(options.logs, nodes)
            print("\n| | |\n|---|---|")
            _print_resumed(resumed)
            missing = _missing_offsets(brokers, options.partitions)
            print(
                f"| committed offsets that are not there | {missing} of {_GROUPS * options.partitions:,} |", flush=True
            )
            began = time.monotonic()
            found = read_numbers(brokers, TOPIC, options.partitions)
            acknowledged, read = sum(offset >= 0 for offset in load.offsets), sum(map(len, found))
            seconds = time.monotonic() - began
            print(f"| records acknowledged, read back | {acknowledged:,}, {read:,} ({seconds:.0f} s) |\n")
            cluster.save_logs(options.logs, nodes)
            wrong += [*load.failed[:5], *load.problems(found)]
            if missing:
                wrong.append(f"{missing} committed offsets are not there")
    finally:
        cluster.redis.kill()
    return wrong


def main() -> None:
    """One table, then the nodes' own words; what is wrong goes to standard error."""
    parser = argparse.ArgumentParser(prog="python -m bench.redis_lost", description=__doc__)
    parser.add_argument("--partitions", type=int, default=1000)
    parser.add_argument("--segments", type=int, default=10_000)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--store", choices=["s3", "folder"], default="s3")
    parser.add_argument("--durability", choices=["object", "wal"], default="object")
    parser.add_argument("--fill-rate", type=float, default=500.0, help="records a second while segments are written")
    parser.add_argument("--rate", type=float, default=1000.0, help="records a second when Redis is lost")
    parser.add_argument("--set", action="append", default=[], help="a setting of the nodes, NAME=VALUE")
    parser.add_argument("--logs", default="", help="folder for what the nodes print")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cauce-redis-lost-") as name, _bucket(options.store, Path(name)) as bucket:
        wrong = _run(options, Path(name), bucket)
    end_with(wrong, "nothing lost, nothing doubled")


if __name__ == "__main__":
    main()
