"""Reads the books at read_committed again and again, and draws up the balance whenever it is at their ends."""

import random
import threading
import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from tests.chaos.bank.entries import parse_entry
from tests.chaos.bank.ledger import Books, audit
from tests.chaos.bank.topics import BOOKS
from tests.chaos.client_log import logged
from tests.chaos.readers import consumer_of, count_jumped, note_reset, polls_of, write_poll
from tests.chaos.score import Diary, Score
from tests.checker.history import Operation, Partition

_AUDIT_SECONDS = 20.0  # then one is given up: a node is away


class Auditor(threading.Thread):
    """One reader; it goes on where it was, and sometimes begins anew."""

    def __init__(self, bootstrap: str, score: Score) -> None:
        super().__init__(name="auditor", daemon=True)
        self.books = Books()
        self._brokers = bootstrap
        self._score = score
        self._random = random.Random(f"{score.seed} auditor")
        self._logged = logged(score, self.name, "fetch", only="VALID")  # what it asked of leader epochs
        self._cuts: dict[Partition, int] = {}  # where the last audit stopped

    def run(self) -> None:
        """Until nothing more is read."""
        while not self._score.read.wait(self._random.uniform(0, 3)):
            self.audit(anew=self._random.random() < 0.15)

    def audit(self, *, anew: bool, seconds: float = _AUDIT_SECONDS) -> bool:
        """Read to the end of every book; whether that went well. What is wrong goes to the score."""
        reading = _Reading(self, dict.fromkeys(BOOKS, 0) if anew else {**dict.fromkeys(BOOKS, 0), **self._cuts})
        if not reading.to_the_ends(self._brokers, self._score, seconds, self._logged):
            self._score.add("audits given up")
            return False
        for place, (start, end) in reading.ranges.items():
            for finding in self.books.missing(place, start, end, reading.read[place]):
                self._score.fail(f"{finding.kind}: {finding.sentence}")
            self._cuts[place] = max(end, self._cuts.get(place, 0))
        found = audit(self.books)
        for finding in found.findings:
            self._score.fail(f"{finding.kind}: {finding.sentence}")
        self._score.add("audits")
        self._score.add("transfers seen in transit", found.in_transit)
        return True


class _Reading:
    """One audit's way through the books; what comes of a book after its end is left to the next."""

    def __init__(self, auditor: Auditor, starts: dict[Partition, int]) -> None:
        self.ranges = {place: (start, start) for place, start in starts.items()}
        self.read: dict[Partition, set[int]] = {place: set() for place in starts}
        self._books = auditor.books
        self._ended: set[Partition] = set()

    def to_the_ends(self, bootstrap: str, score: Score, seconds: float, settings: Mapping[str, Any]) -> bool:
        """Whether it came there in time."""
        consumer = consumer_of(bootstrap, "not-used", **{"enable.partition.eof": True, **settings})
        starts = [TopicPartition(*place, start or OFFSET_BEGINNING) for place, (start, _) in self.ranges.items()]
        consumer.assign(starts)
        diary, now = Diary(score), time.monotonic()
        diary.write(Operation(diary.process, diary.next_index(), "assign", "ok", began=now, ended=now))
        deadline = now + seconds
        while len(self._ended) < len(self.ranges) and time.monotonic() < deadline:
            self._poll(consumer, diary, score)
        consumer.close()
        return len(self._ended) == len(self.ranges)

    def _poll(self, consumer: Consumer, diary: Diary, score: Score) -> None:
        began, found = time.monotonic(), []
        try:
            messages = consumer.consume(500, 0.3)
        except KafkaException as error:  # of the client as a whole: brokers that are away
            score.add(f"reader told {error.args[0].name()}")
            return
        for message in messages:
            error, place = message.error(), (message.topic(), message.partition())
            if error is None:
                found.append(message)
                self._take(place, message, score)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._ended.add(place)
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                note_reset(score, error)
        score.add("clock jumps seen", count_jumped(found))
        if found:
            write_poll(diary, polls_of(found), began)

    def _take(self, place: Partition, message: Any, score: Score) -> None:
        if place in self._ended:
            return
        offset = message.offset()
        self.read[place].add(offset)
        self.ranges[place] = (self.ranges[place][0], offset + 1)
        for finding in self._books.take(place, offset, parse_entry(message.value())):
            score.fail(f"{finding.kind}: {finding.sentence}")
