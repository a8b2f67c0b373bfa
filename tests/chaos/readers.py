"""Consumers on librdkafka: one that assigns itself partitions and goes back now and then, and members of a group."""

import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from tests.chaos.client_log import logged
from tests.chaos.score import Diary, Score
from tests.chaos.topics import ChaosTopic
from tests.checker.history import Operation, Partition, Poll

QUIET = {
    "log_level": 0,
    "reconnect.backoff.max.ms": 500,
    "fetch.wait.max.ms": 200,
    "isolation.level": "read_committed",
}
_CLOCK_SECONDS = 200.0  # a record stamped so far from now shows that its leader's clock has jumped


class Reader(threading.Thread):
    """A consumer by assign, from the beginning, and again from anywhere."""

    def __init__(self, bootstrap: str, topics: Sequence[ChaosTopic], score: Score, *, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._brokers = bootstrap
        self._places = [place for topic in topics for place in topic.places]
        self._score = score
        self._random = random.Random(f"{score.seed} {name}")
        self._next: dict[Partition, int] = {}
        self._logged = logged(score, name, "fetch", only="VALID")  # what it asked of leader epochs
        self._diary = Diary(score)

    def run(self) -> None:
        """Until the run stops."""
        consumer = self._begin(dict.fromkeys(self._places, OFFSET_BEGINNING))
        turn = time.monotonic() + self._random.uniform(10, 40)
        while not self._score.read.is_set():
            if time.monotonic() > turn:
                turn = time.monotonic() + self._random.uniform(10, 40)
                consumer.close()
                consumer = self._begin(self._anywhere())
            polls = take(consumer, self._diary, self._score, self._next)
            self._score.add("clock jumps seen", count_jumped(polls))
        consumer.close()

    def _anywhere(self) -> dict[Partition, int]:
        if self._random.random() < 0.3:
            return dict.fromkeys(self._places, OFFSET_BEGINNING)
        return {place: self._random.randint(0, self._next.get(place, 0)) for place in self._places}

    def _begin(self, starts: dict[Partition, int]) -> Consumer:
        """A consumer of its own for each beginning: one that is assigned a partition anew, while what it asked of it
        before has no answer yet, may hand out both."""
        consumer = consumer_of(self._brokers, f"not-used-{self.name}", **self._logged)
        now = time.monotonic()
        consumer.assign([TopicPartition(topic, number, offset) for (topic, number), offset in starts.items()])
        self._diary.write(
            Operation(self._diary.process, self._diary.next_index(), "assign", "ok", began=now, ended=now)
        )
        return consumer


class Member(threading.Thread):
    """A member of a consumer group, by subscribe, that commits by itself."""

    def __init__(self, bootstrap: str, group: str, topic: ChaosTopic, score: Score, *, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._brokers = bootstrap
        self._group = group
        self._topic = topic
        self._score = score
        self._diary = Diary(score)
        self._assigned: list[Partition] = []
        self.got: set[int] = set()  # values

    def run(self) -> None:
        """Until the run stops."""
        settings = {"auto.offset.reset": "earliest", "auto.commit.interval.ms": 500, "session.timeout.ms": 10_000}
        settings.update(logged(self._score, self.name, "cgrp"))
        consumer = Consumer({"bootstrap.servers": self._brokers, "group.id": self._group, **QUIET, **settings})
        consumer.subscribe([self._topic.name], on_assign=self._on_assign)
        now = time.monotonic()
        self._diary.write(
            Operation(self._diary.process, self._diary.next_index(), "subscribe", "ok", began=now, ended=now)
        )
        while not self._score.read.is_set():
            began, messages = time.monotonic(), consumer.consume(500, 0.3)
            polls = polls_of(message for message in messages if message.error() is None)
            self.got.update(poll.value for poll in polls)
            moved, self._assigned = tuple(self._assigned), []
            if polls or moved:
                write_poll(self._diary, polls, began, moved)
        consumer.close()

    def _on_assign(self, consumer: Any, partitions: Iterable[Any]) -> None:
        self._assigned += [(one.topic, one.partition) for one in partitions]
        self._score.add("rebalances")


def consumer_of(bootstrap: str, group: str, **more: Any) -> Consumer:
    """A consumer for assign; an offset that is out of range is an error, and never silently another one."""
    settings = {"group.id": group, "enable.auto.commit": False, "auto.offset.reset": "error"}
    return Consumer({"bootstrap.servers": bootstrap, **QUIET, **settings, **more})


def read_from_beginning(
    bootstrap: str,
    places: Sequence[Partition],
    score: Score,
    *,
    until: Callable[[], bool],
    ended: set[Partition] | None = None,
) -> None:
    """One consumer that is assigned everything; `until` is asked between two polls. `ended`: as `take` has it."""
    consumer = consumer_of(bootstrap, "not-used", **{"enable.partition.eof": ended is not None})
    consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in places])
    diary, now = Diary(score), time.monotonic()
    diary.write(Operation(diary.process, diary.next_index(), "assign", "ok", began=now, ended=now))
    while not until():
        take(consumer, diary, score, {}, ended)
    consumer.close()


