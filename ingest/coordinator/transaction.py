"""One transactional id: who its producer is, what its transaction is at, and what each request comes to. No I/O.

Nothing changes by a request alone. A request comes to a `Step`: what has to be written to the log first, if anything,
and what is answered then. The record to be written is *pending*, and refuses whoever else wants a change
(CONCURRENT_TRANSACTIONS); `stored` makes it the record that counts, `failed` forgets it. So memory never says more than
the log, and the next coordinator, who has only the log, goes on from the same place.

An abort that the producer did not ask for (a time-out, another instance) raises the producer epoch with the decision:
what the producer still sends is then refused by every partition that has the marker. That epoch is given to nobody.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from infra.error_code import ErrorCode
from infra.partition import TopicPartition
from ingest.coordinator.transaction_state import FOLLOWING, TransactionState

NO_EPOCH = -1
NO_PRODUCER = -1
LAST_EPOCH = 2**15 - 2
"""The highest epoch that a producer is given: one more is left, for fencing it."""

_STATE = TransactionState


class Producer(NamedTuple):
    """An instance of a producer, as it names itself."""

    producer_id: int
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionRecord:
    """All that is known of a transactional id at one time. Times are of the wall clock."""

    producer_id: int
    epoch: int = NO_EPOCH
    previous_producer_id: int = NO_PRODUCER  # the id before; lost with the coordinator, as is the next
    previous_epoch: int = NO_EPOCH  # what the instance had that asked for this epoch; -1: a new instance asked
    timeout_ms: int
    state: TransactionState = _STATE.EMPTY
    partitions: frozenset[TopicPartition] = frozenset()
    started_ms: int = -1  # the transaction
    updated_ms: int

    @property
    def producer(self) -> Producer:
        """Who may write transactions."""
        return Producer(self.producer_id, self.epoch)

    @property
    def exhausted(self) -> bool:
        """The next instance needs another producer id."""
        return self.epoch >= LAST_EPOCH


@dataclass(frozen=True, slots=True)
class Step:
    """Write `write` first, if there is something to write; then answer."""

    answer: ErrorCode
    write: TransactionRecord | None = None


class Transaction:
    """What a coordinator knows of one transactional id."""

    def __init__(self, transactional_id: str, record: TransactionRecord) -> None:
        self.transactional_id = transactional_id
        self.record = record
        self.pending: TransactionRecord | None = None
        self.expiring = False  # its tombstone is being written
        self.unmarked: set[TopicPartition] = set(record.partitions) if record.state.prepared else set()

    @classmethod
    def unborn(cls, transactional_id: str, producer_id: int, timeout_ms: int, now_ms: int) -> "Transaction":
        """An id that the log does not know."""
        record = TransactionRecord(producer_id=producer_id, timeout_ms=timeout_ms, updated_ms=now_ms)
        return cls(transactional_id, record)

    @property
    def busy(self) -> bool:
        """The log is being told something."""
        return self.pending is not None or self.expiring

    # requests

    def init(self, expected: Producer | None, timeout_ms: int, fresh_producer_id: int, now_ms: int) -> Step:
        """InitProducerId: an instance comes, or (`expected`) one goes on after an error of its own.

        `fresh_producer_id` is used when the record is `exhausted`. What is written is the producer that is answered;
        with CONCURRENT_TRANSACTIONS it is the abort of what an earlier instance left open, and the client comes again.
        """
        record = self.record
        if self.busy:
            return Step(ErrorCode.CONCURRENT_TRANSACTIONS)
        if expected is not None and not self._knows(expected):
            return Step(ErrorCode.PRODUCER_FENCED)
        if record.state.prepared:
            return Step(ErrorCode.CONCURRENT_TRANSACTIONS)
        if record.state is _STATE.ONGOING:
            return self._begin(ErrorCode.CONCURRENT_TRANSACTIONS, self._fenced(now_ms))
        again = expected is not None and self._asked_before(expected)
        if record.exhausted and not again:
            new = Producer(fresh_producer_id, 0)
        else:
            new = Producer(record.producer_id, record.epoch if again else record.epoch + 1)
        previous_epoch = record.previous_epoch if again else NO_EPOCH if expected is None else record.epoch
        return self._begin(
            ErrorCode.NONE,
            replace(
                record,
                state=_STATE.EMPTY,
                producer_id=new.producer_id,
                epoch=new.epoch,
                previous_producer_id=record.previous_producer_id if again else record.producer_id,
                previous_epoch=previous_epoch,
                timeout_ms=timeout_ms,
                started_ms=-1,
                updated_ms=now_ms,
            ),
        )

    def add(self, producer: Producer, partitions: Iterable[TopicPartition], now_ms: int) -> Step:
        """AddPartitionsToTxn: the transaction, begun by this if need be, writes to these."""
        record, added = self.record, frozenset(partitions)
        refused = self._refuse(producer)
        if refused is not ErrorCode.NONE:
            return Step(refused)
        if self.busy or record.state.prepared:
            return Step(ErrorCode.CONCURRENT_TRANSACTIONS)
        if record.state is _STATE.ONGOING and added <= record.partitions:
            return Step(ErrorCode.NONE)
        started_ms = record.started_ms if record.state is _STATE.ONGOING else now_ms
        return self._begin(
            ErrorCode.NONE,
            replace(
                record,
                state=_STATE.ONGOING,
                partitions=record.partitions | added,
                started_ms=started_ms,
                updated_ms=now_ms,
            ),
        )

    def end(self, producer: Producer, commit: bool, now_ms: int) -> Step:
        """EndTxn: decide. A repetition of what is decided already is answered as the first was."""
        record = self.record
        refused = self._refuse(producer)
        if refused is not ErrorCode.NONE:
            return Step(refused)
        if self.busy:
            return Step(ErrorCode.CONCURRENT_TRANSACTIONS)
        prepare, complete = _decision(commit)
        if record.state is _STATE.ONGOING:
            return self._begin(ErrorCode.NONE, replace(record, state=prepare, updated_ms=now_ms))
        if record.state is prepare:
            return Step(ErrorCode.CONCURRENT_TRANSACTIONS)
        return Step(ErrorCode.NONE if record.state is complete else ErrorCode.INVALID_TXN_STATE)

    def verify(self, producer: Producer, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, ErrorCode]:
        """Whether each partition is in the open transaction of this instance: asked before it takes a record of it."""
        refused = self._refuse(producer)
        if refused is ErrorCode.NONE and self.record.state.prepared:
            refused = ErrorCode.CONCURRENT_TRANSACTIONS
        if refused is not ErrorCode.NONE:
            return dict.fromkeys(partitions, refused)
        return {
            partition: ErrorCode.NONE if partition in self.record.partitions else ErrorCode.TRANSACTION_ABORTABLE
            for partition in partitions
        }

    # what the coordinator does by itself

    def timed_out(self, now_ms: int) -> bool:
        """Whether the transaction is open for longer than its producer said that it would be."""
        record = self.record
        return not self.busy and record.state is _STATE.ONGOING and record.started_ms + record.timeout_ms < now_ms

    def abort(self, now_ms: int) -> TransactionRecord:
        """Decide to abort what is ongoing, against its producer; to be written."""
        return self._pend(self._fenced(now_ms))

    def marked(self, partition: TopicPartition) -> bool:
        """A partition has its marker, or is gone; True when no other is without."""
        self.unmarked.discard(partition)
        return not self.unmarked

    def complete(self, now_ms: int) -> TransactionRecord:
        """Every partition has its marker; to be written."""
        done = _STATE.COMPLETE_COMMIT if self.record.state is _STATE.PREPARE_COMMIT else _STATE.COMPLETE_ABORT
        return self._pend(replace(self.record, state=done, partitions=frozenset(), updated_ms=now_ms))

    def expired(self, now_ms: int, expiration_ms: int) -> bool:
        """Whether nothing was heard of the id for so long that it may be forgotten."""
        return not self.busy and self.record.state.at_rest and self.record.updated_ms <= now_ms - expiration_ms

    # the log

    def stored(self) -> None:
        """What is pending is in the log: it counts from now on."""
        assert self.pending is not None
        self.record, self.pending = self.pending, None
        self.unmarked = set(self.record.partitions) if self.record.state.prepared else set()

    def failed(self) -> None:
        """What is pending will never be in the log."""
        self.pending = None

    def _begin(self, answer: ErrorCode, record: TransactionRecord) -> Step:
        return Step(answer, self._pend(record))

    def _pend(self, record: TransactionRecord) -> TransactionRecord:
        assert self.pending is None
        assert record.state in FOLLOWING[self.record.state]
        self.pending = record
        return record

    def _fenced(self, now_ms: int) -> TransactionRecord:
        record = self.record
        return replace(
            record, state=_STATE.PREPARE_ABORT, epoch=record.epoch + 1, previous_epoch=NO_EPOCH, updated_ms=now_ms
        )

    def _refuse(self, producer: Producer) -> ErrorCode:
        if producer.producer_id != self.record.producer_id:
            return ErrorCode.INVALID_PRODUCER_ID_MAPPING
        return ErrorCode.NONE if producer.epoch == self.record.epoch else ErrorCode.PRODUCER_FENCED

    def _knows(self, expected: Producer) -> bool:
        """Whether an instance that goes on is the newest one: a stale one must not even abort a transaction."""
        record = self.record
        return record.epoch == NO_EPOCH or expected == record.producer or self._asked_before(expected)

    def _asked_before(self, expected: Producer) -> bool:
        """Whether an instance has got its new epoch already, and did not hear of it."""
        record = self.record
        if record.previous_epoch == NO_EPOCH or expected.epoch != record.previous_epoch:
            return False
        return expected.producer_id == (record.previous_producer_id if record.epoch == 0 else record.producer_id)


def _decision(commit: bool) -> tuple[TransactionState, TransactionState]:
    if commit:
        return _STATE.PREPARE_COMMIT, _STATE.COMPLETE_COMMIT
    return _STATE.PREPARE_ABORT, _STATE.COMPLETE_ABORT
