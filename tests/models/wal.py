"""Durability `wal`: acknowledged once it is on this node's disk, before the bucket has it (docs/design.md, sections 4
and 5; `ingest/claims.py`, `ingest/wal_return.py`, `ingest/left_in_wal.py`, `infra/cluster/session.py`).

Node A has a disk, and another one it may start on by mistake. Node B writes to the bucket at once, so what it
acknowledged is there. An unclean election may lose what A had not published by then, and nothing else.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.models.explorer import Modelled, Rule, Step
from tests.models.implied_log import implied_log

Session = tuple[str, int]  # node, how often it has started
Record = tuple[int, int, int]  # leader epoch, offset, value

IDLE: tuple[Any, ...] = ("idle",)
B: Session = ("B", 0)
RULES = {
    "wait for the WAL": Rule("a lease that lapsed unreleased waits for the disk that its epoch record names"),
    "WAL by its id": Rule("the same node with an empty disk is another node"),
    "terms by the record": Rule("a claimant obeys the epoch record, not what the topic is configured to by now"),
    "return": Rule("what the WAL holds above the bucket's end is returned to the bucket"),
    "return before record": Rule("what a WAL returns is in the bucket before the epoch record is made"),
    "last epoch only": Rule("of a WAL, only the last epoch's records are returned: older ones are void", {"epochs": 3}),
    "trim": Rule("the WAL is trimmed of what is published, not of what was sent"),
    "drained release": Rule("a lease is given back once all is published"),
}
UNCLEAN_RULES = {
    "fence": Rule("the session before is fenced, also by an unclean election"),
    "TTL": Rule("a leader acknowledges at `wal` only within its session's TTL"),
    "patience": Rule("after a new incarnation of the view, or one that may have gone back, nobody claims for one TTL"),
    "own records stay": Rule("an unclean election begins at the bucket's end, not below it"),
}


class Epoch(NamedTuple):
    session: Session
    start: int
    terms: str  # "wal" or "unclean"
    disk: int


class State(NamedTuple):
    config: str  # the topic's terms
    epochs: tuple[Epoch, ...] = ()
    fences: frozenset[Session] = frozenset()
    released: frozenset[int] = frozenset()  # leader epochs
    segments: frozenset[Record] = frozenset()
    sent: frozenset[Record] = frozenset()
    wals: tuple[tuple[Record, ...], tuple[Record, ...]] = ((), ())  # of the two disks
    disk: int = 0  # that A runs on
    started: int = 0
    session: str = "held"  # A's: held, out (its own TTL), lapsed (for all), forgotten (by a view that was wiped)
    a: tuple[Any, ...] = IDLE
    b: tuple[Any, ...] = IDLE
    told: frozenset[tuple[int, int]] = frozenset()  # (offset, value) acknowledged, and not declared lost since
    published: frozenset[tuple[int, int]] = frozenset()
    values: int = 0


_LATER = {
    "held": (("A's TTL runs out", "out"), ("the view is wiped", "forgotten")),
    "out": (("A renews", "held"), ("A's session lapses", "lapsed")),
    "forgotten": (("A registers", "held"), ("A's TTL runs out in a view that forgot it", "lapsed")),
    "lapsed": (),
}


@dataclass(frozen=True)
class Wal:
    without: str = ""
    unclean: int = 0
    starts: int = 3
    values: int = 2
    epochs: int = 3

    def start(self) -> State:
        return State("unclean" if self.unclean else "wal")

    def steps(self, state: State) -> Iterator[tuple[Step, State]]:
        for record in state.sent:
            landed = state._replace(segments=state.segments | {record}, sent=state.sent - {record})
            yield ("the PUT lands:", record), landed
        if self.unclean:
            for words, session in _LATER[state.session]:
                yield (words,), state._replace(session=session)
        elif state.config == "wal":
            yield ("unclean elections are allowed from now on",), state._replace(config="unclean")
        if state.started + 1 < self.starts:
            for disk in {0} if self.unclean else {0, 1}:
                yield from self._start_anew(state, disk)
        if state.a[0] == "leads":
            yield from self._a_leads(state, *state.a[1:])
        else:
            yield from self._a_claims(state)
        yield from self._b(state)

    def _start_anew(self, state: State, disk: int) -> Iterator[tuple[Step, State]]:
        """Killed, or registering again: the session before is fenced either way."""
        again = state._replace(
            a=IDLE,
            started=state.started + 1,
            session="held",
            disk=disk,
            fences=state.fences | {("A", state.started)},
        )
        yield ("A starts anew on disk", disk), again

    # A, who keeps a WAL

    def _a_claims(self, state: State) -> Iterator[tuple[Step, State]]:
        own = ("A", state.started)
        match state.a:
            case ("idle",) if own not in state.fences and self._may_claim(state, "A"):
                yield ("A claims and fences",), self._fenced(state)._replace(a=("fenced", len(state.epochs)))
            case ("fenced", epoch):
                end = len(_log(state, epoch))
                returned = self._returned(state, epoch, end)
                if self.without != "return before record":
                    after = state._replace(sent=state.sent | (set(returned) - state.segments))
                else:
                    after = state
                yield (
                    ("A reads the end", end, "and returns", returned),
                    after._replace(a=("ended", epoch, end, returned)),
                )
            case ("ended", epoch, _, _) if len(state.epochs) != epoch:
                yield ("A loses the epoch record",), state._replace(a=IDLE)
            case ("ended", epoch, end, returned):
                if self.without == "return before record" or set(returned) <= state.segments:
                    yield ("A leads epoch", epoch), self._a_wins(state, epoch, end, returned)

    def _returned(self, state: State, epoch: int, end: int) -> tuple[Record, ...]:
        """What of this node's WAL continues the bucket's log at the last epoch."""
        if self.without == "return":
            return ()
        blind = self.without == "last epoch only"
        if not blind and (not epoch or not _stands_in(state, epoch - 1, state.disk)):
            return ()
        returned: list[Record] = []
        for at, offset, value in sorted(state.wals[state.disk], key=lambda record: (record[1], record[0])):
            if offset == end + len(returned) and (at == epoch - 1 or blind):
                returned.append((epoch - 1, offset, value))
        return tuple(returned)

    def _a_wins(self, state: State, epoch: int, end: int, returned: tuple[Record, ...]) -> State:
        end += len(returned)
        after = self._declare_lost(state, epoch, Epoch(("A", state.started), end, state.config, state.disk))
        log = _log(after, epoch)[:end]
        wals = _with_wal(state, ())
        return after._replace(
            a=("leads", epoch, end, end, end), wals=wals, published=after.published | set(enumerate(log))
        )

    def _a_leads(self, state: State, epoch: int, end: int, sent: int, published: int) -> Iterator[tuple[Step, State]]:
        own, wal = ("A", state.started), state.wals[state.disk]
        may_speak = state.session in ("held", "forgotten") or self.without == "TTL"
        if state.values < self.values and may_speak:
            record = (epoch, end, state.values)
            yield (
                ("A acknowledges what its WAL holds:", record),
                state._replace(
                    a=("leads", epoch, end + 1, sent, published),
                    wals=_with_wal(state, (*wal, record)),
                    told=state.told | {record[1:]},
                    values=state.values + 1,
                ),
            )
        for record in wal:
            if record[:2] == (epoch, sent):
                leads = ("leads", epoch, end, sent + 1, published)
                kept = tuple(one for one in wal if one != record) if self.without == "trim" else wal
                sending = state._replace(sent=state.sent | {record}, wals=_with_wal(state, kept))
                yield ("A sends", record), sending._replace(a=leads)
            if record[:2] == (epoch, published) and record in state.segments and published < sent:
                trimmed = _with_wal(state, tuple(one for one in wal if one[1] > published))
                if own in state.fences:
                    yield ("A finds its fence",), state._replace(a=IDLE)
                else:
                    leads = ("leads", epoch, end, sent, published + 1)
                    told = state.published | {record[1:]}
                    yield ("A publishes", record), state._replace(a=leads, wals=trimmed, published=told)
        if published == end or self.without == "drained release":
            yield ("A releases epoch", epoch), state._replace(a=IDLE, released=state.released | {epoch})

    # B, whose records are in the bucket when it acknowledges them

    def _b(self, state: State) -> Iterator[tuple[Step, State]]:
        match state.b:
            case ("idle",) if state.epochs and state.epochs[-1].session[0] == "A" and self._may_claim(state, "B"):
                yield ("B claims and fences",), self._fenced(state)._replace(b=("fenced", len(state.epochs)))
            case ("fenced", epoch):
                end = len(_log(state, epoch))
                if self.without == "own records stay":
                    end = max(end - 1, 0)
                yield ("B reads the end", end), state._replace(b=("ended", epoch, end))
            case ("ended", epoch, _) if len(state.epochs) != epoch:
                yield ("B loses the epoch record",), state._replace(b=IDLE)
            case ("ended", epoch, end):
                after = self._declare_lost(state, epoch, Epoch(B, end, state.config, 2))
                yield ("B leads epoch", epoch, "from", end), after._replace(b=("leads", epoch, end))
            case ("leads", epoch, end):
                if state.values < self.values:
                    written = state._replace(
                        segments=state.segments | {(epoch, end, state.values)},
                        told=state.told | {(end, state.values)},
                        values=state.values + 1,
                    )
                    yield ("B acknowledges", (epoch, end, state.values)), written._replace(b=("leads", epoch, end + 1))
                yield ("B releases epoch", epoch), state._replace(b=IDLE, released=state.released | {epoch})

    # What both obey

    def _may_claim(self, state: State, who: str) -> bool:
        epoch = len(state.epochs) - 1
        if len(state.epochs) == self.epochs:
            return False
        if epoch < 0 or epoch in state.released:
            return True
        before = state.epochs[epoch]
        if before.session == B:
            return False  # it lives
        lapsed = state.session == "lapsed" or (self.without == "patience" and state.session == "forgotten")
        if before.session == ("A", state.started) and who == "B" and not lapsed:
            return False
        if who == "A" and (before.disk == state.disk or self.without == "WAL by its id"):
            return True
        terms = state.config if self.without == "terms by the record" else before.terms
        return terms == "unclean" or self.without == "wait for the WAL"

    def _fenced(self, state: State) -> State:
        epoch = len(state.epochs) - 1
        if epoch < 0 or epoch in state.released or self.without == "fence":
            return state
        return state._replace(fences=state.fences | {state.epochs[epoch].session})

    def _declare_lost(self, state: State, epoch: int, won: Epoch) -> State:
        """After the epoch record. By an unclean election, what is not in the bucket by now is lost, as declared."""
        after = state._replace(epochs=(*state.epochs, won))
        if epoch and epoch - 1 not in state.released and state.epochs[-1].terms == "unclean":
            kept = set(enumerate(_log(state, epoch)[: won.start]))
            if won.session[0] == "B" or not _stands_in(state, epoch - 1, state.disk):
                after = after._replace(told=frozenset(state.told & kept))
        return after

    def broken(self, state: State) -> str | None:
        log = _log(state, len(state.epochs))
        for offset, value in state.published:
            if offset >= len(log) or log[offset] != value:
                return f"value {value} was published at offset {offset}, the bucket says {log}"
        values: dict[int, int] = {}
        for offset, value in state.told:
            if values.setdefault(offset, value) != value:
                return f"values {values[offset]} and {value} were both acknowledged at offset {offset}"
            if offset < len(log):
                if log[offset] != value:
                    return f"value {value} was acknowledged at offset {offset}, the bucket says {log}"
            elif not self._can_return(state, offset, value):
                return f"value {value} was acknowledged at offset {offset}: no bucket and no WAL that counts has it"
        return None

    def _can_return(self, state: State, offset: int, value: int) -> bool:
        last = len(state.epochs) - 1
        return any(
            record == (last, offset, value) and state.epochs[last].disk == disk and last not in state.released
            for disk, wal in enumerate(state.wals)
            for record in wal
        )


def _stands_in(state: State, epoch: int, disk: int) -> bool:
    """Whether what that epoch acknowledged may stand on that disk alone."""
    return epoch not in state.released and state.epochs[epoch].disk == disk


def _log(state: State, epochs: int) -> tuple[object, ...]:
    return implied_log([epoch.start for epoch in state.epochs[:epochs]], state.segments)


def _with_wal(state: State, wal: tuple[Record, ...]) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    return (wal, state.wals[1]) if state.disk == 0 else (state.wals[0], wal)


WAL = Modelled(
    "wal",
    "acknowledged on a node's disk: crashes, releases, the disk that comes back, terms that are altered",
    Wal,
    RULES,
    quick={"starts": 3, "values": 2, "epochs": 2},
    deep={"starts": 4, "values": 3, "epochs": 4},
)
UNCLEAN = Modelled(
    "unclean election",
    "the same where another node may lead without the WAL: what is lost was not published by then",
    Wal,
    UNCLEAN_RULES,
    quick={"unclean": 1, "starts": 2, "values": 2, "epochs": 3},
    deep={"unclean": 1, "starts": 3, "values": 3, "epochs": 4},
)
