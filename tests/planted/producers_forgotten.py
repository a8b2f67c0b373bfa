"""A new leader begins without the sequences of the producers before: data moved on, sequences did not."""

from dataclasses import replace
from typing import Any

from infra.ports import TakenLease
from ingest.leaders import Leaders
from tests.planted import Patch

_open = Leaders.open


def _without(self: Leaders, taken: TakenLease, settings: Any) -> Any:
    return _open(self, replace(taken, producers=()), settings)


def plant(patch: Patch) -> None:
    patch(Leaders, "open", _without)
