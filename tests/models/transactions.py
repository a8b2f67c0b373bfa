"""Transactions, as far as docs/design.md says what they are (sections 2, 6 and 8).

The coordinator is the leader of a partition, what it decides is durable in that partition's log first, and a reader of
committed records gets what is below the last stable offset, all of a transaction or nothing.

One transactional id writes to two partitions. A second instance of it may take over from the first, which does not
notice; the coordinator and the partitions change their leaders. Requests wait in the air for as long as they like.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.models.explorer import Modelled, Rule, Step

RULES = {
    "last stable offset": Rule("readers of committed records, and the compactor, stop at the first open transaction"),
    "adopted": Rule("a new leader of a partition knows the transactions that are open there"),
    "decision first": Rule("markers are sent once the decision is durable in the coordinator's log"),
    "replay": Rule("a new coordinator goes on with what its log says was decided"),
    "raised epoch": Rule(
        "an abort that nobody asked for raises the producer epoch: what the producer still sends is refused",
        {"transactions": 2, "records": 3},
    ),
    "producer epoch": Rule("a partition refuses an older instance of a producer", {"transactions": 2}),
    "coordinator epoch": Rule("a partition refuses the markers of an older coordinator", {"transactions": 2}),
    "all markers": Rule("a transaction is complete when every partition has its marker", {"transactions": 2}),
}


class Decision(NamedTuple):
    """The last record of the coordinator's log."""

    phase: str = "complete"  # ongoing, commit, abort, complete
    instance: int = 0  # the producer epoch


class Entry(NamedTuple):
    """In a partition's log: a record of a transaction, or a marker."""

    kind: str  # record, commit, abort
    instance: int
    transaction: int = -1


class Marker(NamedTuple):
    partition: int
    coordinator: int  # its epoch
    kind: str
    instance: int


class Partition(NamedTuple):
    log: tuple[Entry, ...] = ()
    open_from: int | None = None  # as its leader knows
    coordinator: int = 0  # the highest epoch that a marker came from

    @property
    def instance(self) -> int:
        return max((entry.instance for entry in self.log), default=0)


class State(NamedTuple):
    durable: Decision = Decision()
    believed: Decision = Decision()  # by the coordinator that is
    coordinator: int = 0  # its epoch
    marked: frozenset[int] = frozenset()  # partitions whose marker the coordinator knows of
    markers: frozenset[Marker] = frozenset()  # in the air
    partitions: tuple[Partition, Partition] = (Partition(), Partition())
    writing: tuple[int, int] = (-1, -1)  # by instance: its transaction
    begun: int = 0  # transactions
    committed: frozenset[int] = frozenset()  # transactions of which that was decided durably
    seen: frozenset[tuple[int, int]] = frozenset()  # (partition, transaction) that a reader got
    changes: int = 0  # of a partition's leader


