"""Does each consumer get a partition's records in their order, none left out and none again?"""

from collections.abc import Iterator

from tests.checker.evidence import Evidence
from tests.checker.finding import Finding, name_of, place
from tests.checker.history import Operation, Partition


def check_poll_order(evidence: Evidence) -> Iterator[Finding]:
    """`poll-skip` and `nonmonotonic-poll` from one operation of a process to the next, with `int-` within one.

    Under `subscribe` another member of the group may have had the partition between two operations, so that only what
    happens within one is judged. A partition that was repositioned during an operation is not judged in it.
    """
    for operations in evidence.processes.values():
        consumer = _Consumer(evidence)
        for operation in operations:
            consumer.reposition(operation)
            if operation.polls:
                yield from consumer.poll(operation)


class _Consumer:
    """Where a process stands in each partition; a position that nobody can be sure of is not kept."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._subscribed = False
        self._positions: dict[Partition, int] = {}

    def reposition(self, operation: Operation) -> None:
        if operation.kind in ("subscribe", "assign", "crash") and operation.status != "fail":
            for partition in operation.repositioned or list(self._positions):
                self._positions.pop(partition, None)
        if operation.kind == "subscribe" and operation.status != "fail":
            self._subscribed = True
        elif operation.kind == "assign" and operation.status == "ok":
            self._subscribed = False

    def poll(self, operation: Operation) -> Iterator[Finding]:
        within: dict[Partition, int] = {}
        for partition, offset, _ in operation.polls:
            if partition in operation.repositioned:
                continue
            if partition in within:
                yield from self._judge(operation, partition, within[partition], offset, "int-")
            elif partition in self._positions and not self._subscribed:
                yield from self._judge(operation, partition, self._positions[partition], offset, "")
            within[partition] = offset
        for partition in operation.repositioned:
            self._positions.pop(partition, None)
        if self._stands(operation):
            self._positions.update(within)
        else:
            for partition in within:
                self._positions.pop(partition, None)

    def _stands(self, operation: Operation) -> bool:
        """After anything but success a client may go back to what was committed, or not."""
        transaction = self._evidence.transaction_of(operation)
        return operation.status == "ok" and (transaction is None or transaction.committed is True)

    def _judge(
        self, operation: Operation, partition: Partition, before: int, offset: int, prefix: str
    ) -> Iterator[Finding]:
        if offset == before + 1:
            return
        sentence = f"{name_of(operation)} polled {place(partition, offset)} right after {before}"
        if offset <= before:
            yield Finding(f"{prefix}nonmonotonic-poll", sentence)
            return
        skipped = self._evidence.skipped(partition, before, offset)
        if skipped is not None:
            value = self._evidence.log[partition][skipped]
            yield Finding(f"{prefix}poll-skip", f"{sentence} and skipped {skipped} (value {value})")
