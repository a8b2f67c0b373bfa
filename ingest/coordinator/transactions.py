"""All transactional ids of one `__transaction_state` partition: found, listed, and brought up to the log. No I/O."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from ingest.coordinator.transaction import Transaction
from ingest.coordinator.transaction_records import TransactionChange
from ingest.coordinator.transaction_state import TransactionState


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionLimits:
    """Limits of transactions, with Kafka's defaults."""

    max_timeout_ms: int = 900_000  # transaction.max.timeout.ms
    id_expiration_ms: int = 7 * 24 * 60 * 60 * 1_000  # transactional.id.expiration.ms
    timeout_check_interval_ms: int = 10_000  # transaction.abort.timed.out.transaction.cleanup.interval.ms
    expiry_check_interval_ms: int = 3_600_000  # transaction.remove.expired.transaction.cleanup.interval.ms


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionFilter:
    """What ListTransactions asks for; what is empty lets all through."""

    states: Collection[TransactionState] | None = None
    producer_ids: Collection[int] = ()
    longer_than_ms: int = -1

    def lets_through(self, transaction: Transaction, now_ms: int) -> bool:
        """Whether it is one of those asked for; one that is being forgotten never is."""
        record = transaction.record
        return (
            not transaction.expiring
            and (self.states is None or record.state in self.states)
            and (not self.producer_ids or record.producer_id in self.producer_ids)
            and (self.longer_than_ms < 0 or now_ms - record.started_ms > self.longer_than_ms)
        )


class Transactions:
    """By transactional id."""

    def __init__(self) -> None:
        self._by_id: dict[str, Transaction] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Transaction]:
        return iter(tuple(self._by_id.values()))

    def find(self, transactional_id: str) -> Transaction | None:
        """What is known of an id."""
        return self._by_id.get(transactional_id)

    def add(self, transaction: Transaction) -> None:
        """One that the log does not know yet."""
        self._by_id[transaction.transactional_id] = transaction

    def forget(self, transaction: Transaction) -> None:
        """It never came to be in the log, or its tombstone is there."""
        self._by_id.pop(transaction.transactional_id, None)

    def replay(self, changes: Iterable[TransactionChange]) -> None:
        """Take over what the log says, in its order."""
        for transactional_id, record in changes:
            if record is None:
                self._by_id.pop(transactional_id, None)
            else:
                self._by_id[transactional_id] = Transaction(transactional_id, record)

    def prepared(self) -> list[Transaction]:
        """Those that are decided and not complete: their markers are to be written."""
        return [one for one in self if one.record.state.prepared]

    def timed_out(self, now_ms: int) -> list[Transaction]:
        """Those open for too long."""
        return [one for one in self if one.timed_out(now_ms)]

    def expired(self, now_ms: int, expiration_ms: int) -> list[Transaction]:
        """Those that may be forgotten."""
        return [one for one in self if one.expired(now_ms, expiration_ms)]
