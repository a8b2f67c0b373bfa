"""Bugs that are planted from outside, to see that the general simulation finds them: one file each, `plant(patch)`.

Each leaves out one rule of the product by replacing a method of one of its classes. The product has no switch for it.
"""

import contextlib
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

Patch = Callable[[Any, str, Any], None]
"""Puts something in the place of an attribute of a class or module."""


def names() -> list[str]:
    """All of them."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("test_"))


def description(name: str) -> str:
    """What is left out: the first line of its file."""
    return (importlib.import_module(f"{__name__}.{name}").__doc__ or "").strip().splitlines()[0]


@contextlib.contextmanager
def planted(name: str) -> Iterator[None]:
    """With the bug inside the block, without it after."""
    before: list[tuple[Any, str, Any]] = []

    def patch(owner: Any, attribute: str, replacement: Any) -> None:
        before.append((owner, attribute, vars(owner)[attribute]))
        setattr(owner, attribute, replacement)

    importlib.import_module(f"{__name__}.{name}").plant(patch)
    try:
        yield
    finally:
        for owner, attribute, original in reversed(before):
            setattr(owner, attribute, original)
