"""What a history proves about the log: gathered in one pass, shared by all checks, judged by none of it."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from operator import attrgetter

from tests.checker.history import Operation, Partition, Send


class Fate(Enum):
    """What became of a send: in the log for readers, surely not there for readers, or nobody was told."""

    CERTAIN = "certain"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(slots=True)
class Transaction:
    """All operations that share a process and a transaction's name; `committed` is None where no answer came."""

    process: int
    name: str
    operations: list[Operation] = field(default_factory=list)
    committed: bool | None = None

    @property
    def last(self) -> Operation:
        return self.operations[-1]

    def add(self, operation: Operation) -> None:
        """Raises ValueError where the name was used for more than one transaction."""
        if self.committed is not None:
            raise ValueError(f"process {self.process} went on with transaction {self.name!r} after its end")
        self.operations.append(operation)
        self.committed = operation.committed


class Evidence:
    """A history, indexed.

    - `processes`: the operations of each process, by index.
    - `sent`: value -> the operation and the send; raises ValueError where a value was sent twice.
    - `log`: partition -> offset -> the first value that a poll or an acknowledgement showed there.
    - `places`: value -> the first partition and offset that a poll or an acknowledgement gave it.
    - `polled`: every value that any consumer was handed; `highest`: partition -> the highest offset polled.
    """

    def __init__(self, history: Iterable[Operation]) -> None:
        self.processes: dict[int, list[Operation]] = {}
        self.transactions: dict[tuple[int, str], Transaction] = {}
        self.sent: dict[int, tuple[Operation, Send]] = {}
        self.log: dict[Partition, dict[int, int]] = {}
        self.places: dict[int, tuple[Partition, int]] = {}
        self.polled: set[int] = set()
        self.highest: dict[Partition, int] = {}
        for operation in history:
            self.processes.setdefault(operation.process, []).append(operation)
        for operations in self.processes.values():
            operations.sort(key=attrgetter("index"))
            for operation in operations:
                self._take(operation)
        self._visible = self._visible_offsets()

    def __iter__(self) -> Iterator[Operation]:
        for operations in self.processes.values():
            yield from operations

    def transaction_of(self, operation: Operation) -> Transaction | None:
        if operation.transaction is None:
            return None
        return self.transactions[operation.process, operation.transaction]

    def fate(self, operation: Operation, send: Send) -> Fate:
        if operation.status == "fail":
            return Fate.REFUSED
        transaction = self.transaction_of(operation)
        if transaction is None:
            return Fate.CERTAIN if operation.status == "ok" or send.offset is not None else Fate.UNKNOWN
        if transaction.committed is None:
            return Fate.UNKNOWN
        return Fate.CERTAIN if transaction.committed else Fate.REFUSED

    def skipped(self, partition: Partition, after: int, before: int) -> int | None:
        """The first offset strictly between the two whose record every reader should have been given, or None."""
        if before <= after + 1:
            return None
        offsets = self._visible.get(partition, [])
        following = bisect_right(offsets, after)
        return offsets[following] if following < len(offsets) and offsets[following] < before else None

    def _take(self, operation: Operation) -> None:
        if operation.transaction is not None:
            key = operation.process, operation.transaction
            self.transactions.setdefault(key, Transaction(*key)).add(operation)
        for send in operation.sends:
            if send.value in self.sent:
                raise ValueError(f"value {send.value} was sent twice: a history's values are unique")
            self.sent[send.value] = (operation, send)
            if send.offset is not None:
                self._place(send.partition, send.offset, send.value)
        for partition, offset, value in operation.polls:
            self.polled.add(value)
            self._place(partition, offset, value)
            if offset > self.highest.get(partition, -1):
                self.highest[partition] = offset

    def _place(self, partition: Partition, offset: int, value: int) -> None:
        self.log.setdefault(partition, {}).setdefault(offset, value)
        if value not in self.places:
            self.places[value] = (partition, offset)

    def _visible_offsets(self) -> dict[Partition, list[int]]:
        return {
            partition: sorted(offset for offset, value in values.items() if self._is_visible(value))
            for partition, values in self.log.items()
        }

    def _is_visible(self, value: int) -> bool:
        return value in self.polled or self.fate(*self.sent[value]) is Fate.CERTAIN
