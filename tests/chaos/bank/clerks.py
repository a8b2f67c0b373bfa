"""Transfers by order: who gives the orders, and clerks of one group that carry them out, each batch with its offsets
in one transaction. A clerk is given up now and then with everything that it has in hand.
"""

import itertools
import json
import random
import threading
import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from tests.chaos.bank.entries import Transfer, draw_up
from tests.chaos.bank.journal import Journal
from tests.chaos.bank.till import Till
from tests.chaos.bank.topics import ORDERS, draw_amounts
from tests.chaos.client_log import logged
from tests.chaos.readers import QUIET, value_of
from tests.chaos.score import Diary, Score
from tests.checker.history import Operation, Send

GROUP = "clerks"
_FLUSH_SECONDS = 150.0
_MOST_WAITING = 200  # orders that are not carried out: then the customer waits


class Customer(threading.Thread):
    """Gives orders: an idempotent producer whose records never time out."""

    def __init__(self, bootstrap: str, score: Score, journal: Journal, *, rate: float) -> None:
        """`rate`: orders a second."""
        super().__init__(name="customer", daemon=True)
        self._brokers = bootstrap
        self._score = score
        self._journal = journal
        self._rate = rate
        self._random = random.Random(f"{score.seed} customer")

    def run(self) -> None:
        """Until the run stops; then until every order has its answer."""
        diary = Diary(self._score)
        settings = {"enable.idempotence": True, "message.timeout.ms": 0, "reconnect.backoff.max.ms": 500}
        producer = Producer({"bootstrap.servers": self._brokers, "log_level": 0, **settings})
        while not self._score.stopping.is_set():
            if len(self._journal.orders) - self._journal.carried_out < _MOST_WAITING:
                self._order(producer, diary)
            producer.poll(self._random.uniform(0, 2) / self._rate)
        left = producer.flush(_FLUSH_SECONDS)
        if left:
            self._score.fail(f"{left} orders got no answer")

    def _order(self, producer: Producer, diary: Diary) -> None:
        value, place = self._score.new_value(), self._random.choice(ORDERS.places)
        index, began = diary.next_index(), time.monotonic()
        self._journal.order(value)

        def done(error: Any, message: Any) -> None:
            if error is None:
                self._journal.order(value, acknowledged=True)
            else:
                self._score.fail(f"an order was told {error}")
            sends = (Send(place, value, None if error else message.offset()),)
            status = "info" if error else "ok"
            diary.write(Operation(diary.process, index, "send", status, sends, began=began, ended=time.monotonic()))

        payload = b"%d:%s" % (value, json.dumps(draw_amounts(self._random)).encode())
        producer.produce(place[0], payload, partition=place[1], on_delivery=done)


class Clerk(threading.Thread):
    """One member of the group, by one transactional id."""

    def __init__(self, bootstrap: str, score: Score, journal: Journal, *, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._brokers = bootstrap
        self._score = score
        self._journal = journal
        self._random = random.Random(f"{score.seed} {name}")
        self._logged = logged(score, name, "eos,cgrp")

    def run(self) -> None:
        """Until nothing more is read."""
        while not self._score.read.is_set():
            consumer = self._consumer()
            try:
                self._live(consumer)
            except KafkaException as failure:
                self._score.add(f"clerks told {failure.args[0].name()}")
            threading.Thread(target=consumer.close, daemon=True).start()  # it may wait for a group that is away

    def _consumer(self) -> Consumer:
        settings = {"group.id": GROUP, "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        settings.update(QUIET, **{"session.timeout.ms": 10_000}, **self._logged)
        consumer = Consumer({"bootstrap.servers": self._brokers, **settings})
        consumer.subscribe([ORDERS.name])
        return consumer

    def _live(self, consumer: Consumer) -> None:
        till = Till(self._brokers, self.name, self._score, self._journal, self._random, **self._logged)
        end = time.monotonic() + self._random.uniform(10, 60)
        while not self._score.read.is_set() and not till.broken:
            messages = [message for message in consumer.consume(50, 0.3) if message.error() is None]
            if not messages:
                continue
            transfers = [self._carry_out(message.value()) for message in messages]
            if time.monotonic() > end and not self._score.stopping.is_set():
                till.crash(transfers, written=self._random.random() < 0.5)
                return
            offsets = _after(messages), consumer.consumer_group_metadata()
            if not till.commit(transfers, offsets):
                if till.broken:
                    return
                for position in _first(messages):  # what was not committed is carried out again
                    consumer.seek(position)

    def _carry_out(self, payload: bytes) -> Transfer:
        amounts = json.loads(payload.split(b":", 1)[1])
        return draw_up(amounts, self._score.new_value, value_of(payload))


def _after(messages: Sequence[Any]) -> list[TopicPartition]:
    ends = {(message.topic(), message.partition()): message.offset() + 1 for message in messages}
    return [TopicPartition(*place, offset) for place, offset in ends.items()]


def _first(messages: Sequence[Any]) -> list[TopicPartition]:
    rows = sorted((message.topic(), message.partition(), message.offset()) for message in messages)
    groups = itertools.groupby(rows, key=lambda row: row[:2])
    return [TopicPartition(*next(of_place)) for _, of_place in groups]
