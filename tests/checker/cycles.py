"""Can everything in a history have happened in one order in time?

Kafka isolates no writes: two transactions may well write in one order to one partition and in the other to another,
and that alone is no fault. So the nodes are not transactions but moments that every log puts in order: the beginning
and the end of each operation, the append of each value, the commit of each transaction. Dependencies lie between those:
values of a partition were appended in the order of their offsets (write-write); a value was appended, and its
transaction committed, before a poll handed it out (write-read); what ended before something else began was before it. A
cycle is then an effect before its cause.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from tests.checker.evidence import Evidence, Transaction
from tests.checker.finding import Finding, name_of, place
from tests.checker.graph import Graph
from tests.checker.history import Operation

_LONGEST_TOLD = 16


def check_cycles(evidence: Evidence) -> Iterator[Finding]:
    """`cycle`: moments each of which was before the next, and the last before the first."""
    moments = _Moments(evidence)
    for cycle in moments.graph.cycles():
        steps = [words for node in cycle if (words := moments.tell(node)) is not None]
        more = f" (and {len(steps) - _LONGEST_TOLD} more)" if len(steps) > _LONGEST_TOLD else ""
        yield Finding("cycle", " < ".join((*steps[:_LONGEST_TOLD], steps[0])) + more)


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
        self._operations = list(evidence)
        self._begin_nodes = [self.graph.add_node() for _ in self._operations]
        self._end_nodes = [self.graph.add_node() for _ in self._operations]
        self._order_appends()
        self._order_processes()
        self._order_in_time()
        for operation, begin, end in zip(self._operations, self._begin_nodes, self._end_nodes, strict=True):
            self._order_operation(operation, begin, end)

    def tell(self, node: int) -> str | None:
        """The words for a node, None for one that only carries the time; searched for, as only cycles are told."""
        if node < len(self._appends):
            value = list(self._appends)[node]
            return f"append of value {value} {place(*self._evidence.places[value])}"
        node -= len(self._appends)
        if node < len(self._commits):
            process, name = list(self._commits)[node]
            return f"commit of transaction {name!r} of process {process}"
        node -= len(self._commits)
        word, number = divmod(node, len(self._operations))
        return f"{('beginning', 'end')[word]} of {name_of(self._operations[number])}" if word < 2 else None

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

    def _order_processes(self) -> None:
        """Within a process, an operation that begins at the very time at which the one before it ended is after it."""
        for begin, end in zip(self._begin_nodes, self._end_nodes, strict=True):
            self.graph.add_edge(begin, end)
        for number, (operation, following) in enumerate(pairwise(self._operations)):
            if operation.process == following.process and operation.ended == following.began:
                self.graph.add_edge(self._end_nodes[number], self._begin_nodes[number + 1])

    def _order_in_time(self) -> None:
        """What ended is before whatever began at a later time, by way of one chain of nodes for all processes."""
        began = np.array([operation.began for operation in self._operations])
        ended = np.array([operation.ended for operation in self._operations])
        beginnings_first = np.argsort(np.concatenate([began, ended]), kind="stable")
        now: int | None = None
        ends: list[int] = []
        for event in beginnings_first.tolist():
            if event >= len(self._operations):
                ends.append(self._end_nodes[event - len(self._operations)])
                continue
            if ends:
                now = self._pass_time(now, ends)
                ends = []
            if now is not None:
                self.graph.add_edge(now, self._begin_nodes[event])

    def _pass_time(self, before: int | None, ends: list[int]) -> int:
        now = self.graph.add_node()
        for earlier in ends if before is None else (before, *ends):
            self.graph.add_edge(earlier, now)
        return now

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
