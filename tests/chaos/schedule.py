"""What happens when in a chaos run: drawn from a seed alone, so that a seed names a run.

Storms of one to three faults that may overlap, and quiet times between them. Kinds are dealt like cards: none comes
again before all have come once.
"""

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_WARM_UP_SECONDS = 6.0
BETWEEN_STORMS_SECONDS = 3.0  # at the least
_QUIET_SECONDS = (BETWEEN_STORMS_SECONDS, 9.0)


@dataclass(frozen=True)
class Planned:
    """One fault."""

    at: float  # seconds after the beginning
    kind: str
    seconds: float  # until it ends
    victim: int  # which node, modulo their number
    strength: float  # 0 to 1; what that means is the kind's business

    @property
    def end(self) -> float:
        """Seconds after the beginning."""
        return self.at + self.seconds


def draw(seed: int, seconds: float, kinds: Sequence[str], lasting: Mapping[str, tuple[float, float]]) -> list[Planned]:
    """Faults in order of their beginning, all ended after `seconds`; at least one where any time is given."""
    chance = random.Random(f"{seed} schedule")
    deck = _deal(chance, kinds)
    planned: list[Planned] = []
    now = min(_WARM_UP_SECONDS, seconds / 4)
    while now < seconds:
        size = chance.choice((1, 1, 2, 3))
        storm = [_one(chance, now, kind, lasting[kind]) for kind in itertools.islice(deck, size)]
        for fault in storm:
            if fault.end <= seconds or not planned:
                planned.append(fault)
        now = max(fault.end for fault in storm) + chance.uniform(*_QUIET_SECONDS)
    return sorted(planned, key=lambda fault: fault.at)


def _deal(chance: random.Random, kinds: Sequence[str]) -> Iterator[str]:
    while True:
        deck = list(kinds)
        chance.shuffle(deck)
        yield from deck


def _one(chance: random.Random, now: float, kind: str, lasting: tuple[float, float]) -> Planned:
    at = now + chance.uniform(0, 4)
    return Planned(round(at, 2), kind, round(chance.uniform(*lasting), 2), chance.randrange(1000), chance.random())
