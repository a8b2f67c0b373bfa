"""kill -9 in a loop under load: nothing acknowledged is lost, nothing is there twice.

    python -m tests.chaos.kills --kills 100 --seed 7

An idempotent producer (acks=all) sends unique values without a pause while the node is killed at random moments and
started again on the same folder; a consumer reads along. At the end everything is read from the beginning: each
acknowledged value must stand at the offset that its acknowledgement named (somewhere in its partition, where
librdkafka could name none), each value once, offsets without a gap, and what the consumer saw at an offset must be what
stands there.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from cauce.testing import CauceProcess

TOPIC = "kills"
PARTITIONS = 4
_SETTLE_SECONDS = 120.0

Place = tuple[int, int]  # partition, offset


@dataclass
class History:
    """What the clients know: acknowledged places, failures that were told, what was seen while reading along."""

    acknowledged: dict[Place, bytes] = field(default_factory=dict)
    unplaced: dict[bytes, int] = field(default_factory=dict)  # value → partition, acknowledged without an offset
    failed: list[str] = field(default_factory=list)
    seen: dict[Place, bytes] = field(default_factory=dict)
    contradictions: list[str] = field(default_factory=list)
    sent: int = 0


class Load:
    """A producer and a consumer in threads of their own."""

    def __init__(self, bootstrap: str, history: History, seed: int) -> None:
        self._history = history
        self._random = random.Random(seed)
        self._stopping = threading.Event()
        self._bootstrap = bootstrap
        self._threads = [threading.Thread(target=self._produce), threading.Thread(target=self._consume)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop sending, wait for every outstanding acknowledgement."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _produce(self) -> None:
        producer = Producer(
            {
                "bootstrap.servers": self._bootstrap,
                "log_level": 0,
                "enable.idempotence": True,
                "linger.ms": 2,
                "message.timeout.ms": int(_SETTLE_SECONDS * 1000),
                "reconnect.backoff.max.ms": 200,
                "retry.backoff.ms": 50,
                "queue.buffering.max.messages": 5000,
            }
        )

        def done(error: Any, message: Any) -> None:
            if error is not None:
                self._history.failed.append(str(error))
            elif message.offset() is None:  # see `SteadyProducer`
                self._history.unplaced[message.value()] = message.partition()
            else:
                self._history.acknowledged[message.partition(), message.offset()] = message.value()

        while not self._stopping.is_set():
            number = self._history.sent
            value = b"%d:" % number + b"x" * self._random.choice((0, 10, 200, 3000))
            try:
                producer.produce(TOPIC, value, partition=number % PARTITIONS, on_delivery=done)
                self._history.sent += 1
            except BufferError:
                pass
            producer.poll(0.001 if number % 20 == 0 else 0)
        left = producer.flush(_SETTLE_SECONDS)
        if left:
            self._history.failed.append(f"{left} records without an answer")

    def _consume(self) -> None:
        consumer = reader(self._bootstrap)
        while not self._stopping.is_set():
            note(self._history, consumer.consume(500, 0.1))
        consumer.close()


def reader(bootstrap: str) -> Consumer:
    """A consumer at the beginning of every partition."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "log_level": 0,
            "group.id": "kills",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "reconnect.backoff.max.ms": 200,
        }
    )
    consumer.assign([TopicPartition(TOPIC, number, OFFSET_BEGINNING) for number in range(PARTITIONS)])
    return consumer


def note(history: History, messages: Sequence[Any]) -> set[int]:
    """Remember what was read; answers the partitions whose end was reached."""
    ended = set()
    for message in messages:
        error = message.error()
        if error is None:
            place = (message.partition(), message.offset())
            known = history.seen.setdefault(place, message.value())
            if known != message.value():
                history.contradictions.append(f"two values at {place}")
        elif error.code() == KafkaError._PARTITION_EOF:
            ended.add(message.partition())
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:
            history.contradictions.append(f"an offset that was there is out of range: {error.str()}")
    return ended


def read_everything(bootstrap: str, history: History) -> dict[Place, bytes]:
    """All records from the beginning to the end; contradicts nothing seen before."""
    everything = History()
    consumer = reader(bootstrap)
    ended: set[int] = set()
    deadline = time.monotonic() + _SETTLE_SECONDS
    while len(ended) < PARTITIONS:
        if time.monotonic() > deadline:
            raise SystemExit("the end of the log was not reached in time")
        ended |= note(everything, consumer.consume(2000, 0.2))
    consumer.close()
    return everything.seen


def verdict(history: History, log: dict[Place, bytes]) -> list[str]:
    """Everything that is wrong, in sentences."""
    wrong = list(history.contradictions) + [f"a producer was told of a failure: {text}" for text in history.failed[:3]]
    for place, value in history.acknowledged.items():
        if log.get(place) != value:
            wrong.append(f"acknowledged at {place}, but there is {str(log.get(place))[:40]}")
    there = {(place[0], value) for place, value in log.items()}
    for value, partition in history.unplaced.items():
        if (partition, value) not in there:
            wrong.append(f"acknowledged in partition {partition} without an offset, but not there: {str(value)[:40]}")
    for place, value in history.seen.items():
        if log.get(place) != value:
            wrong.append(f"read at {place} before, but now there is {str(log.get(place))[:40]}")
    numbers = [value.split(b":")[0] for value in log.values()]
    if len(set(numbers)) != len(numbers):
        wrong.append(f"{len(numbers) - len(set(numbers))} values are there twice")
    for partition in range(PARTITIONS):
        offsets = sorted(offset for part, offset in log if part == partition)
        if offsets != list(range(len(offsets))):
            wrong.append(f"partition {partition} has a gap")
    return wrong


def run(data: Path, kills: int, seed: int, options: Sequence[str] = (), longest_life: float = 1.5) -> list[str]:
    """The loop; answers what is wrong."""
    chance = random.Random(seed)
    history = History()
    node = CauceProcess(data, options=options).start()
    admin = AdminClient({"bootstrap.servers": node.bootstrap, "log_level": 0})
    for future in admin.create_topics([NewTopic(TOPIC, PARTITIONS)]).values():
        future.result(30)
    load = Load(node.bootstrap, history, seed)
    load.start()
    try:
        for number in range(kills):
            time.sleep(chance.uniform(0.0, longest_life))
            node.kill()
            node.start()
            if sys.stderr.isatty() or number % 10 == 9:
                print(f"  {number + 1} kills, {len(history.acknowledged)} acknowledged", file=sys.stderr, flush=True)
    finally:
        load.stop()
    log = read_everything(node.bootstrap, history)
    node.stop()
    print(f"{kills} kills, {history.sent} sent, {len(history.acknowledged)} acknowledged, {len(log)} in the log")
    if not history.acknowledged:
        return ["nothing was acknowledged: the loop says nothing"]
    return verdict(history, log)


def main() -> None:
    parser = argparse.ArgumentParser(description="kill -9 in a loop under load.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], help="a setting of the node, NAME=VALUE")
    arguments = parser.parse_args()
    options = [word for setting in arguments.set for word in ("--set", setting)]
    with tempfile.TemporaryDirectory(prefix="cauce-kills-") as folder:
        wrong = run(Path(folder), arguments.kills, arguments.seed, options)
    for sentence in wrong[:20]:
        print(f"WRONG: {sentence}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
