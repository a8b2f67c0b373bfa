"""That plants still fit the product: one that takes other arguments would be found for its exceptions alone."""

import importlib
import inspect
from inspect import Parameter
from typing import Any

import pytest

from tests.planted import description, names, planted


@pytest.mark.parametrize("name", names())
def test_a_plant_takes_what_it_replaces_takes(name: str) -> None:
    replaced = []

    def patch(owner: Any, attribute: str, replacement: Any) -> None:
        replaced.append((vars(owner)[attribute], replacement))

    importlib.import_module(f"tests.planted.{name}").plant(patch)
    assert replaced
    for original, replacement in replaced:
        assert type(original) is type(replacement)
        assert _takes(replacement) in (_takes(original), [*_takes(original)[: len(_takes(replacement)) - 1], "**"])


def _takes(function: Any) -> list[str]:
    parameters = inspect.signature(function.fget if isinstance(function, property) else function).parameters
    return ["**" if one.kind is Parameter.VAR_KEYWORD else one.name for one in parameters.values()]


@pytest.mark.parametrize("name", names())
def test_a_plant_says_what_it_leaves_out_and_goes_again(name: str) -> None:
    assert description(name).endswith(".")
    module = importlib.import_module(f"tests.planted.{name}")
    owners: list[tuple[Any, str]] = []
    module.plant(lambda owner, attribute, replacement: owners.append((owner, attribute)))
    before = [vars(owner)[attribute] for owner, attribute in owners]
    with planted(name):
        assert all(
            vars(owner)[attribute] is not original for (owner, attribute), original in zip(owners, before, strict=True)
        )
    assert [vars(owner)[attribute] for owner, attribute in owners] == before
