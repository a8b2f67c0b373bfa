"""A claimant reads nothing below the newest segment that tells of holders, whatever that one says is there."""

from typing import Any

import ingest.footer_walk
from tests.planted import Patch


def _nothing(holders: Any, sequence: int, partition: Any, sought: Any) -> int:
    return -1


def plant(patch: Patch) -> None:
    patch(ingest.footer_walk, "_last_unknown", _nothing)
