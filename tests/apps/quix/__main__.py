"""Quix Streams with exactly-once processing on Cauce, unmodified, killed again and again.

    python -m tests.apps.quix --kills 50 --seed 7
    python -m tests.apps.quix --kills 50 --seed 8 --nodes 3 --durability object

A stateful application (count and sum for each key) reads one topic and writes another while records keep coming; it is
killed with -9 at random moments, now and then with the loss of its local state, and a node is killed too (the only one
with its embedded Redis and store, or one of three). In the end what stands in the output at read_committed must be the
model's output of what stands in the input, line for line, and the committed offsets the ends of the input. Installs
quixstreams into a venv of its own.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from cauce.testing import CauceProcess
from tests.apps.quix.model import Line, Number, compare, expected
from tests.apps.quix.party import GROUP, NUMBERS, PARTITIONS, SUMS, Application, Feeder
from tests.apps.quix.venv import python_with
from tests.cauce.cluster import nodes_on, shared_redis
from tests.patience import PATIENCE

PACKAGE = "quixstreams==3.28.1"
_BEGIN_SECONDS = 120.0 * PATIENCE  # within which a life must have processed something
_CATCH_UP_SECONDS = 240.0 * PATIENCE
_SETTINGS = {
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
}


@contextmanager
def running(folder: Path, nodes: int, durability: str) -> Iterator[Sequence[CauceProcess]]:
    """One node with everything embedded, or a cluster."""
    settings = {**_SETTINGS, "cauce.durability": durability, "cauce.flush.interval.ms": "100"}
    if nodes == 1:
        options = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
        with CauceProcess(folder / "node", options=options) as node:
            yield [node]
    else:
        with (
            shared_redis(folder) as redis,
            nodes_on(folder, (folder / "bucket").as_uri(), redis, settings, nodes) as led,
        ):
            yield led.nodes


class Run:
    """Kills by a seed, then the verdict."""

    def __init__(self, application: Application, feeder: Feeder, nodes: Sequence[CauceProcess], seed: int) -> None:
        self._application = application
        self._feeder = feeder
        self._nodes = nodes
        self._random = random.Random(f"{seed} kills")
        self.node_kills = self.states_lost = 0

    def kill(self, kills: int) -> None:
        """So many lives, and one more that goes on."""
        self._application.start()
        for number in range(kills):
            if self._random.random() < 0.2:  # while it begins
                time.sleep(self._random.uniform(0, 8))
            else:
                self._await(
                    "the application processes nothing", _BEGIN_SECONDS, lambda: self._application.processed > 0
                )
                time.sleep(self._random.uniform(0, 5))
            self._application.kill()
            if self._random.random() < 0.4:
                self._application.lose_state()
                self.states_lost += 1
            if self._random.random() < 0.1:
                self._restart(self._random.choice(self._nodes))
            self._application.start()
            print(f"{number + 1} kills, {len(self._feeder.sent)} records", flush=True)
            if self._random.random() < 0.1:  # under the living application
                time.sleep(self._random.uniform(0, 8))
                self._restart(self._random.choice(self._nodes))

    def catch_up(self, bootstrap: str) -> dict[int, int]:
        """Wait until everything is processed; the committed offsets."""
        ends = _ends(bootstrap, NUMBERS)
        self._await("the input is not processed", _CATCH_UP_SECONDS, lambda: _committed(bootstrap) == ends)
        return ends

    def _restart(self, node: CauceProcess) -> None:
        node.kill()
        self.node_kills += 1
        time.sleep(self._random.uniform(0, 2))
        node.start()

    def _await(self, what: str, seconds: float, probe: Callable[[], bool]) -> None:
        deadline = time.monotonic() + seconds
        while not probe():
            if time.monotonic() > deadline:
                raise SystemExit(f"WRONG: {what} within {seconds:.0f} s; see {self._application.log}")
            self._application.keep()
            time.sleep(0.1)  # polls with a deadline


def run(folder: Path, kills: int, seed: int, nodes: int, durability: str, rate: float) -> list[str]:
    """Everything; what is wrong, in sentences."""
    python = python_with(PACKAGE)
    with running(folder, nodes, durability) as cluster:
        bootstrap = ",".join(node.bootstrap for node in cluster)
        admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        for future in admin.create_topics([NewTopic(name, PARTITIONS) for name in (NUMBERS, SUMS)]).values():
            future.result(60)
        feeder, application = Feeder(bootstrap, seed, rate), Application(python, bootstrap, folder)
        feeder.start()
        go = Run(application, feeder, cluster, seed)
        try:
            go.kill(kills)
            feeder.stop()
            ends = go.catch_up(bootstrap)
        finally:
            if application.running:
                application.kill()
        numbers = _read(bootstrap, NUMBERS, lambda key, row: Number(key, row["number"], row["value"]))
        lines = _read(bootstrap, SUMS, lambda key, row: Line(key, row["number"], row["count"], row["total"]))
    wrong = list(compare({partition: expected(rows) for partition, rows in numbers.items()}, lines))
    sent, written = len(feeder.sent), sum(map(len, numbers.values()))
    if feeder.unanswered or sent != written:
        wrong.append(f"{sent} numbers were sent, {feeder.unanswered} without an answer, and {written} are there")
    if ends != {partition: len(numbers.get(partition, ())) for partition in ends}:
        wrong.append(f"committed offsets {ends}, but the input has {[len(rows) for rows in numbers.values()]} records")
    print(
        f"{kills} kills of the application ({go.states_lost} with its state, {application.ended_by_itself} ends by "
        f"itself), {go.node_kills} of nodes; {written} records in, {sum(map(len, lines.values()))} lines out"
    )
    return wrong if written else ["nothing was written: the run says nothing"]


def _consumer(bootstrap: str, **more: Any) -> Consumer:
    settings = {"group.id": GROUP, "enable.auto.commit": False, "isolation.level": "read_committed", "log_level": 0}
    return Consumer({"bootstrap.servers": bootstrap, **settings, **more})


def _committed(bootstrap: str) -> dict[int, int]:
    consumer = _consumer(bootstrap)
    try:
        rows = consumer.committed([TopicPartition(NUMBERS, number) for number in range(PARTITIONS)], timeout=10)
    except KafkaException:  # pending in a transaction, or away
        return {}
    finally:
        consumer.close()
    return {row.partition: max(row.offset, 0) for row in rows}


def _ends(bootstrap: str, topic: str) -> dict[int, int]:
    consumer = _consumer(bootstrap)
    try:
        places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        return {place.partition: consumer.get_watermark_offsets(place, timeout=60)[1] for place in places}
    finally:
        consumer.close()


def _read(bootstrap: str, topic: str, row: Callable[[str, dict[str, int]], Any]) -> dict[int, list[Any]]:
    """Everything in a topic at read_committed, by partition."""
    consumer = _consumer(bootstrap, **{"enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(PARTITIONS)])
    found: dict[int, list[Any]] = {}
    ended: set[int] = set()
    deadline = time.monotonic() + _CATCH_UP_SECONDS
    while len(ended) < PARTITIONS:
        if time.monotonic() > deadline:
            raise SystemExit(f"WRONG: the end of {topic} was not reached")
        for message in consumer.consume(1000, 0.3):
            error = message.error()
            if error is None:
                found.setdefault(message.partition(), []).append(
                    row(message.key().decode(), json.loads(message.value()))
                )
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
    consumer.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Quix Streams with exactly-once processing, killed again and again.")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1)
    parser.add_argument("--durability", choices=("wal", "object"), default="wal")
    parser.add_argument("--rate", type=float, default=50, help="records a second")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left over
    folder = tempfile.mkdtemp(prefix="cauce-quix-")
    print(f"seed {arguments.seed}, {arguments.nodes} nodes, durability {arguments.durability}; in {folder}", flush=True)
    began = time.monotonic()
    wrong = run(Path(folder), arguments.kills, arguments.seed, arguments.nodes, arguments.durability, arguments.rate)
    for sentence in wrong[:20]:
        print(f"WRONG: {sentence}")
    print(f"seed {arguments.seed}: {len(wrong)} wrong after {time.monotonic() - began:.0f} s")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
