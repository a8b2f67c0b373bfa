"""A later segment does not wait for the publish of an earlier one."""

import asyncio
from typing import Any

from ingest.flush import Flusher
from tests.planted import Patch

_carry = Flusher._carry


async def _at_once(self: Flusher, flight: Any) -> None:
    flight.before = None
    await _carry(self, flight)


def plant(patch: Patch) -> None:
    assert asyncio.iscoroutinefunction(_carry)
    patch(Flusher, "_carry", _at_once)
