"""Leases of several partitions: segments that hold several, releases, a view that forgets and is rebuilt, late PUTs
(docs/design.md, section 5; `ingest/takeover.py`, `ingest/lease_keeper.py`, `infra/view/bucket_log.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

from tests.models.explorer import Modelled, Rule, Step
from tests.models.implied_log import implied_log

Session = tuple[int, int]  # node, how often it has started
Record = tuple[int, int, int, int]  # partition, leader epoch, offset, value
Segment = tuple[Record, ...]

IDLE: tuple[Any, ...] = ("idle",)
RULES = {
    "fence": Rule("who claims a lease that was not released fences its session"),
    "release of that epoch": Rule("only the release of the last epoch spares the fence", {"epochs": 3}),
    "drained release": Rule("a lease is given back once all that was sent is published"),
    "release is the end": Rule("once a release was sent, whatever the answer, that epoch is over"),
    "own creation": Rule("a node leads only by an epoch record that this very process created"),
    "end by the bucket": Rule(
        "the end of the log is never taken from the view, which may have forgotten", {"epochs": 3}
    ),
    "what is there counts": Rule("a refused epoch record: the one that is there counts, not the one that was meant"),
    "rebuild looks": Rule("a rebuild lists first and then looks for the fence: what the last epoch wrote waits for it"),
}


class State(NamedTuple):
    epochs: tuple[tuple[tuple[Session, int], ...], ...]  # by partition: who leads, from which offset on
    nodes: tuple[tuple[int, tuple[Any, ...], tuple[tuple[Segment, bool], ...]], ...]  # starts, phases, flights
    fences: frozenset[Session] = frozenset()
    released: frozenset[tuple[int, int]] = frozenset()  # (partition, leader epoch)
    segments: frozenset[Segment] = frozenset()
    sent: frozenset[Segment] = frozenset()  # PUTs in the air
    late: tuple[int, int, Session, int] | None = None  # an epoch record in the air: partition, epoch, session, start
    rebuild: tuple[int, Session, tuple[object, ...]] | None = None  # partition, last session, the log as listed
    told: frozenset[tuple[int, int, object]] = frozenset()  # (partition, offset, value) that the view ever knew
    values: int = 0


@dataclass(frozen=True)
class Leadership:
    without: str = ""
    nodes: int = 2
    starts: int = 2
    partitions: int = 1
    values: int = 2
    flights: int = 1
    epochs: int = 2

    def start(self) -> State:
        idle = tuple(IDLE for _ in range(self.partitions))
        return State(((),) * self.partitions, tuple((0, idle, ()) for _ in range(self.nodes)))

    def steps(self, state: State) -> Iterator[tuple[Step, State]]:
        for segment in state.sent:
            landed = state._replace(segments=state.segments | {segment}, sent=state.sent - {segment})
            yield ("the PUT lands:", segment), landed
        if state.late is not None:
            yield ("the epoch record lands:", state.late), self._land(state, state.late)
        yield from self._rebuild(state)
        for node, (started, phases, flights) in enumerate(state.nodes):
            if started + 1 < self.starts:
                idle = tuple(IDLE for _ in phases)
                yield (f"node {node} starts anew",), _with_node(state, node, started + 1, idle, ())
            for partition, phase in enumerate(phases):
                if phase[0] == "leads":
                    yield from self._release(state, node, partition, phase)
                else:
                    yield from self._claim(state, node, partition, phase)
            yield from self._send(state, node, started, phases, flights)
            yield from self._publish(state, node, started, phases, flights)

    # Claiming

    def _claim(self, state: State, node: int, partition: int, phase: tuple[Any, ...]) -> Iterator[tuple[Step, State]]:
        own = (node, state.nodes[node][0])
        epochs = state.epochs[partition]
        who = f"node {node}, partition {partition}:"
        match phase:
            case ("idle",):
                if own not in state.fences and len(epochs) < self.epochs:
                    yield (who, "lists", len(epochs), "epochs"), _at(state, node, partition, ("listed", len(epochs)))
                    if self.without == "own creation":
                        yield from self._resume(state, node, partition, own)
            case ("listed", epoch):
                fenced = _at(state, node, partition, ("fenced", epoch))
                if epoch and epochs[epoch - 1][0] != own and not self._spared(state, partition, epoch - 1):
                    fences = fenced.fences | {epochs[epoch - 1][0]}
                    yield (who, "fences", epochs[epoch - 1][0]), fenced._replace(fences=fences)
                else:
                    yield (who, "needs no fence"), fenced
            case ("fenced", epoch):
                for end in sorted(self._ends(state, partition, epoch)):
                    yield (who, "reads the end", end), _at(state, node, partition, ("ended", epoch, end))
            case ("ended", epoch, end):
                yield from self._create(state, node, partition, own, epoch, end)

    def _spared(self, state: State, partition: int, epoch: int) -> bool:
        if self.without == "fence":
            return True
        if self.without == "release of that epoch":
            return any(one == partition for one, _ in state.released)
        return (partition, epoch) in state.released

    def _ends(self, state: State, partition: int, epoch: int) -> set[int]:
        epochs = state.epochs[partition][:epoch]
        if self.without != "end by the bucket":
            return {len(_log(state, partition, epochs))}
        ends = set()
        known = max((offset + 1 for of, offset, _ in state.told if of == partition), default=0)
        found = {(of, at, offset) for segment in state.segments for of, at, offset, _ in segment}
        for end in range(known + 1):  # the view may have gone back to any earlier end
            while epochs and (partition, epoch - 1, end) in found:
                end += 1
            ends.add(end)
        return ends

    def _create(
        self, state: State, node: int, partition: int, own: Session, epoch: int, end: int
    ) -> Iterator[tuple[Step, State]]:
        who = f"node {node}, partition {partition}:"
        epochs = state.epochs[partition]
        if state.late is None:
            late = state._replace(late=(partition, epoch, own, end))
            yield (who, "gives up the PUT of epoch", epoch, "from", end), _at(late, node, partition, IDLE)
        refused = len(epochs) > epoch
        meant = refused and epochs[epoch] == (own, end)
        if self.without == "what is there counts":
            meant = refused and epochs[epoch][0] == own
        if refused and not meant:
            yield (who, "loses epoch", epoch), _at(state, node, partition, IDLE)
            return
        log = _log(state, partition, epochs[:epoch])[:end]
        led = state if refused else self._land(state, (partition, epoch, own, end), clear=False)
        led = led._replace(told=led.told | {(partition, offset, value) for offset, value in enumerate(log)})
        yield (who, "leads epoch", epoch, "from", end), _at(led, node, partition, ("leads", epoch, end))

    def _land(self, state: State, late: tuple[int, int, Session, int], *, clear: bool = True) -> State:
        partition, epoch, session, start = late
        if clear:
            state = state._replace(late=None)
        epochs = state.epochs[partition]
        if len(epochs) != epoch:
            return state
        after = (*epochs, (session, start))
        return state._replace(epochs=(*state.epochs[:partition], after, *state.epochs[partition + 1 :]))

    def _resume(self, state: State, node: int, partition: int, own: Session) -> Iterator[tuple[Step, State]]:
        """The view has gone back and says that this session leads."""
        for epoch, (session, start) in enumerate(state.epochs[partition]):
            if session == own:
                end = max(
                    (
                        offset + 1
                        for one in state.segments
                        for of, at, offset, _ in one
                        if (of, at) == (partition, epoch)
                    ),
                    default=start,
                )
                phase = ("leads", epoch, end)
                yield (f"node {node}, partition {partition}: believes the view",), _at(state, node, partition, phase)

    # Leading

    def _release(self, state: State, node: int, partition: int, phase: tuple[Any, ...]) -> Iterator[tuple[Step, State]]:
        epoch = phase[1]
        flights = state.nodes[node][2]
        drained = all(of != partition for segment, _ in flights for of, *_ in segment)
        released = state._replace(released=state.released | {(partition, epoch)})
        who = f"node {node}, partition {partition}:"
        if drained:
            yield (who, "releases epoch", epoch), _at(released, node, partition, IDLE)
            if self.without == "release is the end":
                yield (who, "releases epoch", epoch, "hears no answer and goes on"), released
        elif self.without == "drained release":
            kept = tuple((tuple(one for one in segment if one[0] != partition), ok) for segment, ok in flights)
            after = _at(released, node, partition, IDLE)
            started, phases, _ = after.nodes[node]
            kept = tuple(one for one in kept if one[0])
            yield (who, "releases epoch", epoch, "in haste"), _with_node(after, node, started, phases, kept)

    def _send(self, state: State, node: int, started: int, phases: Any, flights: Any) -> Iterator[tuple[Step, State]]:
        led = [partition for partition, phase in enumerate(phases) if phase[0] == "leads"]
        if len(flights) >= self.flights:
            return
        for count in range(1, min(len(led), self.values - state.values) + 1):
            for chosen in combinations(led, count):
                segment = tuple(
                    (partition, phases[partition][1], phases[partition][2], state.values + place)
                    for place, partition in enumerate(chosen)
                )
                after = tuple(
                    (*phase[:2], phase[2] + 1) if partition in chosen else phase
                    for partition, phase in enumerate(phases)
                )
                sent = state._replace(sent=state.sent | {segment}, values=state.values + count)
                flown = (*flights, (segment, False))
                yield (f"node {node} sends", segment), _with_node(sent, node, started, after, flown)

    def _publish(
        self, state: State, node: int, started: int, phases: Any, flights: Any
    ) -> Iterator[tuple[Step, State]]:
        for place, (segment, looked) in enumerate(flights):
            if not looked and any(set(segment) <= set(one) for one in state.segments):
                if (node, started) in state.fences:
                    idle = tuple(IDLE for _ in phases)
                    yield (f"node {node} finds its fence",), _with_node(state, node, started, idle, ())
                else:
                    seen = (*flights[:place], (segment, True), *flights[place + 1 :])
                    yield (f"node {node} finds no fence",), _with_node(state, node, started, phases, seen)
            if looked and place == 0:
                told = state._replace(told=state.told | {(of, offset, value) for of, _, offset, value in segment})
                yield (f"node {node} publishes", segment), _with_node(told, node, started, phases, flights[1:])

    # The view

    def _rebuild(self, state: State) -> Iterator[tuple[Step, State]]:
        if state.rebuild is None:
            for partition, epochs in enumerate(state.epochs):
                if epochs:
                    listed = (partition, epochs[-1][0], _log(state, partition, epochs))
                    yield ("a rebuild lists partition", partition), state._replace(rebuild=listed)
            return
        partition, session, log = state.rebuild
        told = {(partition, offset, value) for offset, value in enumerate(log)}
        fenced = session in state.fences and self.without != "rebuild looks"
        after = state._replace(rebuild=None, told=state.told if fenced else state.told | told)
        yield ("the rebuild", "finds a fence" if fenced else "publishes", log), after

    def broken(self, state: State) -> str | None:
        logs = [_log(state, partition, epochs) for partition, epochs in enumerate(state.epochs)]
        for partition, offset, value in state.told:
            if offset >= len(logs[partition]) or logs[partition][offset] != value:
                return f"the view told value {value} at {partition}:{offset}, the bucket says {logs[partition]}"
        return None


def _log(state: State, partition: int, epochs: tuple[tuple[Session, int], ...]) -> tuple[object, ...]:
    found = [record[1:] for segment in state.segments for record in segment if record[0] == partition]
    return implied_log([start for _, start in epochs], found)


def _with_node(state: State, node: int, started: int, phases: Any, flights: Any) -> State:
    return state._replace(nodes=(*state.nodes[:node], (started, phases, flights), *state.nodes[node + 1 :]))


def _at(state: State, node: int, partition: int, phase: tuple[Any, ...]) -> State:
    started, phases, flights = state.nodes[node]
    return _with_node(state, node, started, (*phases[:partition], phase, *phases[partition + 1 :]), flights)


LEADERSHIP = Modelled(
    "leadership",
    "leases of several partitions: release, a view that forgets and is rebuilt, PUTs that land late",
    Leadership,
    RULES,
    quick={"nodes": 2, "starts": 1, "partitions": 1, "values": 1, "flights": 1, "epochs": 2},
    deep={"nodes": 2, "starts": 2, "partitions": 2, "values": 2, "flights": 2, "epochs": 2},
)
