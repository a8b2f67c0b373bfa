"""Explores a model state by state, breadth first, so that what it finds broken is reached by as few steps as can be.

A model is a start, the steps that may come next, and what must hold in every state. It knows nothing of the explorer,
and the explorer nothing of logs.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

Step = tuple[object, ...]
"""What happened: words first, then values."""

State = TypeVar("State", bound=Hashable)


class Model(Protocol[State]):
    """A protocol between a few nodes, and what must hold."""

    def start(self) -> State:
        """Before anything happened."""

    def steps(self, state: State) -> Iterable[tuple[Step, State]]:
        """All that may happen next, and what comes of it."""

    def broken(self, state: State) -> str | None:
        """What does not hold, as a sentence; None when all does."""


@dataclass(frozen=True, slots=True)
class Explored:
    """What came of an exploration."""

    states: int
    complete: bool  # False when it was stopped before every state was seen
    broken: str | None = None
    counterexample: tuple[Step, ...] = ()  # the steps that lead to what is broken

    def __str__(self) -> str:
        if self.broken is None:
            return f"holds in {self.states:,} states" + ("" if self.complete else ", stopped before the last one")
        steps = "\n".join(f"  {number}. {_written(step)}" for number, step in enumerate(self.counterexample, 1))
        return f"BROKEN: {self.broken}\n{steps}"


def explore(model: Model[Any], most_states: int | None = None) -> Explored:
    """Look at every state that can be reached, `most_states` at the most; the first broken one ends it."""
    start = model.start()
    came_by: dict[Hashable, tuple[Hashable, Step] | None] = {start: None}
    waiting = deque([start])
    looked_at = 0
    while waiting:
        if looked_at == most_states:
            return Explored(looked_at, complete=False)
        state = waiting.popleft()
        looked_at += 1
        broken = model.broken(state)
        if broken is not None:
            return Explored(looked_at, complete=False, broken=broken, counterexample=_steps_to(state, came_by))
        for step, after in model.steps(state):
            if after not in came_by:
                came_by[after] = (state, step)
                waiting.append(after)
    return Explored(looked_at, complete=True)


def _steps_to(state: Hashable, came_by: Mapping[Hashable, tuple[Hashable, Step] | None]) -> tuple[Step, ...]:
    steps: list[Step] = []
    while (before := came_by[state]) is not None:
        state, step = before
        steps.append(step)
    return tuple(reversed(steps))


def _written(step: Step) -> str:
    return " ".join(str(word) for word in step)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the design that a model can be made to leave out."""

    says: str
    bounds: Mapping[str, int] = field(default_factory=dict)  # where its absence shows, when not in the quick ones


@dataclass(frozen=True, slots=True)
class Modelled:
    """A model, its rules, and how far it is explored."""

    name: str
    says: str
    make: Callable[..., Model[Any]]  # takes `without`, the name of a rule, and bounds
    rules: Mapping[str, Rule]
    quick: Mapping[str, int]  # bounds for the default suite
    deep: Mapping[str, int]

    def intact(self, *, deep: bool = False) -> Model[Any]:
        """With all its rules."""
        return self.make(**(self.deep if deep else self.quick))

    def lacking(self, rule: str) -> Model[Any]:
        """Without one of them."""
        return self.make(without=rule, **{**self.quick, **self.rules[rule].bounds})
