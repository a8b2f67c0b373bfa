"""Can everything in a history have happened in one order in time?

Kafka isolates no writes: two transactions may well write in one order to one partition and in the other to another, and
that alone is no fault. So the nodes are not transactions but moments that every log puts in order: the moments between
two operations of a process, the append of each value, the commit of each transaction. Dependencies lie between those:
values of a partition were appended in the order of their offsets (write-write); a value was appended, and its
transaction committed, before a poll handed it out (write-read). A cycle is then an effect before its cause.
"""

from collections.abc import Iterator

from tests.checker.evidence import Evidence, Transaction
from tests.checker.finding import Finding, name_of, place
from tests.checker.graph import Graph
from tests.checker.history import Operation

_LONGEST_TOLD = 16


def check_cycles(evidence: Evidence) -> Iterator[Finding]:
    """`cycle`: moments each of which was before the next, and the last before the first."""
    moments = _Moments(evidence)
    for cycle in moments.graph.cycles():
        steps = [moments.tell(node) for node in (*cycle[:_LONGEST_TOLD], cycle[0])]
        more = f" (and {len(cycle) - _LONGEST_TOLD} more)" if len(cycle) > _LONGEST_TOLD else ""
        yield Finding("cycle", " < ".join(steps) + more)


class _Moments:
    """The graph of a history, and the words for its nodes."""

    def __init__(self, evidence: Evidence) -> None:
        self.graph = Graph()
        self._evidence = evidence
        self._appends = {value: self.graph.add_node() for value in evidence.places}
        self._commits = {
            key: self.graph.add_node()
            for key, transaction in evidence.transactions.items()
            if transaction.committed is not False
        }
        self._first_between = self.graph.nodes
        self._between: list[tuple[str, Operation]] = []
        self._order_appends()
        for operations in evidence.processes.values():
            self._order_process(operations)

    def tell(self, node: int) -> str:
        """The words for a node, searched for: only cycles are told."""
        if node >= self._first_between:
            word, operation = self._between[node - self._first_between]
            return f"{word} {name_of(operation)}"
        if node >= len(self._appends):
            process, name = list(self._commits)[node - len(self._appends)]
            return f"commit of transaction {name!r} of process {process}"
        value = list(self._appends)[node]
        return f"append of value {value} {place(*self._evidence.places[value])}"

    def _order_appends(self) -> None:
        for partition, values in self._evidence.log.items():
            before: int | None = None
            for offset in sorted(values):
                if self._evidence.places[values[offset]] != (partition, offset):
                    continue
                append = self._appends[values[offset]]
                if before is not None:
                    self.graph.add_edge(before, append)
                before = append

    def _order_process(self, operations: list[Operation]) -> None:
        """One node before each operation and one after the last; an overlap with the next one breaks the chain."""
        begin = self._add_between("before", operations[0])
        for operation, following in zip(operations, [*operations[1:], None], strict=True):
            end = self._add_between("after", operation)
            self.graph.add_edge(begin, end)
            self._order_operation(operation, begin, end)
            overlaps = following is not None and following.began < operation.ended
            begin = self._add_between("before", following) if following is not None and overlaps else end

    def _add_between(self, word: str, operation: Operation) -> int:
        self._between.append((word, operation))
        return self.graph.add_node()

    def _order_operation(self, operation: Operation, begin: int, end: int) -> None:
        transaction = self._evidence.transaction_of(operation)
        commit = self._commit_of(transaction)
        self._order_sends(operation, begin, end, commit)
        if transaction is None or commit is None or operation is not transaction.last:
            self._order_polls(operation, end)
            return
        self.graph.add_edge(begin, commit)
        self._order_polls(operation, commit)
        if transaction.committed:
            self.graph.add_edge(commit, end)
        else:
            self._order_polls(operation, end)

    def _order_sends(self, operation: Operation, begin: int, end: int, commit: int | None) -> None:
        for send in operation.sends:
            append = self._appends.get(send.value)
            if append is None:
                continue
            self.graph.add_edge(begin, append)
            if commit is not None:
                self.graph.add_edge(append, commit)
            elif operation.transaction is None and send.offset is not None:
                self.graph.add_edge(append, end)

    def _order_polls(self, operation: Operation, after: int) -> None:
        for poll in operation.polls:
            self.graph.add_edge(self._appends[poll.value], after)
            sent = self._evidence.sent.get(poll.value)
            commit = None if sent is None else self._commit_of(self._evidence.transaction_of(sent[0]))
            if commit is not None and commit != after:
                self.graph.add_edge(commit, after)

    def _commit_of(self, transaction: Transaction | None) -> int | None:
        return None if transaction is None else self._commits.get((transaction.process, transaction.name))
