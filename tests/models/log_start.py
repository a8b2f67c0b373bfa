"""Log start offsets: raised by DeleteRecords and retention, kept over compaction, garbage and changes of leader
(docs/design.md, sections 5 and 6; `ingest/manifests.py`, `ingest/log_end.py`, `infra/cluster/manifest.py`).

One partition at durability `object`. A claimant ends the leader before at once; `takeover` has the parts of that.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.models.explorer import Modelled, Rule, Step
from tests.models.implied_log import implied_log

Record = tuple[int, int, int]  # leader epoch, offset, value
RULES = {
    "carried": Rule("a new leader starts at or above the log start offset and the end of the record segments"),
    "ledger first": Rule("the manifest ledger has a log start offset before readers see it and before the answer"),
    "checked replace": Rule("a manifest record is made on the newest one, or is refused"),
    "garbage by the ledger": Rule(
        "what lies below a log start is garbage once the ledger has it, not when it is asked for"
    ),
    "grace": Rule("garbage stays for longer than a claimant reads"),
    "up to the high watermark": Rule("only what is below the high watermark can be deleted"),
}


class Manifest(NamedTuple):
    log_start: int = 0
    records_end: int = 0

    @property
    def floor(self) -> int:
        return max(self)


class Leader(NamedTuple):
    end: int
    published: int
    log_start: int  # as readers see it


class Claim(NamedTuple):
    epoch: int
    manifest: Manifest | None = None
    end: int | None = None


class State(NamedTuple):
    starts: tuple[int, ...] = (0,)
    leader: Leader | None = Leader(0, 0, 0)
    claim: Claim | None = None
    segments: frozenset[Record] = frozenset()
    sent: frozenset[Record] = frozenset()  # PUTs in the air
    ledger: tuple[Manifest, ...] = (Manifest(),)
    raising: int = 0  # a log start on its way to the ledger, of whichever leader
    plan: tuple[int, int] | None = None  # a compactor's: the version it was made on, the end of its record segments
    records: tuple[object, ...] = ()  # the log as record segments have it
    told: frozenset[tuple[int, object]] = frozenset()  # (offset, value) acknowledged
    told_start: int = 0  # the highest log start that a reader was told
    values: int = 0


@dataclass(frozen=True)
class LogStart:
    without: str = ""
    values: int = 2
    epochs: int = 2
    versions: int = 3

    def start(self) -> State:
        return State()

    def steps(self, state: State) -> Iterator[tuple[Step, State]]:
        for record in state.sent:
            landed = state._replace(segments=state.segments | {record}, sent=state.sent - {record})
            yield ("the PUT lands:", record), landed
        if state.leader is not None:
            yield from self._lead(state, state.leader)
        yield from self._raise(state)
        yield from self._claim(state)
        yield from self._compact(state)
        yield from self._collect(state)

    def _lead(self, state: State, leader: Leader) -> Iterator[tuple[Step, State]]:
        epoch = len(state.starts) - 1
        if state.values < self.values:
            record = (epoch, leader.end, state.values)
            sent = state._replace(sent=state.sent | {record}, values=state.values + 1)
            yield ("the leader sends", record), sent._replace(leader=leader._replace(end=leader.end + 1))
        for record in state.segments:
            if record[:2] == (epoch, leader.published):
                told = state._replace(told=state.told | {record[1:]})
                published = leader._replace(published=leader.published + 1)
                yield ("the leader publishes and acknowledges", record), told._replace(leader=published)
        if not state.raising:
            upto = leader.end if self.without == "up to the high watermark" else leader.published
            for offset in range(leader.log_start + 1, upto + 1):
                raising = state._replace(raising=offset)
                if self.without == "ledger first":
                    raising = raising._replace(leader=leader._replace(log_start=offset), told_start=offset)
                yield ("records below", offset, "are to be deleted"), raising
        if state.ledger[-1].log_start > leader.log_start:
            seen = leader._replace(log_start=state.ledger[-1].log_start)
            told = max(state.told_start, seen.log_start)
            yield ("readers see log start", seen.log_start), state._replace(leader=seen, told_start=told)

    def _raise(self, state: State) -> Iterator[tuple[Step, State]]:
        """The record is made by whoever was asked, also when another leads by now; or never."""
        if not state.raising:
            return
        if len(state.ledger) < self.versions:
            last = state.ledger[-1]
            raised = last._replace(log_start=max(last.log_start, state.raising))
            yield ("the ledger has log start", state.raising), state._replace(ledger=(*state.ledger, raised), raising=0)
        yield ("whoever raises the log start dies",), state._replace(raising=0, leader=None)

    def _claim(self, state: State) -> Iterator[tuple[Step, State]]:
        claim = state.claim
        if claim is None:
            if len(state.starts) < self.epochs:
                fenced = state._replace(claim=Claim(len(state.starts)), leader=None)
                yield ("a claimant fences the leader",), fenced
        elif claim.manifest is None:
            manifest = state.ledger[-1]
            yield ("the claimant reads the manifest", manifest), state._replace(claim=claim._replace(manifest=manifest))
        elif claim.end is None:
            floor = 0 if self.without == "carried" else claim.manifest.floor
            begin = max(floor, state.starts[-1])
            end = begin + len(implied_log(state.starts, state.segments, begin))
            yield ("the claimant reads the end", end), state._replace(claim=claim._replace(end=end))
        else:
            led = Leader(claim.end, claim.end, claim.manifest.log_start)
            told = max(state.told_start, led.log_start)
            yield (
                ("another leads from", claim.end, "on"),
                state._replace(starts=(*state.starts, claim.end), leader=led, claim=None, told_start=told),
            )

    def _compact(self, state: State) -> Iterator[tuple[Step, State]]:
        version = len(state.ledger) - 1
        last = state.ledger[-1]
        if state.plan is None:
            if state.leader is not None and state.leader.published > last.floor:
                yield ("a compactor plans",), state._replace(plan=(version, state.leader.published))
            return
        planned_on, upto = state.plan
        if self.without == "checked replace":
            last = state.ledger[planned_on]
        elif planned_on != version:
            yield ("the ledger refuses the compactor",), state._replace(plan=None)
            return
        if version + 1 < self.versions:
            log = (*state.records, *self._log(state)[len(state.records) :])
            replaced = state._replace(ledger=(*state.ledger, last._replace(records_end=upto)), records=log[:upto])
            yield ("record segments reach up to", upto), replaced._replace(plan=None)

    def _collect(self, state: State) -> Iterator[tuple[Step, State]]:
        floor = state.ledger[-1].floor
        if self.without == "garbage by the ledger":
            floor = max(floor, state.raising)
        reads = state.claim is not None and state.claim.end is None
        if reads and self.without != "grace":
            return  # what is dead by now was not when the claimant began, or is not asked for
        for record in state.segments:
            if record[1] < floor:
                yield ("the collector deletes", record), state._replace(segments=state.segments - {record})

    def _log(self, state: State) -> tuple[object, ...]:
        """From offset 0 on; below the log start whatever record segments had, or None."""
        floor = state.ledger[-1].floor
        known = (*state.records, *(None for _ in range(len(state.records), floor)))[:floor]
        return (*known, *implied_log(state.starts, state.segments, floor))

    def broken(self, state: State) -> str | None:
        log, log_start = self._log(state), state.ledger[-1].log_start
        values: dict[int, object] = {}
        for offset, value in state.told:
            if values.setdefault(offset, value) != value:
                return f"values {values[offset]} and {value} were both acknowledged at offset {offset}"
            if offset >= log_start and (offset >= len(log) or log[offset] != value):
                return f"value {value} was acknowledged at offset {offset}, the log from {log_start} on is {log}"
        if log_start < state.told_start:
            return f"a reader was told log start {state.told_start}, the ledger says {log_start}"
        if state.leader is not None and state.leader.end < log_start:
            return f"the log starts at {log_start}, its leader appends at {state.leader.end}"
        if log_start > len(log):
            return f"the log starts at {log_start} and ends at {len(log)}"
        return None


LOG_START = Modelled(
    "log start",
    "log start offsets over compaction, garbage and changes of leader",
    LogStart,
    RULES,
    quick={"values": 2, "epochs": 2, "versions": 3},
    deep={"values": 3, "epochs": 4, "versions": 4},
)
