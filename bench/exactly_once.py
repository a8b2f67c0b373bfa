"""`python -m bench.exactly_once`: transactions a second, and what they cost a producer that is idempotent anyway.

Producers of librdkafka, each in a thread, write groups of records and wait for each group: once as a transaction, once
as an idempotent producer that waits until the group is acknowledged. The two take turns on one node, so that whatever
else the machine does hits both alike; the ratio is what counts. A last row has no groups: one producer sends as fast
as it can, and commits once a second, or never.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from bench.run import make_topic
from cauce.testing import CauceProcess

TOPIC = "transacted"
PARTITIONS = 4
SIZES = (1, 10, 100)  # records of a group
_RECORD = bytes(1024)
_WAIT_SECONDS = 120.0
_COMMIT_SECONDS = 1.0
_HEAD = (
    "| durability | producers | records a transaction | transactions/s | idempotent groups/s | ratio |\n"
    "|---|---|---|---|---|---|"
)
Work = Callable[[Producer, float], int]  # until that monotonic time; how much was done


@dataclass(frozen=True, slots=True)
class Writer:
    """How a producer writes."""

    transactional: bool

    def make(self, bootstrap: str, name: str) -> Producer:
        """A producer that is ready."""
        own: dict[str, Any] = {"transactional.id": name} if self.transactional else {"enable.idempotence": True}
        producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0, **own})
        if self.transactional:
            producer.init_transactions(_WAIT_SECONDS)
        return producer

    def begin(self, producer: Producer) -> None:
        """A group."""
        if self.transactional:
            producer.begin_transaction()

    def end(self, producer: Producer) -> None:
        """Wait until the group counts."""
        if self.transactional:
            producer.commit_transaction(_WAIT_SECONDS)
        elif producer.flush(_WAIT_SECONDS):
            raise SystemExit("no acknowledgement in time")


def groups(records: int, writer: Writer) -> Work:
    """Groups of so many records, one after the other."""

    def work(producer: Producer, until: float) -> int:
        done = 0
        while time.monotonic() < until:
            writer.begin(producer)
            for number in range(records):
                producer.produce(TOPIC, _RECORD, partition=number % PARTITIONS)
            writer.end(producer)
            done += 1
        return done

    return work


def without_pause(writer: Writer) -> Work:
    """Records as fast as they are taken, ended every second where there is something to end."""

    def work(producer: Producer, until: float) -> int:
        done = 0
        while time.monotonic() < until:
            writer.begin(producer)
            ends = min(until, time.monotonic() + _COMMIT_SECONDS) if writer.transactional else until
            while time.monotonic() < ends:
                try:
                    producer.produce(TOPIC, _RECORD, partition=done % PARTITIONS)
                    done += 1
                except BufferError:
                    producer.poll(0.01)
            writer.end(producer)
        return done

    return work


def rate(bootstrap: str, name: str, writer: Writer, work: Work, producers: int, seconds: float) -> float:
    """What all producers together did in a second."""
    made = [writer.make(bootstrap, f"{name}-{number}") for number in range(producers)]
    began = time.monotonic()
    with ThreadPoolExecutor(producers) as pool:
        done = sum(pool.map(lambda producer: work(producer, began + seconds), made))
    return done / (time.monotonic() - began)


def compare(bootstrap: str, make: Callable[[Writer], Work], producers: int, options: argparse.Namespace) -> list[float]:
    """Transactional and idempotent rate: means of rounds that take turns."""
    writers = [Writer(True), Writer(False)]
    totals = [0.0, 0.0]
    for _ in range(options.rounds):
        for place, writer in enumerate(writers):
            name = f"bench-{time.monotonic_ns()}"
            totals[place] += rate(bootstrap, name, writer, make(writer), producers, options.seconds)
    return [total / options.rounds for total in totals]


def main() -> None:
    """One table for each durability."""
    parser = argparse.ArgumentParser(prog="python -m bench.exactly_once", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--producers", type=int, nargs="*", default=[1, 8])
    parser.add_argument("--durability", nargs="*", default=["wal", "object"])
    options = parser.parse_args()
    print(_HEAD, flush=True)
    for durability in options.durability:
        with tempfile.TemporaryDirectory(prefix="cauce-bench-") as folder:
            words = ["--set", f"cauce.durability={durability}"]
            with CauceProcess(Path(folder), options=words) as node:
                make_topic(node.bootstrap, TOPIC, PARTITIONS)
                for producers in options.producers:
                    for size in SIZES:
                        pair = compare(node.bootstrap, partial(groups, size), producers, options)
                        _row(durability, producers, str(size), pair)
                pair = compare(node.bootstrap, without_pause, 1, options)
                _row(durability, 1, "a second's (figures are records/s)", pair)


def _row(durability: str, producers: int, what: str, pair: list[float]) -> None:
    transactional, idempotent = pair
    figures = f"{transactional:,.1f} | {idempotent:,.1f} | {transactional / idempotent:.2f}"
    print(f"| {durability} | {producers} | {what} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
