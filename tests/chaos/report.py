"""What a chaos run tells people: a line for each fault, and in the end what each kind did."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.faults import KINDS
from tests.chaos.schedule import Planned
from tests.chaos.score import Recovery, Score


@dataclass(frozen=True)
class Outcome:
    """What became of one fault."""

    planned: Planned
    beside: Sequence[str]  # kinds that were under way meanwhile
    from_begin: Recovery
    from_end: Recovery
    effects: Mapping[str, int]  # the kind's counters, those that grew
    acknowledged: int  # from its beginning until it was settled
    ambiguous: int
    trouble: str = ""  # what beginning or ending it raised

    @property
    def line(self) -> str:
        """One line."""
        kind = KINDS[self.planned.kind]
        beside = f" beside {', '.join(self.beside)}" if self.beside else ""
        effects = ", ".join(f"{name} +{count}" for name, count in self.effects.items()) or "no effect"
        begin, end = self.from_begin, self.from_end
        parts = [
            f"{self.planned.at:6.1f} s {kind.says}, {self.planned.seconds:.1f} s{beside}",
            f"from its beginning: acknowledged {begin.first(begin.acknowledged)}, polled {begin.first(begin.polled)}",
            f"from its end: {end.first(end.acknowledged)}, {end.first(end.polled)}",
            f"{self.acknowledged} acknowledged, {self.ambiguous} ambiguous",
            effects,
        ]
        return "; ".join([*parts, self.trouble] if self.trouble else parts)


@dataclass
class Report:
    """All of a run."""

    kinds: Sequence[str]  # that could be drawn
    outcomes: list[Outcome] = field(default_factory=list)

    def of_kinds(self) -> list[str]:
        """A line for each kind that was drawn, one for those that were not."""
        lines = []
        for name in sorted({outcome.planned.kind for outcome in self.outcomes}):
            drawn = [outcome for outcome in self.outcomes if outcome.planned.kind == name]
            took = sum(bool(outcome.effects) for outcome in drawn)
            total: Counter[str] = Counter()
            for outcome in drawn:
                total.update(outcome.effects)
            counts = ", ".join(f"{counter} {count}" for counter, count in sorted(total.items()))
            lines.append(f"{name}: drawn {len(drawn)}, took effect {took}" + (f" ({counts})" if counts else ""))
        missing = sorted(set(self.kinds) - {outcome.planned.kind for outcome in self.outcomes})
        if missing:
            lines.append(f"not drawn, the time was too short: {', '.join(missing)}")
        return lines

    def without_effect(self) -> list[str]:
        """Kinds that were drawn and never took effect."""
        drawn = {outcome.planned.kind for outcome in self.outcomes}
        return sorted(drawn - {outcome.planned.kind for outcome in self.outcomes if outcome.effects})


def totals(score: Score, counted: Mapping[str, int]) -> list[str]:
    """What was counted over the whole run."""
    return [
        "clients: " + ", ".join(f"{name} {count}" for name, count in sorted(score.counts.items()) if count),
        "nodes and proxies: " + ", ".join(f"{name} {count}" for name, count in sorted(counted.items()) if count),
    ]
