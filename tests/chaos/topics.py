"""The topics of a chaos run: those that are written all the time, and those that come and go meanwhile."""

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.chaos.score import Diary, Score
from tests.checker.history import Operation, Partition, Send

_ANSWER_SECONDS = 20.0
_SETTLE_SECONDS = 60.0


@dataclass(frozen=True)
class ChaosTopic:
    """One that is written all the time."""

    name: str
    partitions: int
    configs: dict[str, str] = field(default_factory=dict)

    @property
    def places(self) -> list[Partition]:
        """Its partitions."""
        return [(self.name, number) for number in range(self.partitions)]


# However clocks jump, no record is refused for its time: what is under way behind a record that is refused for good
# is out of order, on any broker; librdkafka then begins a new epoch, and what it has no answer to can stand twice.
ANY_TIME = {"message.timestamp.after.max.ms": str((1 << 63) - 1)}

STEADY = ChaosTopic("steady", 6, {"segment.bytes": "1048576", **ANY_TIME})
STAMPED = ChaosTopic("stamped", 4, {"message.timestamp.type": "LogAppendTime"})  # shows the clock of its leader
SHARED = ChaosTopic("shared", 4, ANY_TIME)  # what consumer groups read
TOPICS = (STEADY, STAMPED, SHARED)


def admin_client(bootstrap: str) -> AdminClient:
    """One that does not print."""
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, "reconnect.backoff.max.ms": 500})


def create(bootstrap: str, topics: Sequence[ChaosTopic]) -> None:
    """Create them, on a cluster that is well."""
    admin = admin_client(bootstrap)
    new = [NewTopic(topic.name, topic.partitions, config=topic.configs) for topic in topics]
    for future in admin.create_topics(new).values():
        future.result(60)


def told(error: KafkaException | TimeoutError) -> str:
    """Kafka's name of an error."""
    return str(error.args[0].name()) if isinstance(error, KafkaException) else "a time-out"


class Passing(threading.Thread):
    """Creates topics, writes a few values, deletes some of them again, all through the faults."""

    def __init__(self, bootstrap: str, score: Score) -> None:
        super().__init__(name="passing topics", daemon=True)
        self._brokers = bootstrap
        self._score = score
        self._random = random.Random(f"{score.seed} passing")
        self.staying: list[ChaosTopic] = []  # whose values must be there in the end

    def run(self) -> None:
        """Until the run stops."""
        number = 0
        while not self._score.stopping.wait(self._random.uniform(4, 10)):
            number += 1
            topic = ChaosTopic(f"passing-{number}", self._random.randint(1, 3), ANY_TIME)
            stays = self._random.random() < 0.4
            if self._create_topic(topic):
                sends = self._write(topic)
                if stays:
                    self.staying.append(topic)
                    self._note(sends)
                else:
                    self._delete_topic(topic)

    def _create_topic(self, topic: ChaosTopic) -> bool:
        admin = admin_client(self._brokers)
        try:
            admin.create_topics([NewTopic(topic.name, topic.partitions)])[topic.name].result(_ANSWER_SECONDS)
        except (KafkaException, TimeoutError) as error:
            self._score.add(f"ambiguous creations ({told(error)})")
            return False
        self._score.add("topics created")
        return True

    def _write(self, topic: ChaosTopic) -> list[Send]:
        sends: list[Send] = []
        settings = {"bootstrap.servers": self._brokers, "log_level": 0, "enable.idempotence": True}
        producer = Producer({**settings, "message.timeout.ms": 0})  # see `writers`
        for _ in range(self._random.randint(1, 30)):
            place, value = self._random.choice(topic.places), self._score.new_value()

            def done(error: Any, message: Any, at: int = len(sends)) -> None:
                if error is None:
                    offset = self._score.place(sends[at].partition, sends[at].value, message.offset())
                    sends[at] = sends[at]._replace(offset=offset)

            sends.append(Send(place, value))
            producer.produce(topic.name, b"%d:" % value, partition=place[1], on_delivery=done)
        producer.flush(_SETTLE_SECONDS)
        producer.purge()
        producer.flush(1)
        return sends

    def _delete_topic(self, topic: ChaosTopic) -> None:
        admin = admin_client(self._brokers)  # its requests end with it
        try:
            admin.delete_topics([topic.name])[topic.name].result(_ANSWER_SECONDS)
        except (KafkaException, TimeoutError) as error:
            self._score.add(f"ambiguous deletions ({told(error)})")
        else:
            self._score.add("topics deleted")

    def _note(self, sends: Sequence[Send]) -> None:
        diary, now = Diary(self._score), time.monotonic()
        whole = all(send.offset is not None for send in sends)
        status = "ok" if whole else "info"
        diary.write(Operation(diary.process, diary.next_index(), "send", status, tuple(sends), began=now, ended=now))
