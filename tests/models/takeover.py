"""Taking the lease of one partition, on the bucket alone (docs/design.md, section 5; `ingest/takeover.py`).

Nodes claim, lead and start anew whenever they like; PUTs land late, also after their sender died. The view may forget
anything at any time, so it has no part in safety and none here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.models.explorer import Modelled, Rule, Step
from tests.models.implied_log import implied_log

Session = tuple[int, int]  # node, how often it has started
Record = tuple[int, int, int]  # leader epoch, offset, value

IDLE = ("idle",)
RULES = {
    "fence": Rule("a claimant creates the fence of the last epoch's session"),
    "listing after fence": Rule("the end of the log is read once the fence is known to exist, and not before"),
    "ledger": Rule("the ledger of epoch records lets exactly one claimant win a number"),
    "look for the fence": Rule("a leader looks for its fence after its segment is in the bucket, and then publishes"),
    "PUT before publish": Rule("only what is in the bucket is published"),
    "order": Rule("offsets publish in order"),
    "void": Rule("a record of an epoch at or above the start of a later one does not exist"),
}


class State(NamedTuple):
    epochs: tuple[tuple[Session, int], ...] = ()  # who leads, from which offset on
    fences: frozenset[Session] = frozenset()
    segments: frozenset[Record] = frozenset()
    sent: frozenset[Record] = frozenset()  # PUTs in the air
    nodes: tuple[tuple[int, tuple[Any, ...]], ...] = ()  # how often it has started, what it is at
    told: frozenset[tuple[int, int]] = frozenset()  # (offset, value) published, so acknowledged and read
    values: int = 0


class Flight(NamedTuple):
    record: Record
    looked: bool = False  # landed, and no fence was there then


@dataclass(frozen=True)
class Takeover:
    without: str = ""
    nodes: int = 2
    starts: int = 2
    values: int = 2
    flights: int = 2
    epochs: int = 3

    def start(self) -> State:
        return State(nodes=tuple((0, IDLE) for _ in range(self.nodes)))

    def steps(self, state: State) -> Iterator[tuple[Step, State]]:
        for record in state.sent:
            segments, sent = state.segments | {record}, state.sent - {record}
            yield ("the PUT lands:", record), state._replace(segments=segments, sent=sent)
        for node, (started, phase) in enumerate(state.nodes):
            if started + 1 < self.starts:
                yield (f"node {node} starts anew",), _at(state, node, started + 1, IDLE)
            if phase[0] == "leads":
                yield from self._lead(state, node, started, phase)
            else:
                yield from self._claim(state, node, started, phase)

    def _claim(self, state: State, node: int, started: int, phase: tuple[Any, ...]) -> Iterator[tuple[Step, State]]:
        own = (node, started)
        match phase:
            case ("idle",) if own not in state.fences and len(state.epochs) < self.epochs:
                listed = ("listed", len(state.epochs), None)
                yield (f"node {node} lists {len(state.epochs)} epochs",), _at(state, node, started, listed)
            case ("listed", epoch, None) if self.without == "listing after fence":
                listed = ("listed", epoch, len(self._log(state, epoch)))
                yield (f"node {node} reads the end: {listed[-1]}",), _at(state, node, started, listed)
            case ("listed", epoch, end):
                fences = state.fences
                if epoch and state.epochs[epoch - 1][0] != own and self.without != "fence":
                    fences |= {state.epochs[epoch - 1][0]}
                fenced = _at(state._replace(fences=fences), node, started, ("fenced", epoch, end))
                yield (f"node {node} fences the session before",), fenced
            case ("fenced", epoch, end):
                end = len(self._log(state, epoch)) if end is None else end
                yield (f"node {node} reads the end: {end}",), _at(state, node, started, ("ended", epoch, end))
            case ("ended", epoch, end) if len(state.epochs) == epoch or self.without == "ledger":
                epochs = (*state.epochs[:epoch], (own, end), *state.epochs[epoch + 1 :])
                led = _at(state._replace(epochs=epochs), node, started, ("leads", epoch, end, end, ()))
                yield (f"node {node} leads epoch {epoch} from {end} on",), led
            case ("ended", epoch, _):
                yield (f"node {node} loses epoch {epoch}",), _at(state, node, started, IDLE)

    def _lead(self, state: State, node: int, started: int, phase: tuple[Any, ...]) -> Iterator[tuple[Step, State]]:
        _, epoch, end, published, flights = phase
        if len(flights) < self.flights and state.values < self.values:
            record = (epoch, end, state.values)
            sent = state._replace(sent=state.sent | {record}, values=state.values + 1)
            leads = ("leads", epoch, end + 1, published, (*flights, Flight(record)))
            yield (f"node {node} sends", record), _at(sent, node, started, leads)
        for place, flight in enumerate(flights):
            others = flights[:place] + flights[place + 1 :]
            landed = flight.record in state.segments or self.without == "PUT before publish"
            if not flight.looked and landed:
                if (node, started) in state.fences and self.without != "look for the fence":
                    yield (f"node {node} finds its fence",), _at(state, node, started, IDLE)
                    continue
                looked = (*flights[:place], flight._replace(looked=True), *flights[place + 1 :])
                leads = ("leads", epoch, end, published, looked)
                yield (f"node {node} finds no fence after", flight.record), _at(state, node, started, leads)
            _, offset, value = flight.record
            if flight.looked and (offset == published or self.without == "order"):
                told = state._replace(told=state.told | {(offset, value)})
                leads = ("leads", epoch, end, published + 1, others)
                yield (f"node {node} publishes and acknowledges", flight.record), _at(told, node, started, leads)

    def _log(self, state: State, epochs: int) -> tuple[object, ...]:
        """What the bucket implies by the first so many epochs."""
        starts = [start for _, start in state.epochs[:epochs]]
        if self.without == "void":  # whatever is found of an offset counts, the oldest say
            found = [(0, offset, value) for _, offset, value in sorted(state.segments, reverse=True)]
            return implied_log(starts[:1], found)
        return implied_log(starts, state.segments)

    def broken(self, state: State) -> str | None:
        log = self._log(state, len(state.epochs))
        for offset, value in state.told:
            if offset >= len(log) or log[offset] != value:
                return f"value {value} was acknowledged at offset {offset}, the bucket says {log}"
        return None


def _at(state: State, node: int, started: int, phase: tuple[Any, ...]) -> State:
    return state._replace(nodes=(*state.nodes[:node], (started, phase), *state.nodes[node + 1 :]))


TAKEOVER = Modelled(
    "takeover",
    "one partition: fence, end of the log, epoch record, and the order of acknowledging",
    Takeover,
    RULES,
    quick={"nodes": 2, "starts": 2, "values": 2, "flights": 2, "epochs": 3},
    deep={"nodes": 2, "starts": 2, "values": 3, "flights": 2, "epochs": 4},
)
