"""The clients of `tests.chaos.takeovers`: one producer that never pauses, one consumer that follows."""

import itertools
import threading
import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaError, Producer

from tests.chaos.readers import read_from_beginning
from tests.chaos.score import Diary, Recovery, Score
from tests.checker.history import Operation, Partition, Send

_ANSWER_SECONDS = 120.0


class SteadyWriter(threading.Thread):
    """Unique values with acks=all to one partition after the other, each an operation of its own."""

    def __init__(self, bootstrap: str, places: Sequence[Partition], score: Score, rate: float) -> None:
        """`rate`: records a second."""
        super().__init__(name="writer", daemon=True)
        self._score = score
        self._places = itertools.cycle(places)
        self._rate = rate
        self._diary = Diary(score)
        self._slowest = 0.0
        self._watch: Recovery | None = None
        self._lock = threading.Lock()
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "log_level": 0,
                "enable.idempotence": True,
                "linger.ms": 0,
                "message.timeout.ms": 0,
                "reconnect.backoff.max.ms": 500,
                "error_cb": self._on_error,
            }
        )

    def run(self) -> None:
        """Until the run stops; then until every record has its answer."""
        began = time.monotonic()
        for number in itertools.count(1):
            if self._score.stopping.is_set():
                break
            self._send(next(self._places))
            while (wait := began + number / self._rate - time.monotonic()) > 0:
                self._producer.poll(wait)
        if left := self._producer.flush(_ANSWER_SECONDS):
            self._score.fail(f"{left} records never got their answer")

    def watch(self) -> Recovery:
        """Tell from now on, until the next call, when something that was sent from now on is acknowledged first."""
        self._watch = recovery = Recovery(time.monotonic())
        return recovery

    def take_slowest(self) -> float:
        """How long the slowest record since the last call waited for its acknowledgement, in seconds."""
        with self._lock:
            slowest, self._slowest = self._slowest, 0.0
            return slowest

    def _send(self, place: Partition) -> None:
        value, index, began = self._score.new_value(), self._diary.next_index(), time.monotonic()

        def done(error: Any, message: Any) -> None:
            ended = time.monotonic()
            if error is not None:
                self._score.add(f"told {error.name()}")
            offset = None if error is not None else self._score.place(place, value, message.offset())
            status = "info" if error is not None else "ok"
            sends = (Send(place, value, offset),)
            self._diary.write(Operation(self._diary.process, index, "send", status, sends, began=began, ended=ended))
            with self._lock:
                self._slowest = max(self._slowest, ended - began)
            watch = self._watch
            if watch is not None and error is None and began >= watch.since:
                watch.acknowledged.setdefault(place, ended - watch.since)

        self._producer.produce(place[0], b"%d:" % value + b"x" * 100, partition=place[1], on_delivery=done)

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._score.fail(f"the producer was told of a fatal error: {error}")


class Follower(threading.Thread):
    """Reads along, from the beginning."""

    def __init__(self, bootstrap: str, places: Sequence[Partition], score: Score) -> None:
        super().__init__(name="follower", daemon=True)
        self._brokers = bootstrap
        self._places = places
        self._score = score

    def run(self) -> None:
        """Until nothing more is to be read."""
        read_from_beginning(self._brokers, self._places, self._score, until=self._score.read.is_set)
