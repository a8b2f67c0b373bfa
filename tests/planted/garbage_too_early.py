"""Garbage goes without a grace, and what no manifest names is not shut out before it is deleted."""

from collections.abc import Sequence
from typing import Any

from compactor.reconcile import Garbage
from tests.planted import Patch


async def _deletable(self: Garbage, partition: Any, segments: Sequence[Any], ledgers: Any) -> list[str]:
    return [one.info.key for one in segments]


async def _delete_ripe(self: Garbage, stretch: Any, ledgers: Any) -> list[str]:
    self._limits = type(self._limits)(grace_ms=0, undelete_ms=self._limits.undelete_ms, interval_ms=1000)
    return await _ripe(self, stretch, ledgers)


_ripe = Garbage._delete_ripe


def plant(patch: Patch) -> None:
    patch(Garbage, "_deletable", _deletable)
    patch(Garbage, "_delete_ripe", _delete_ripe)
