"""Compactors, cleaning and garbage on one partition (docs/design.md, section 6; `infra/cluster/manifest.py`,
`compactor/replace.py`, `compactor/garbage.py`, `compactor/unnamed_segments.py`).

The log has a value of a key at offset 0, its tombstone at offset 1, and another record at each further offset. Several
compactors plan, PUT and replace at their own pace; garbage is collected meanwhile, and a reader reads what it planned.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.models.explorer import Modelled, Rule, Step


class Segment(NamedTuple):
    """A batch segment of one offset, or a record segment."""

    base: int
    last: int
    made: int = -1  # which plan made it; -1: a batch segment
    keeps: frozenset[int] = frozenset()  # offsets

    def __str__(self) -> str:
        name = "batch" if self.made < 0 else f"record {self.made}:"
        return f"{name} {self.base}-{self.last} with {sorted(self.keeps)}"


Manifest = frozenset[Segment]  # the record segments that one version names


class Plan(NamedTuple):
    segment: Segment
    version: int  # of the manifest that it was made on
    phase: str = "planned"  # sent, replaced, lost


class State(NamedTuple):
    bucket: frozenset[Segment]
    ledger: tuple[Manifest, ...] = (frozenset(),)
    plans: tuple[Plan, ...] = ()
    view: int = 0  # the version that the view tells; it may go back
    reader: frozenset[Segment] = frozenset()  # what a reader is about to read
    listed: frozenset[Segment] = frozenset()  # by the collector
    judged_by: int = -1  # the version that the collector has read; -1: none


RULES = {
    "checked replace": Rule("a plan made on version n can only become version n + 1"),
    "named": Rule("a record segment that no manifest record names does not exist", {"plans": 3}),
    "PUT before replace": Rule("what a manifest record names is in the bucket before"),
    "unchanged record": Rule("before an unnamed record segment goes, an unchanged record refuses slow compactors"),
    "garbage by the ledger": Rule("what is garbage is decided by the ledger, not by a view that may have gone back"),
    "listing before ledgers": Rule("objects are listed first and judged by ledgers that are read after that"),
    "grace": Rule("garbage is deleted after a grace longer than any reader's use", {"plans": 1}),
}


@dataclass(frozen=True)
class Compaction:
    without: str = ""
    offsets: int = 2
    plans: int = 2
    versions: int = 4

    def start(self) -> State:
        return State(frozenset(self._batch(offset) for offset in range(self.offsets)))

    def steps(self, state: State) -> Iterator[tuple[Step, State]]:
        if len(state.plans) < self.plans:
            yield from self._plan(state)
        for number, plan in enumerate(state.plans):
            yield from self._carry_out(state, number, plan)
        yield from self._collect(state)
        for version in range(state.view):
            yield ("the view goes back to version", version), state._replace(view=version)
        if not state.reader:
            yield ("a reader plans",), state._replace(reader=frozenset(self._log(state)))
        else:
            yield ("the reader is done",), state._replace(reader=frozenset())

    # Compaction and cleaning

    def _plan(self, state: State) -> Iterator[tuple[Step, State]]:
        version = len(state.ledger) - 1
        log = self._log(state, version)
        floor = max((segment.last + 1 for segment in state.ledger[version]), default=0)
        present = _kept(log)
        for first, begin in enumerate(log):
            for end in log[first:]:
                compacts = begin.base == floor and begin.made < 0
                if not compacts and (end.last >= floor or begin.made < 0):
                    continue
                for keeps in self._keeps(present, begin.base, end.last):
                    if begin == end and begin.made >= 0 and keeps == begin.keeps:
                        continue
                    segment = Segment(begin.base, end.last, len(state.plans), keeps)
                    planned = (*state.plans, Plan(segment, version))
                    yield ("a compactor plans", segment, "on version", version), state._replace(plans=planned)

    def _keeps(self, present: frozenset[int], base: int, last: int) -> Iterator[frozenset[int]]:
        """What a rewrite may keep: a value goes once its tombstone is known, a tombstone once no value is left."""
        all_of_it = frozenset(offset for offset in present if base <= offset <= last)
        yield all_of_it
        if {0, 1} <= present and 0 in all_of_it:
            yield all_of_it - {0}
        if 0 not in present and 1 in all_of_it:
            yield all_of_it - {1}

    def _carry_out(self, state: State, number: int, plan: Plan) -> Iterator[tuple[Step, State]]:
        def now(phase: str) -> tuple[Plan, ...]:
            return (*state.plans[:number], plan._replace(phase=phase), *state.plans[number + 1 :])

        version = len(state.ledger) - 1
        segment = plan.segment
        if plan.phase == "planned":
            bucket = state.bucket | {segment}
            yield ("the PUT lands:", segment), state._replace(bucket=bucket, plans=now("sent"))
        if plan.phase == "sent" or (plan.phase == "planned" and self.without == "PUT before replace"):
            if self.without != "checked replace" and plan.version != version:
                yield ("the ledger refuses", segment), state._replace(plans=now("lost"))
            elif len(state.ledger) < self.versions:
                kept = {one for one in state.ledger[-1] if one.last < segment.base or one.base > segment.last}
                ledger = (*state.ledger, frozenset(kept | {segment}))
                replaced = state._replace(ledger=ledger, plans=now("replaced"), view=version + 1)
                yield ("version", version + 1, "has", segment), replaced

    # Garbage

    def _collect(self, state: State) -> Iterator[tuple[Step, State]]:
        if self.without == "listing before ledgers" and state.judged_by < 0:
            yield ("the collector reads the ledgers",), state._replace(judged_by=len(state.ledger) - 1)
            return
        if not state.listed:
            yield ("the collector lists",), state._replace(listed=state.bucket)
            return
        version = state.judged_by if state.judged_by >= 0 else len(state.ledger) - 1
        if self.without == "garbage by the ledger":
            version = state.view
        yield ("the collector is done",), state._replace(listed=frozenset(), judged_by=-1)
        for segment in state.listed & state.bucket:
            if not self._is_dead(state, segment, version) or (segment in state.reader and self.without != "grace"):
                continue
            if segment.made >= 0 and self.without != "unchanged record" and self._may_yet_be_named(state, segment):
                if len(state.ledger) < self.versions:
                    ledger = (*state.ledger, state.ledger[-1])
                    yield ("the collector appends an unchanged record",), state._replace(ledger=ledger)
                continue
            yield ("the collector deletes", segment), state._replace(bucket=state.bucket - {segment})

    def _is_dead(self, state: State, segment: Segment, version: int) -> bool:
        if segment.made >= 0:
            return segment not in self._log(state, version)
        return segment.last < max((one.last + 1 for one in state.ledger[version]), default=0)

    def _may_yet_be_named(self, state: State, segment: Segment) -> bool:
        """Whether no record was made since it was put: then the plan that made it may still become the next one."""
        return any(plan.segment == segment and plan.version == len(state.ledger) - 1 for plan in state.plans)

    # What there is

    def _log(self, state: State, version: int = -1) -> tuple[Segment, ...]:
        """The segments that hold the log, by a version of the manifest, in order."""
        named = state.ledger[version]
        if self.without == "named":  # whatever is found of an offset may count: here what was planned first
            return tuple(dict.fromkeys(self._found(state, offset) for offset in range(self.offsets)))
        floor = max((segment.last + 1 for segment in named), default=0)
        return (*sorted(named), *(self._batch(offset) for offset in range(floor, self.offsets)))

    def _found(self, state: State, offset: int) -> Segment:
        found = [one for one in state.bucket if one.made >= 0 and one.base <= offset <= one.last]
        return min(found, key=lambda one: one.made, default=self._batch(offset))

    @staticmethod
    def _batch(offset: int) -> Segment:
        return Segment(offset, offset, keeps=frozenset({offset}))

    def broken(self, state: State) -> str | None:
        log = self._log(state)
        for segment in log:
            if segment not in state.bucket:
                return f"the log needs {segment}, and the bucket has it no more"
        kept = _kept(log)
        if 0 in kept and 1 not in kept:
            return f"a deleted key is back: the log has offsets {sorted(kept)}"
        for offset in range(2, self.offsets):
            if offset not in kept:
                return f"the record at offset {offset} is lost"
        for segment in state.reader:
            if segment not in state.bucket:
                return f"a reader needs {segment}, which is gone"
        return None


def _kept(log: tuple[Segment, ...]) -> frozenset[int]:
    return frozenset().union(*(segment.keeps for segment in log))


COMPACTION = Modelled(
    "compaction",
    "compactors, cleaning and garbage at once, a view that goes back, a reader",
    Compaction,
    RULES,
    quick={"offsets": 2, "plans": 2, "versions": 3},
    deep={"offsets": 3, "plans": 4, "versions": 6},
)
