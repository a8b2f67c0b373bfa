"""Drives one transactional id through random steps, beside the model: producers that come, go on, repeat themselves and
do not hear the answers; a log that takes its time or refuses; markers; time; and coordinators that have only the log.

Besides agreeing with the model in every answer and every record, it must hold that no producer epoch is given twice,
that a transaction is decided once, and that no marker says anything else, nor comes before the decision.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Any

from infra.error_code import ErrorCode
from ingest.coordinator.transaction import Producer, Step, Transaction, TransactionRecord
from ingest.coordinator.transaction_records import TransactionChange, decode_change, encode_change
from ingest.coordinator.transaction_state import TransactionState
from tests.transactions import model

ID = "transfers"
PARTITIONS = [("debits", 0), ("debits", 1), ("credits", 0)]
EXPIRATION_MS = 50_000
STATES = {
    "empty": TransactionState.EMPTY,
    "ongoing": TransactionState.ONGOING,
    "committing": TransactionState.PREPARE_COMMIT,
    "aborting": TransactionState.PREPARE_ABORT,
    "committed": TransactionState.COMPLETE_COMMIT,
    "aborted": TransactionState.COMPLETE_ABORT,
}


@dataclass
class Instance:
    """A producer as it sees itself; `heard` is what it was given, in order."""

    producer: Producer | None = None
    heard: list[Producer] = field(default_factory=list)


@dataclass
class Asked:
    """A request whose record is being written: who waits, and what is answered then."""

    answer: ErrorCode
    instance: Instance | None = None
    listens: bool = True


class Driver:
    """One seed, one history."""

    def __init__(self, seed: int, *, first_epoch: int = -1) -> None:
        """`first_epoch` near 32,766 lets epochs run out soon."""
        self.random = Random(seed)
        self.now_ms = 1_000_000
        self.next_id = 100
        self.first_epoch = first_epoch
        self.instances = [Instance() for _ in range(3)]
        self.steps = 0
        self.answers: dict[ErrorCode, int] = {}
        self.restarts = 0
        self.transaction: Transaction | None = None
        self.last: model.Words | None = None  # the model's
        self.pending: model.Words | None = None
        self.expiring = False
        self.asked: Asked | None = None
        self.log: list[tuple[bytes, bytes | None]] = []
        self.given: set[Producer] = set()
        self.decided: str | None = None  # of the transaction that is, or was last
        self.markers: set[tuple[str, int]] = set()

    def run(self, steps: int) -> None:
        doings = [
            *(3 * [self.init_anew, self.go_on, self.verify, self.pass_time]),
            *(12 * [self.add, self.end]),
            *(2 * [self.settle, self.mark, self.abort_late]),
            self.restart,
            self.expire,
        ]
        for _ in range(steps):
            goes_on = self.random.random() < 0.5
            if goes_on and self._busy():
                self.settle()
            elif goes_on and self.transaction is not None and self.transaction.record.state.prepared:
                self.mark()
            else:
                self.random.choice(doings)()
            self.steps += 1
            self.check()

    # requests

    def init_anew(self) -> None:
        self._init(None)

    def go_on(self) -> None:
        instance = self.random.choice(self.instances)
        if instance.heard:
            # Mostly as it is, at times as it was: a request that comes late, or a repetition.
            self._init(self.random.choice([instance.heard[-1], self.random.choice(instance.heard)]), instance)

    def _init(self, expected: Producer | None, instance: Instance | None = None) -> None:
        instance = instance or self.random.choice(self.instances)
        timeout_ms = self.random.choice([1_000, 5_000, 20_000])
        fresh = self._fresh_id()
        if self.transaction is None:
            self.transaction = Transaction.unborn(ID, fresh, timeout_ms, self.now_ms)
            self.last = _words(self.transaction.record)
            if self.first_epoch >= 0:
                self._start_at(self.first_epoch, timeout_ms)
        step = self.transaction.init(expected, timeout_ms, fresh, self.now_ms)
        assert self.last is not None
        told = model.init(self.last, self._busy(), expected, fresh, timeout_ms, self.now_ms)
        self._take(step, told, instance)

    def add(self) -> None:
        who = self._who()
        if who is not None and self.transaction is not None and self.last is not None:
            parts = set(self.random.sample(PARTITIONS, self.random.randint(1, 2)))
            step = self.transaction.add(who, parts, self.now_ms)
            self._take(step, model.add(self.last, self._busy(), who, parts, self.now_ms))

    def end(self) -> None:
        who = self._who()
        if who is not None and self.transaction is not None and self.last is not None:
            commit = self.random.random() < 0.6
            step = self.transaction.end(who, commit, self.now_ms)
            what = "commit" if commit else "abort"
            self._take(step, model.end(self.last, self._busy(), who, what, self.now_ms))

    def verify(self) -> None:
        who, part = self._who(), self.random.choice(PARTITIONS)
        if who is not None and self.transaction is not None and self.last is not None:
            code = self.transaction.verify(who, [part])[part]
            assert code == model.verify(self.last, who, part)
            assert code != ErrorCode.NONE or self.decided is None, "a partition took records of a decided transaction"

    def _who(self) -> Producer | None:
        """Mostly the newest instance, else one that does not know that it is over, or was late."""
        newest = [one.heard[-1] for one in self.instances if one.heard]
        if newest and self.random.random() < 0.8:
            return max(newest)
        heard = self.random.choice(self.instances).heard
        return self.random.choice(heard) if heard else None

    def _take(self, step: Step, told: tuple[ErrorCode, Any], instance: Instance | None = None) -> None:
        assert step.answer == told[0], (step, told, self.last)
        self.answers[step.answer] = self.answers.get(step.answer, 0) + 1
        assert (step.write is None) == (told[1] is None), (step, told)
        if step.write is not None:
            assert not self._busy(), "two records are written at once"
            assert _words(step.write) == told[1]
            self.pending = told[1]
            self.asked = Asked(step.answer, instance, self.random.random() < 0.9)

    # the log

    def settle(self) -> None:
        if self.transaction is None:
            return
        fails = self.random.random() < 0.15
        if self.expiring:
            self.expiring = False
            self.transaction.expiring = False
            if not fails:
                self.log.append(encode_change(TransactionChange(ID, None)))
                self.transaction = self.last = None
            return
        if self.pending is None:
            return
        asked, self.asked = self.asked, None
        if fails:
            self.transaction.failed()
            self.pending = None
            if self.transaction.record.epoch == -1:
                self.transaction = self.last = None
            return
        self._store()
        if asked is not None and asked.instance is not None and asked.answer is ErrorCode.NONE:
            self._give(asked)

    def _store(self) -> None:
        assert self.transaction is not None
        assert self.transaction.pending is not None
        assert self.pending is not None
        self.log.append(encode_change(TransactionChange(ID, self.transaction.pending)))
        before, self.last, self.pending = self.last, self.pending, None
        self.transaction.stored()
        assert before is not None
        assert self.last is not None
        state = self.last["state"]
        if state == "ongoing" and before["state"] != "ongoing":
            self.decided, self.markers = None, set()
        if state in ("committing", "aborting"):
            assert self.decided is None, "a transaction is decided twice"
            self.decided = state
        if state in ("committed", "aborted"):
            assert self.markers == before["parts"], "a transaction is complete without all of its markers"

    def _give(self, asked: Asked) -> None:
        assert self.last is not None
        assert asked.instance is not None
        given = Producer(self.last["pid"], self.last["epoch"])
        known = given in self.given
        assert not known or self.last["before"] is not None, f"{given} is given to two producers"
        self.given.add(given)
        if asked.listens:
            asked.instance.heard.append(given)

    def mark(self) -> None:
        transaction = self.transaction
        if transaction is None or not transaction.record.state.prepared or transaction.pending is not None:
            return
        commits = transaction.record.state is TransactionState.PREPARE_COMMIT
        assert self.decided == ("committing" if commits else "aborting"), "a marker says what was not decided"
        if transaction.unmarked:
            part = self.random.choice(sorted(transaction.unmarked))
            self.markers.add(part)
            transaction.marked(part)
        if not transaction.unmarked:
            write = transaction.complete(self.now_ms)
            assert self.last is not None
            state = "committed" if commits else "aborted"
            self.pending = {**self.last, "state": state, "parts": set(), "at": self.now_ms}
            assert _words(write) == self.pending

    # time, and other coordinators

    def pass_time(self) -> None:
        self.now_ms += self.random.choice([1, 200, 3_000])

    def abort_late(self) -> None:
        if self.transaction is None or self.last is None:
            return
        late = (
            not self._busy()
            and self.last["state"] == "ongoing"
            and self.now_ms > self.last["since"] + self.last["timeout"]
        )
        assert self.transaction.timed_out(self.now_ms) == late
        if late:
            write = self.transaction.abort(self.now_ms)
            raised = self.last["epoch"] + 1
            self.pending = {**self.last, "state": "aborting", "epoch": raised, "before": None, "at": self.now_ms}
            assert _words(write) == self.pending

    def expire(self) -> None:
        self.now_ms += self.random.choice([0, 0, EXPIRATION_MS])
        if self.transaction is None or self.last is None:
            return
        idle = not self._busy() and self.last["state"] in model.REST and self.now_ms - self.last["at"] >= EXPIRATION_MS
        assert self.transaction.expired(self.now_ms, EXPIRATION_MS) == idle
        if idle:
            self.expiring = self.transaction.expiring = True

    def restart(self) -> None:
        """Another coordinator: whatever was being written is in the log, or is not."""
        self.restarts += 1
        if self.transaction is not None and self.transaction.pending is not None and self.random.random() < 0.5:
            self._store()
        self.pending, self.asked, self.expiring = None, None, False
        self.transaction = self.last = None
        if self.log:
            change = decode_change(*self.log[-1])
            assert change is not None
            if change.record is not None:
                self.transaction = Transaction(ID, change.record)
                self.last = _words(change.record)

    def check(self) -> None:
        if self.transaction is None or self.last is None:
            assert self.transaction is None
            assert self.last is None
            return
        assert _words(self.transaction.record) == self.last
        assert self.transaction.busy == self._busy()
        for instance in self.instances:
            for producer in instance.heard[-3:]:
                assert producer.epoch <= 32_766

    def _busy(self) -> bool:
        return self.pending is not None or self.expiring

    def _fresh_id(self) -> int:
        self.next_id += 1
        return self.next_id

    def _start_at(self, epoch: int, timeout_ms: int) -> None:
        record = TransactionRecord(
            producer_id=self._fresh_id(), epoch=epoch, timeout_ms=timeout_ms, updated_ms=self.now_ms
        )
        self.log.append(encode_change(TransactionChange(ID, record)))
        self.transaction = Transaction(ID, record)
        self.last = _words(record)


def _words(record: TransactionRecord) -> model.Words:
    before = None if record.previous_epoch == -1 else (record.previous_producer_id, record.previous_epoch)
    return {
        "pid": record.producer_id,
        "epoch": record.epoch,
        "before": before,
        "state": next(word for word, state in STATES.items() if state is record.state),
        "parts": set(record.partitions),
        "timeout": record.timeout_ms,
        "since": record.started_ms,
        "at": record.updated_ms,
    }