@dataclass(frozen=True)
class Transactions:
    without: str = ""
    transactions: int = 1
    coordinators: int = 2
    records: int = 3  # entries in one partition

    def start(self) -> State:
        return State()

    def steps(self, state: State) -> Iterator[tuple[Step, State]]:
        for instance in (0, 1):
            yield from self._produce(state, instance)
        yield from self._coordinate(state)
        for marker in state.markers:
            yield from self._mark(state, marker)
        for number, partition in enumerate(state.partitions):
            read = self._readable(number, partition)
            if not read <= state.seen:
                yield ("a reader of committed records gets", read), state._replace(seen=state.seen | read)
            if state.changes == 0 and partition.open_from is not None:
                kept = None if self.without == "adopted" else partition.open_from
                led = _with(state, number, partition._replace(open_from=kept))
                yield ("partition", number, "has another leader"), led._replace(changes=1)

    # Producers

    def _produce(self, state: State, instance: int) -> Iterator[tuple[Step, State]]:
        decision, own = state.believed, state.writing[instance]
        who = f"instance {instance}"
        if decision == Decision("complete", instance) and state.begun < self.transactions:
            begun = _decide(state, Decision("ongoing", instance))
            writing = tuple(state.begun if one == instance else other for one, other in enumerate(state.writing))
            yield (who, "begins transaction", state.begun), begun._replace(writing=writing, begun=state.begun + 1)
        if own >= 0:
            for number, partition in enumerate(state.partitions):
                fenced = partition.instance > instance and self.without != "producer epoch"
                if not fenced and len(partition.log) < self.records:
                    open_from = len(partition.log) if partition.open_from is None else partition.open_from
                    log = (*partition.log, Entry("record", instance, own))
                    after = _with(state, number, partition._replace(log=log, open_from=open_from))
                    yield (who, "writes transaction", own, "to partition", number), after
        if decision == Decision("ongoing", instance) and own >= 0:
            for kind in ("commit", "abort"):
                ended = self._end(state, Decision(kind, instance), own)
                writing = tuple(-1 if one == instance else other for one, other in enumerate(state.writing))
                yield (who, "asks to", kind, own), ended._replace(writing=writing)
        if instance == 1 and decision.instance == 0:
            if decision.phase == "ongoing":
                yield ("instance 1 comes: the transaction is aborted",), self._end(state, Decision("abort", 1), -1)
            elif decision.phase == "complete":
                yield ("instance 1 comes",), _decide(state, Decision("complete", 1))

    def _end(self, state: State, decision: Decision, transaction: int) -> State:
        committed = state.committed | {transaction} if decision.phase == "commit" else state.committed
        if self.without == "decision first":
            return state._replace(believed=decision, marked=frozenset())
        return _decide(state, decision)._replace(committed=committed)

    # The coordinator

    def _coordinate(self, state: State) -> Iterator[tuple[Step, State]]:
        decision = state.believed
        if decision.phase in ("commit", "abort"):
            for number in {0, 1} - state.marked:
                marker = Marker(number, state.coordinator, decision.phase, decision.instance)
                if marker not in state.markers:
                    yield ("the coordinator sends", marker), state._replace(markers=state.markers | {marker})
            if len(state.marked) == 2 or self.without == "all markers":
                yield ("the transaction is complete",), _decide(state, Decision("complete", decision.instance))
        if state.coordinator + 1 < self.coordinators:
            replayed = state.durable
            if self.without == "replay" and replayed.phase in ("commit", "abort"):
                replayed = Decision("ongoing", replayed.instance)
            yield (
                ("another coordinator believes:", *replayed),
                state._replace(coordinator=state.coordinator + 1, believed=replayed, marked=frozenset()),
            )
            if replayed.phase == "ongoing":  # a transaction that takes too long
                late = state._replace(coordinator=state.coordinator + 1)
                raised = replayed.instance + (self.without != "raised epoch")
                yield ("another coordinator aborts what takes long",), self._end(late, Decision("abort", raised), -1)

    def _mark(self, state: State, marker: Marker) -> Iterator[tuple[Step, State]]:
        partition = state.partitions[marker.partition]
        delivered = state._replace(markers=state.markers - {marker})
        stale = marker.coordinator < partition.coordinator and self.without != "coordinator epoch"
        if stale or marker.instance < partition.instance:
            yield ("refused:", marker), delivered
            return
        log = partition.log if partition.open_from is None else (*partition.log, Entry(marker.kind, marker.instance))
        if partition.open_from is None and partition.instance < marker.instance:
            log = (*partition.log, Entry(marker.kind, marker.instance))
        coordinator = max(partition.coordinator, marker.coordinator)
        delivered = _with(delivered, marker.partition, Partition(log, None, coordinator))
        if marker.coordinator == state.coordinator:
            delivered = delivered._replace(marked=state.marked | {marker.partition})
        yield ("delivered:", marker), delivered

    # Readers

    def _readable(self, number: int, partition: Partition) -> frozenset[tuple[int, int]]:
        upto = partition.open_from
        if upto is None or self.without == "last stable offset":
            upto = len(partition.log)
        return frozenset(
            (number, entry.transaction)
            for offset, entry in enumerate(partition.log[:upto])
            if entry.kind == "record" and _outcome(partition, offset) != "abort"
        )

    def broken(self, state: State) -> str | None:
        outcomes: dict[int, str] = {}
        for number, partition in enumerate(state.partitions):
            for offset, entry in enumerate(partition.log):
                outcome = _outcome(partition, offset)
                if entry.kind != "record" or outcome is None:
                    continue
                if outcomes.setdefault(entry.transaction, outcome) != outcome:
                    return f"transaction {entry.transaction} is torn: partition {number} says {outcome}"
        for number, transaction in state.seen:
            if transaction not in state.committed:
                return f"transaction {transaction} was read in partition {number}, and nobody has decided to commit it"
        return None


def _outcome(partition: Partition, offset: int) -> str | None:
    """What the next marker says; None while there is none."""
    return next((entry.kind for entry in partition.log[offset:] if entry.kind != "record"), None)


def _decide(state: State, decision: Decision) -> State:
    return state._replace(durable=decision, believed=decision, marked=frozenset())


def _with(state: State, number: int, partition: Partition) -> State:
    partitions = (partition, state.partitions[1]) if number == 0 else (state.partitions[0], partition)
    return state._replace(partitions=partitions)


TRANSACTIONS = Modelled(
    "transactions",
    "decisions, markers and what readers of committed records see, over changes of every leader",
    Transactions,
    RULES,
    quick={"transactions": 1, "coordinators": 2, "records": 2},
    deep={"transactions": 2, "coordinators": 3, "records": 4},
)
