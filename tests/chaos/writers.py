"""Idempotent producers (librdkafka) that write unique values with acks=all, whatever happens.

A record never times out in them: when one does, librdkafka begins a new producer epoch and sends again with it what is
under way, so that records stand twice without anybody's fault. What is ambiguous comes from producers that are given up
with everything that they have under way, as those of a client that crashes.
"""

import random
import threading
import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaError, Producer

from tests.chaos.client_log import logged
from tests.chaos.score import Diary, Score
from tests.checker.history import Operation, Partition, Send

_MOST_WAITING = 3000  # records without an answer: then it waits as an application would
_FLUSH_SECONDS = 150.0


class _Running:
    """An operation whose records are under way."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.began = time.monotonic()
        self.sends: list[Send] = []
        self.left = 0

    def ended(self, process: int) -> Operation:
        """As it stands in the history; records without an answer are ambiguous."""
        whole = all(send.offset is not None for send in self.sends)
        status = "ok" if whole else "info"
        now = time.monotonic()
        return Operation(process, self.index, "send", status, sends=tuple(self.sends), began=self.began, ended=now)


class Writer(threading.Thread):
    """One producer after the other, each a process of its own."""

    def __init__(
        self, bootstrap: str, places: Sequence[Partition], score: Score, *, name: str, rate: float, lives: float
    ) -> None:
        """`rate`: operations a second, of one to three records. `lives`: about so many seconds, then it is given up."""
        super().__init__(name=name, daemon=True)
        self._brokers = bootstrap
        self._places = places
        self._score = score
        self._rate = rate
        self._lives = lives
        self._random = random.Random(f"{score.seed} {name}")
        self._under_way: dict[int, _Running] = {}
        self._broken = False
        self._logged = logged(score, name, "eos")

    def run(self) -> None:
        """Until the run stops; then until every record has its answer."""
        while not self._score.stopping.is_set():
            self._live()

    def _live(self) -> None:
        diary = Diary(self._score)
        producer = self._producer()
        self._broken = False
        began, done = time.monotonic(), 0
        end = began + self._lives * self._random.uniform(0.5, 1.5)
        while not self._score.stopping.is_set() and not self._broken and time.monotonic() < end:
            wait = began + done / self._rate - time.monotonic()
            if wait < -1:  # it stood still: what was missed is not made up for
                began, done = time.monotonic(), 0
            producer.poll(max(0.0, wait))
            if time.monotonic() < began + done / self._rate:  # it was woken by an answer
                continue
            if len(producer) < _MOST_WAITING:
                self._send(producer, diary)
            done += 1
        if self._score.stopping.is_set():
            producer.flush(_FLUSH_SECONDS)
        del producer  # nothing more leaves it; after a purge it would begin a new epoch, and send again what is left
        for running in list(self._under_way.values()):
            diary.write(running.ended(diary.process))
        self._under_way.clear()

    def _producer(self) -> Producer:
        return Producer(
            {
                "bootstrap.servers": self._brokers,
                **self._logged,
                "enable.idempotence": True,
                "linger.ms": self._random.choice((0, 5, 20)),
                "message.timeout.ms": 0,
                "request.timeout.ms": 10_000,
                "socket.timeout.ms": 15_000,
                "reconnect.backoff.max.ms": 500,
                "retry.backoff.ms": 50,
                "error_cb": self._on_error,
            }
        )

    def _send(self, producer: Producer, diary: Diary) -> None:
        running = _Running(diary.next_index())
        for _ in range(self._random.choice((1, 1, 2, 3))):
            place, value = self._random.choice(self._places), self._score.new_value()
            at = len(running.sends)
            running.sends.append(Send(place, value))
            running.left += 1
            payload = b"%d:" % value + b"x" * self._random.choice((0, 20, 200, 2000))

            def done(error: Any, message: Any, running: _Running = running, at: int = at) -> None:
                self._delivered(error, message, running, at, diary)

            producer.produce(place[0], payload, partition=place[1], on_delivery=done)
        self._under_way[running.index] = running

    def _delivered(self, error: Any, message: Any, running: _Running, at: int, diary: Diary) -> None:
        if error is None:
            send = running.sends[at]
            offset = self._score.place(send.partition, send.value, message.offset())
            running.sends[at] = send._replace(offset=offset)
        else:
            self._score.add(f"told {error.name()}")
            if error.code() == KafkaError.UNKNOWN:
                self._score.fail(f"{self.name} was told UNKNOWN_SERVER_ERROR")
        running.left -= 1
        if running.left == 0 and self._under_way.pop(running.index, None) is not None:
            diary.write(running.ended(diary.process))

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._broken = True
            self._score.fail(f"{self.name} was told of a fatal error: {error}")
