"""The explorer: every state once, the shortest way to what is broken."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.models.explorer import Step, explore
from tests.models.implied_log import implied_log


@dataclass(frozen=True)
class Counter:
    """Adds one or three, up to a bound, and wraps around."""

    bound: int
    bad: int = -1

    def start(self) -> int:
        return 0

    def steps(self, state: int) -> Iterator[tuple[Step, int]]:
        yield ("add", 1), (state + 1) % self.bound
        yield ("add", 3), (state + 3) % self.bound

    def broken(self, state: int) -> str | None:
        return f"it is {state}" if state == self.bad else None


def test_every_state_is_looked_at_once() -> None:
    explored = explore(Counter(100))
    assert (explored.states, explored.complete, explored.broken) == (100, True, None)


def test_the_counterexample_is_the_shortest() -> None:
    explored = explore(Counter(100, bad=7))
    assert sorted(explored.counterexample) == [("add", 1), ("add", 3), ("add", 3)]
    assert not explored.complete
    assert str(explored).splitlines()[0] == "BROKEN: it is 7"


def test_an_exploration_can_be_bounded() -> None:
    explored = explore(Counter(100), most_states=10)
    assert (explored.states, explored.complete) == (10, False)


@pytest.mark.parametrize(
    ("starts", "found", "log"),
    [
        ([], [(0, 0, "a")], ()),
        ([0], [(0, 0, "a"), (0, 1, "b"), (0, 3, "d")], ("a", "b")),
        ([0, 1], [(0, 0, "a"), (0, 1, "void"), (1, 1, "b")], ("a", "b")),
        ([0, 1], [(0, 1, "void"), (1, 1, "b")], ()),
        ([0, 1, 1], [(0, 0, "a"), (1, 1, "void")], ("a",)),
    ],
)
def test_the_implied_log(starts: list[int], found: list[tuple[int, int, object]], log: tuple[object, ...]) -> None:
    assert implied_log(starts, found) == log