def read_to_end(
    bootstrap: str, places: Sequence[Partition], score: Score, within_seconds: float, linger_seconds: float = 0.0
) -> None:
    """The last poll: everything, from the beginning to the end of every partition, and then for a while more."""
    ended: set[Partition] = set()
    deadline = time.monotonic() + within_seconds
    over_at: float | None = None

    def over() -> bool:
        nonlocal over_at
        now = time.monotonic()
        if over_at is None and (len(ended) == len(places) or now > deadline):
            over_at = now + linger_seconds
            for place in sorted(set(places) - ended):
                score.fail(f"the end of {place[0]}-{place[1]} was not reached in {within_seconds:.0f} s")
        return over_at is not None and now >= over_at

    read_from_beginning(bootstrap, places, score, until=over, ended=ended)
    score.check_unplaced(places)


def take(
    consumer: Consumer,
    diary: Diary,
    score: Score,
    next_offsets: dict[Partition, int],
    ended: set[Partition] | None = None,
) -> list[Any]:
    """One poll into the history; answers the messages, errors left out. `ended`: partitions that came to their end."""
    began, found = time.monotonic(), []
    try:
        messages = consumer.consume(500, 0.3)
    except KafkaException as error:  # of the client as a whole: brokers that are away
        score.add(f"reader told {error.args[0].name()}")
        return []
    for message in messages:
        if message.error() is None:
            found.append(message)
            next_offsets[message.topic(), message.partition()] = message.offset() + 1
        elif message.error().code() == KafkaError._AUTO_OFFSET_RESET:
            note_reset(score, message.error())
        elif message.error().code() == KafkaError._PARTITION_EOF:
            if ended is not None:
                ended.add((message.topic(), message.partition()))
        else:
            score.add(f"reader told {message.error().name()}")
    polls = polls_of(found)
    if polls:
        write_poll(diary, polls, began)
    return found


def note_reset(score: Score, error: KafkaError) -> None:
    """A consumer lost its position, which must not be.

    Only where it says that the log was truncated is it not believed: librdkafka holds the answer about one position
    against the next one that it has got to meanwhile. What was read and is gone, the checker finds.
    """
    if "truncation" in error.str():
        score.add("truncations told")
    else:
        score.fail(f"an offset that was read before is out of range: {error.str()}")


def polls_of(messages: Iterable[Any]) -> tuple[Poll, ...]:
    """Messages as the history has them."""
    return tuple(
        Poll((message.topic(), message.partition()), message.offset(), value_of(message.value()))
        for message in messages
    )


def value_of(payload: bytes) -> int:
    """The number in front of the padding."""
    return int(payload.split(b":", 1)[0])


def write_poll(diary: Diary, polls: tuple[Poll, ...], began: float, moved: tuple[Partition, ...] = ()) -> None:
    """A poll that ends now."""
    index, now = diary.next_index(), time.monotonic()
    diary.write(Operation(diary.process, index, "poll", "ok", polls=polls, began=began, ended=now, repositioned=moved))


def count_jumped(messages: Iterable[Any]) -> int:
    """Records that a leader stamped with a clock that is not ours."""
    now = time.time()  # noqa: TID251 (what is looked for is a difference from the wall clock)
    times = [message.timestamp() for message in messages]
    stamps = [stamp / 1000 for kind, stamp in times if kind == TIMESTAMP_LOG_APPEND_TIME]
    return sum(stamp > now + _CLOCK_SECONDS for stamp in stamps)
