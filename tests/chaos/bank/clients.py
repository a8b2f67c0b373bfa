"""All clients of the bank: tellers, the customer and the clerks who carry its orders out, readers, and the auditor."""

import time
from collections.abc import Callable, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from tests.chaos.aio_readers import AioReader
from tests.chaos.bank.auditor import Auditor
from tests.chaos.bank.clerks import GROUP, Clerk, Customer
from tests.chaos.bank.journal import Journal
from tests.chaos.bank.ledger import judge
from tests.chaos.bank.tellers import Teller
from tests.chaos.bank.topics import BOOKS, ORDERS, TOPICS
from tests.chaos.readers import Reader, consumer_of, read_to_end
from tests.chaos.score import Score
from tests.checker.history import Partition

_TELLERS = 3
_CLERKS = 2
_ENTRIES = 3.5  # of a transfer, about
_CARRIED_OUT_SECONDS = 120.0
_CLOSED_SECONDS = 120.0  # above the longest time-out of a transaction
_CLOSE_SECONDS = 150.0
_LAST_POLL_SECONDS = 240.0
_LINGER_SECONDS = 3.0


class BankClients:
    """Started together; stopped in order: first who writes, then who carries out, then who reads."""

    def __init__(self, bootstrap: str, score: Score, rate: float) -> None:
        """`rate`: entries a second, about; half of them by order."""
        self._brokers = bootstrap
        self._score = score
        self._journal = Journal()
        each = rate / _ENTRIES / 2
        self._customer = Customer(bootstrap, score, self._journal, rate=each)
        self._tellers = [
            Teller(bootstrap, score, self._journal, name=f"teller-{number}", rate=each / _TELLERS)
            for number in range(_TELLERS)
        ]
        self._clerks = [Clerk(bootstrap, score, self._journal, name=f"clerk-{number}") for number in range(_CLERKS)]
        self._auditor = Auditor(bootstrap, score)
        self._readers = [
            Reader(bootstrap, TOPICS, score, name="reader"),
            AioReader(bootstrap, TOPICS, score, name="aio-reader"),
        ]

    def start(self) -> None:
        """All of them."""
        for thread in (self._customer, *self._tellers, *self._clerks, self._auditor, *self._readers):
            thread.start()

    def finish(self) -> None:
        """On a cluster that is well: orders are carried out, no transaction stays open, and the books are judged."""
        self._score.stopping.set()
        for thread in (self._customer, *self._tellers):
            thread.join()
        self._await("orders are not carried out", _CARRIED_OUT_SECONDS, self._waiting_orders)
        self._score.read.set()
        for thread in (*self._clerks, self._auditor, *self._readers):
            thread.join(_CLOSE_SECONDS)
            if thread.is_alive():
                self._score.fail(f"{thread.name} does not end")
        self._await("transactions stay open", _CLOSED_SECONDS, self._open_partitions)
        read_to_end(self._brokers, [*BOOKS, *ORDERS.places], self._score, _LAST_POLL_SECONDS, _LINGER_SECONDS)
        if not self._auditor.audit(anew=True, seconds=_LAST_POLL_SECONDS):
            self._score.fail("the books were not read to their ends")
        for finding in judge(self._auditor.books, self._journal.transfers, self._journal.orders):
            self._score.fail(f"{finding.kind}: {finding.sentence}")

    def abandon(self) -> None:
        """Stop without a care."""
        self._score.stopping.set()
        self._score.read.set()

    def _await(self, what: str, seconds: float, left: Callable[[], Sequence[str]]) -> None:
        deadline = time.monotonic() + seconds
        while (found := left()) and time.monotonic() < deadline:
            time.sleep(0.5)  # polls with a deadline
        if found:
            self._score.fail(f"{what} after {seconds:.0f} s: {', '.join(found)}")

    def _waiting_orders(self) -> Sequence[str]:
        """Partitions whose orders are not all committed by the clerks."""
        consumer = consumer_of(self._brokers, GROUP)
        try:
            places = [TopicPartition(*place) for place in ORDERS.places]
            committed = {(one.topic, one.partition): one.offset for one in consumer.committed(places, timeout=10)}
            ends = {place: self._end(consumer, place) for place in ORDERS.places}
        except KafkaException as failure:
            return [failure.args[0].name()]
        finally:
            consumer.close()
        rows = [(place, max(committed[place], 0), ends[place]) for place in ORDERS.places]
        return [f"{place[0]}-{place[1]} {offset} of {end}" for place, offset, end in rows if offset != end]

    def _open_partitions(self) -> Sequence[str]:
        """Books whose last stable offset is below their high watermark."""
        stable = consumer_of(self._brokers, "not-used")
        everything = consumer_of(self._brokers, "not-used", **{"isolation.level": "read_uncommitted"})
        try:
            rows = [(place, self._end(stable, place), self._end(everything, place)) for place in BOOKS]
        except KafkaException as failure:
            return [failure.args[0].name()]
        finally:
            stable.close()
            everything.close()
        return [f"{place[0]}-{place[1]} {offset} of {end}" for place, offset, end in rows if offset != end]

    @staticmethod
    def _end(consumer: Consumer, place: Partition) -> int:
        low_high = consumer.get_watermark_offsets(TopicPartition(*place), timeout=10)
        if low_high is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return int(low_high[1])
