"""Each model holds in every state within its bounds; with any rule taken away, steps are found that break it."""

from collections.abc import Sequence

import pytest

from tests.models.catalogue import CATALOGUE
from tests.models.explorer import Modelled, Step, explore


@pytest.mark.parametrize("modelled", CATALOGUE, ids=lambda modelled: modelled.name)
def test_the_whole_model_holds(modelled: Modelled) -> None:
    explored = explore(modelled.intact())
    assert explored.broken is None, str(explored)
    assert explored.complete


@pytest.mark.parametrize(
    ("modelled", "rule"),
    [pytest.param(modelled, rule, id=f"{modelled.name}: {rule}") for modelled in CATALOGUE for rule in modelled.rules],
)
def test_a_rule_that_is_left_out_is_missed(modelled: Modelled, rule: str) -> None:
    explored = explore(modelled.lacking(rule))
    assert explored.broken is not None
    _replay(modelled, rule, explored.counterexample)


def _replay(modelled: Modelled, rule: str, counterexample: Sequence[Step]) -> None:
    """The steps lead to what is broken, and nothing was broken before."""
    model = modelled.lacking(rule)
    reached = {model.start()}
    for step in counterexample:
        assert not any(map(model.broken, reached))
        reached = {after for state in reached for name, after in model.steps(state) if name == step}
    assert any(map(model.broken, reached))


@pytest.mark.parametrize("modelled", CATALOGUE, ids=lambda modelled: modelled.name)
def test_names_are_unique_and_rules_are_known(modelled: Modelled) -> None:
    assert [one.name for one in CATALOGUE].count(modelled.name) == 1
    assert modelled.rules
    for bounds in (modelled.quick, modelled.deep, *(rule.bounds for rule in modelled.rules.values())):
        modelled.make(**bounds)
