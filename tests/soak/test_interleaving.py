"""Whatever happens, in whatever order and beside each other: readers get what was acknowledged, and in order."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.soak.interleaving import ALONE, STEPS, run_history

_WEIGHTED = [*STEPS, *["write"] * 8, *["read"] * 5, *["compact"] * 3, "clean", "clean", "look", "look", *ALONE]
_STEP = st.tuples(st.sampled_from(_WEIGHTED), st.sampled_from([*STEPS, "write", "read", "read"]))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("durability", ["wal", "object"])
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(_STEP, min_size=30, max_size=120), seed=st.integers(0, 2**32))
def test_readers_get_what_was_acknowledged(durability: str, steps: Sequence[tuple[str, str]], seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run_history(Path(folder), durability, steps, seed))
