"""Producers that offer a steady load whatever happens, each a process of its own, and the reading back of it all.

A value begins with its producer and its number, so that numpy can tell what is lost, doubled or in the wrong place.
While librdkafka's queue is full the application stands still; what it misses meanwhile it makes up for only if told to.
"""

import logging
import multiprocessing
import os
import re
import struct
import time
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.synchronize import Event
from typing import Any

import numpy as np
import numpy.typing as npt
from confluent_kafka import KafkaError, Producer

from bench.read_back import read_heads

RECORD_BYTES = 10_240
_HEAD = struct.Struct("<qq")  # producer, number
_POOL_BYTES = 1 << 20
_RUN = 100  # records in a row for one partition: a record batch of about 1 MB
_QUEUE_KIB = 64 << 10
_FLUSH_SECONDS = 1200.0
_TICK_SECONDS = 0.25
_IDLE_SECONDS = 60.0
_ERROR = re.compile(r"encountered error: (.*?) \(actions")

RETRIABLE = {
    KafkaError(code).str()
    for code in (
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
    )
}
"""What an idempotent producer tries again by itself, in librdkafka's words."""

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one producer process is to do."""

    bootstrap: str
    topic: str
    number: int
    partitions: Sequence[int]
    records_per_second: float
    began: float  # monotonic seconds
    make_up: bool


@dataclass(slots=True)
class Produced:
    """What one producer process did. Its record n went to the partition `partition_of(n)`."""

    number: int
    offsets: Int64s  # by record; -1 without an acknowledgement
    ticks: list[tuple[float, int, int, int]]  # monotonic seconds, records offered, handed to librdkafka, acknowledged
    told: Counter[str] = field(default_factory=Counter)  # errors of batches, which librdkafka tried again
    failed: list[str] = field(default_factory=list)  # errors that reached the application


def partition_of(partitions: Sequence[int], record: int) -> int:
    """Where a producer with these partitions sends its record."""
    return partitions[record // _RUN % len(partitions)]


class Producers:
    """The processes."""

    def __init__(self, loads: Sequence[Load]) -> None:
        context = multiprocessing.get_context("spawn")
        self._end: Event = context.Event()
        self._out: Any = context.Queue()
        self._processes = [context.Process(target=_produce, args=(load, self._end, self._out)) for load in loads]
        for process in self._processes:
            process.start()

    def finish(self) -> list[Produced]:
        """Offer nothing more; wait until all that was offered has its answer."""
        self._end.set()
        results: list[Produced] = [self._out.get(timeout=_FLUSH_SECONDS + 60) for _ in self._processes]
        for process in self._processes:
            process.join()
        return sorted(results, key=lambda one: one.number)

    def kill(self) -> None:
        """End them now."""
        for process in self._processes:
            process.kill()


class _Run(logging.Handler):
    """One producer process; as a log handler it hears what librdkafka says of batches that failed."""

    def __init__(self, load: Load) -> None:
        super().__init__(logging.DEBUG)
        self._load = load
        self._pool = os.urandom(_POOL_BYTES + RECORD_BYTES)
        self._offsets = array("q")
        self._acknowledged = self._answered = self._sent = self._missed = 0
        self._next_tick = 0.0
        self.done = Produced(load.number, np.empty(0, np.int64), [])
        logger = logging.Logger("librdkafka", logging.DEBUG)
        logger.addHandler(self)
        self._producer = Producer(
            {
                "bootstrap.servers": load.bootstrap,
                "enable.idempotence": True,
                "acks": "all",
                "message.timeout.ms": 0,
                "linger.ms": 50,
                "batch.size": 1_000_000,
                "queue.buffering.max.kbytes": _QUEUE_KIB,
                "debug": "msg",
                "error_cb": self._on_error,
            },
            logger=logger,
        )

    def emit(self, record: logging.LogRecord) -> None:
        if found := _ERROR.search(record.getMessage()):
            self.done.told[found[1]] += 1

    def run(self, end: Event) -> Produced:
        """Until told to end, and then until all that was offered by then is acknowledged."""
        while not end.is_set():
            self._send(self._offered())
        last = self._offered() if self._load.make_up else self._sent
        deadline = time.monotonic() + _FLUSH_SECONDS
        while self._answered < last and time.monotonic() < deadline:
            self._send(last)
        self.done.offsets = np.array(self._offsets, np.int64)
        if self._answered < last:
            self.done.failed.append(f"{last - self._answered} records without an answer in {_FLUSH_SECONDS:.0f} s")
        return self.done

    def _offered(self) -> int:
        due = int((time.monotonic() - self._load.began) * self._load.records_per_second)
        return max(0, due - self._missed)

    def _send(self, upto: int) -> None:
        """What is due, as far as the queue takes it; then look for answers."""
        wait = 0.01
        while self._sent < upto:
            number = self._sent
            place = number * 7919 % _POOL_BYTES
            value = _HEAD.pack(self._load.number, number) + self._pool[place : place + RECORD_BYTES - _HEAD.size]
            try:
                self._producer.produce(
                    self._load.topic,
                    value,
                    partition=partition_of(self._load.partitions, number),
                    on_delivery=partial(self._delivered, number),
                )
            except BufferError:
                wait = 0.05
                if not self._load.make_up:
                    self._missed += upto - self._sent
                    upto = self._sent
                break
            self._offsets.append(-1)
            self._sent += 1
            if number % _RUN == 0:
                self._producer.poll(0)
        self._producer.poll(wait)
        now = time.monotonic()
        if now >= self._next_tick:
            self._next_tick = now + _TICK_SECONDS
            self.done.ticks.append((now, max(upto, self._sent), self._sent, self._acknowledged))

    def _delivered(self, number: int, error: KafkaError | None, message: Any) -> None:
        self._answered += 1
        if error is None:
            self._offsets[number] = message.offset()
            self._acknowledged += 1
        elif len(self.done.failed) < 100:
            self.done.failed.append(f"record {number}: {error}")

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self.done.failed.append(f"fatal: {error}")


def _produce(load: Load, end: Event, out: Any) -> None:
    out.put(_Run(load).run(end))


def read_back(bootstrap: str, topic: str, partitions: int) -> dict[int, tuple[Int64s, Int64s]]:
    """(producer, number) of each record of each partition, by offset. Raises `SystemExit` at a gap or an early end."""
    large = {"fetch__message__max__bytes": 8 << 20, "queued__max__messages__kbytes": 64 << 10}
    heads = read_heads(bootstrap, topic, partitions, _HEAD.size, _IDLE_SECONDS, **large)
    rows = [np.frombuffer(head, np.int64).reshape(-1, 2) for head in heads]
    return {number: (row[:, 0].copy(), row[:, 1].copy()) for number, row in enumerate(rows)}


def problems(loads: Sequence[Load], results: Sequence[Produced], found: dict[int, tuple[Int64s, Int64s]]) -> list[str]:
    """What is lost, doubled, out of order, or not where its acknowledgement said."""
    told: list[str] = []
    for load, produced in zip(loads, results, strict=True):
        numbers = np.arange(len(produced.offsets))
        homes = np.array(load.partitions)[numbers // _RUN % len(load.partitions)]
        for partition in load.partitions:
            producers, records = found[partition]
            name = f"producer {load.number}, partition {partition}"
            places = np.flatnonzero(producers == load.number)
            read = records[places]
            doubled = len(read) - len(np.unique(read))
            if doubled:
                told.append(f"{name}: {doubled} records stand there twice")
            elif (np.diff(read) <= 0).any():
                told.append(f"{name}: records are out of order")
            acknowledged = numbers[(homes == partition) & (produced.offsets >= 0)]
            lost = np.setdiff1d(acknowledged, read)
            if len(lost):
                told.append(f"{name}: {len(lost)} acknowledged records are lost, the first is {lost[0]}")
            kept = acknowledged[produced.offsets[acknowledged] < len(records)]
            elsewhere = int((records[produced.offsets[kept]] != kept).sum()) + len(acknowledged) - len(kept)
            if elsewhere:
                told.append(f"{name}: {elsewhere} records are not at the offset that was acknowledged")
    return told
