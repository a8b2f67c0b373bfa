"""The same consumers on aiokafka: another client's fetch sessions, heartbeats and reading of errors."""

import asyncio
import contextlib
import logging
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from tests.chaos.readers import value_of, write_poll
from tests.chaos.score import Diary, Score
from tests.chaos.topics import ChaosTopic
from tests.checker.history import Operation, Partition, Poll

logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # thousands of lines while a node is away


class AioReader(threading.Thread):
    """By assign, from the beginning; a new consumer, which is a new process, after an error."""

    def __init__(self, bootstrap: str, topics: Sequence[ChaosTopic], score: Score, *, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._brokers = bootstrap
        self._places = [TopicPartition(*place) for topic in topics for place in topic.places]
        self._score = score
        self._random = random.Random(f"{score.seed} {name}")
        self._next: dict[TopicPartition, int] = {}

    def run(self) -> None:
        """Until the run stops."""
        asyncio.run(again_and_again(self._read, self._score, self.name))

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._brokers,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            fetch_max_wait_ms=200,
            request_timeout_ms=15_000,
        )
        async with started(consumer):
            consumer.assign(self._places)
            diary = Diary(self._score)
            turn = 0.0
            while not self._score.read.is_set():
                if time.monotonic() > turn:
                    turn = time.monotonic() + self._random.uniform(15, 40)
                    self._seek(consumer, diary)
                began = time.monotonic()
                try:
                    found = await consumer.getmany(timeout_ms=300, max_records=500)
                except OffsetOutOfRangeError as error:
                    self._score.fail(f"an offset that was read before is out of range: {error!r}")
                    raise
                for place, records in found.items():
                    self._next[place] = records[-1].offset + 1
                if found:
                    write_poll(diary, _polls(found), began)

    def _seek(self, consumer: AIOKafkaConsumer, diary: Diary) -> None:
        for place in self._places:
            known = self._next.get(place, 0)
            consumer.seek(place, self._random.choice((0, known, self._random.randint(0, known))))
        now = time.monotonic()
        diary.write(Operation(diary.process, diary.next_index(), "assign", "ok", began=now, ended=now))


class AioMember(threading.Thread):
    """A member of a consumer group, by subscribe."""

    def __init__(self, bootstrap: str, group: str, topic: ChaosTopic, score: Score, *, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._brokers = bootstrap
        self._group = group
        self._topic = topic
        self._score = score
        self.got: set[int] = set()

    def run(self) -> None:
        """Until the run stops."""
        asyncio.run(again_and_again(self._read, self._score, self.name))

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._brokers,
            group_id=self._group,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            auto_commit_interval_ms=500,
            session_timeout_ms=10_000,
            fetch_max_wait_ms=200,
            request_timeout_ms=15_000,
        )
        moved = _Moved(self._score)
        async with started(consumer):
            consumer.subscribe([self._topic.name], listener=moved)
            diary, now = Diary(self._score), time.monotonic()
            diary.write(Operation(diary.process, diary.next_index(), "subscribe", "ok", began=now, ended=now))
            while not self._score.read.is_set():
                began = time.monotonic()
                found = await consumer.getmany(timeout_ms=300, max_records=500)
                polls = _polls(found)
                self.got.update(poll.value for poll in polls)
                places, moved.places = tuple(moved.places), []
                if polls or places:
                    write_poll(diary, polls, began, places)


class _Moved(ConsumerRebalanceListener):
    """Remembers what was assigned since it was asked last."""

    def __init__(self, score: Score) -> None:
        self.places: list[Partition] = []
        self._score = score

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        return

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        self.places += [(one.topic, one.partition) for one in assigned]
        self._score.add("rebalances")


async def again_and_again(read: Callable[[], Coroutine[Any, Any, None]], score: Score, name: str) -> None:
    """Until the run stops, whatever a client is told meanwhile."""
    while not score.read.is_set():
        try:
            await read()
        except (KafkaError, OSError) as error:
            score.add(f"aiokafka told {type(error).__name__}")
            await asyncio.sleep(0.5)
        except Exception as error:  # noqa: BLE001 (whatever ends a client must show, and must not end the run)
            score.add(f"{name} ended by {error!r}")
            await asyncio.sleep(0.5)


@contextlib.asynccontextmanager
async def started(consumer: AIOKafkaConsumer) -> AsyncIterator[None]:
    """Start it, and stop it within seconds whatever it waits for."""
    try:
        await consumer.start()
        yield
    finally:
        with contextlib.suppress(TimeoutError, KafkaError):
            async with asyncio.timeout(10):
                await consumer.stop()


def _polls(found: "dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]") -> tuple[Poll, ...]:
    return tuple(
        Poll((place.topic, place.partition), record.offset, value_of(record.value))
        for place, records in found.items()
        for record in records
    )
