"""One transactional producer, and what surely became of each of its transactions.

What was never asked to be committed is surely not; what was asked and got no answer is unknown.
"""

import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from tests.chaos.bank.entries import Entry, Transfer
from tests.chaos.bank.journal import Journal
from tests.chaos.bank.topics import book_of
from tests.chaos.score import Diary, Score
from tests.checker.history import Operation, Send

_PATIENCE_SECONDS = 120.0  # an action whose errors may be tried again is
_ANSWER_SECONDS = 10.0
_HANGS_SECONDS = 4 * _ANSWER_SECONDS  # what has no answer then will get none


class _Hangs(Exception):
    """A call of librdkafka's does not come back."""


Offsets = tuple[Sequence[TopicPartition], Any]  # positions, and the consumer's word on its group


class Till:
    """Transactions one after the other, until `broken`."""

    def __init__(
        self, bootstrap: str, transactional_id: str, score: Score, journal: Journal, chance: random.Random, **more: Any
    ) -> None:
        """A producer that has fenced those before it. Raises `KafkaException` where it could not."""
        self.broken = False
        self._score = score
        self._journal = journal
        self._diary = Diary(score)
        settings = {
            "bootstrap.servers": bootstrap,
            "transactional.id": transactional_id,
            "transaction.timeout.ms": chance.choice((8_000, 15_000, 30_000)),
            "linger.ms": chance.choice((0, 5)),
            "reconnect.backoff.max.ms": 500,
            "retry.backoff.ms": 50,
            "error_cb": self._on_error,  # without one, a fatal error is raised wherever an answer is served
            **more,
        }
        self._producer: Producer | None = Producer(settings)
        self._retry(lambda: self._running.init_transactions(_ANSWER_SECONDS))

    def commit(self, transfers: Sequence[Transfer], offsets: Offsets | None = None) -> bool | None:
        """All of them in one transaction; whether it was committed."""
        return self._carry_out(transfers, self._commit, offsets)

    def abort(self, transfers: Sequence[Transfer]) -> None:
        """All of them in one transaction that is given up."""
        self._carry_out(transfers, self._abort)

    def crash(self, transfers: Sequence[Transfer], *, written: bool) -> None:
        """All of them in a transaction that is left open; `written`: once they are in the log."""
        self._carry_out(transfers, (lambda: self._flush()) if written else (lambda: None))
        self.broken = True
        self._producer = None  # nothing more leaves it

    def outlived(self, transfers: Sequence[Transfer], successor: Callable[[], "Till"]) -> "Till":
        """All of them in a transaction that is open when another with this id begins, and is committed only then."""
        made: list[Till] = []

        def late() -> None:
            self._flush()
            made.append(successor())
            try:
                self._commit()
            except KafkaException as refused:
                self._score.add(f"zombies told {refused.args[0].name()}")
            else:
                self._score.fail(f"a zombie could commit {[transfer.name for transfer in transfers]}")

        self._carry_out(transfers, late)
        self.broken = True
        return made[0] if made else successor()

    @property
    def _running(self) -> Producer:
        assert self._producer is not None, "it has crashed"
        return self._producer

    def _carry_out(
        self, transfers: Sequence[Transfer], end: Callable[[], None], offsets: Offsets | None = None
    ) -> bool | None:
        index, began = self._diary.next_index(), time.monotonic()
        for transfer in transfers:
            transfer.committed = False
            self._journal.begin(transfer)
        committed: bool | None = False
        try:
            self._running.begin_transaction()
            for transfer in transfers:
                for entry in transfer.entries:
                    self._send(entry, transfer)
            if offsets is not None:
                self._retry(lambda: self._send_offsets(*offsets))
            committed = None if end == self._commit else False
            end()
            committed = end == self._commit
        except KafkaException as failure:
            committed = self._recover(failure.args[0], committed)
        except _Hangs:
            self._score.add("given up, hanging in librdkafka")
            self.broken, self._producer = True, None
        for transfer in transfers:
            self._journal.end(transfer, committed)
        self._note(index, began, transfers, committed)
        return committed

    def _send_offsets(self, positions: Sequence[TopicPartition], group: Any) -> None:
        """librdkafka may not come back from it, whatever the time it was given, when the group's coordinator goes
        (librdkafka issues 5456 and 5511). Raises `_Hangs`.
        """
        producer, answers = self._running, queue.SimpleQueue[KafkaException | None]()

        def send() -> None:
            try:
                producer.send_offsets_to_transaction(positions, group, _ANSWER_SECONDS)
                answers.put(None)
            except KafkaException as failure:
                answers.put(failure)

        threading.Thread(target=send, daemon=True).start()
        try:
            failure = answers.get(timeout=_HANGS_SECONDS)
        except queue.Empty:
            raise _Hangs from None
        if failure is not None:
            raise failure

    def _recover(self, error: KafkaError, committed: bool | None) -> bool | None:
        """After a failure: aborted, if that can be had, else the producer is used no more."""
        self._score.add(f"told {error.name()}")
        if error.code() == KafkaError.UNKNOWN:
            self._score.fail("a transactional producer was told UNKNOWN_SERVER_ERROR")
        if error.txn_requires_abort():
            try:
                self._abort()
            except KafkaException as failure:
                self._score.add(f"aborts told {failure.args[0].name()}")
            else:
                return False
        self.broken = True
        self._running.poll(0)  # the last lines of its log
        return committed

    def _send(self, entry: Entry, transfer: Transfer) -> None:
        def done(error: Any, message: Any) -> None:
            if error is None and message.offset() is not None:
                transfer.offsets[entry.value] = message.offset()

        topic, number = book_of(entry.account)
        while True:
            try:
                self._running.produce(topic, entry.payload, partition=number, on_delivery=done)
                return
            except BufferError:
                self._running.poll(0.1)

    def _commit(self) -> None:
        self._retry(lambda: self._running.commit_transaction(_ANSWER_SECONDS))

    def _abort(self) -> None:
        self._retry(lambda: self._running.abort_transaction(_ANSWER_SECONDS))

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._score.add(f"fatal {error.name()}")

    def _flush(self) -> None:
        self._running.flush(_ANSWER_SECONDS)

    def _retry(self, action: Callable[[], object]) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                action()
                return
            except KafkaException as failure:
                error = failure.args[0]
                if error.fatal() or not error.retriable() or time.monotonic() > deadline:
                    raise
                self._score.add(f"retried after {error.name()}")

    def _note(self, index: int, began: float, transfers: Sequence[Transfer], committed: bool | None) -> None:
        self._score.add({True: "transactions committed", False: "not committed", None: "unknown"}[committed])
        sends = tuple(
            Send(book_of(entry.account), entry.value, transfer.offsets.get(entry.value))
            for transfer in transfers
            for entry in transfer.entries
        )
        self._diary.write(
            Operation(
                self._diary.process,
                index,
                "send",
                "info" if committed is None else "ok",
                sends,
                transaction=str(transfers[0].name),
                committed=committed,
                began=began,
                ended=time.monotonic(),
            )
        )
