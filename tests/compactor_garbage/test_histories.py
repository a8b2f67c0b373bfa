"""Random histories of topics, leaders, compactors, crashes and two garbage collectors against a plain oracle."""

import asyncio
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.compactor_garbage.histories import BESIDE, STEPS, Step, run_history

_STEP = st.tuples(st.sampled_from(STEPS), st.sampled_from(BESIDE), st.integers(0, 300))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(_STEP, min_size=20, max_size=100), seed=st.integers(0, 2**32))
def test_nothing_live_is_deleted_and_nothing_dead_is_left(steps: Sequence[Step], seed: int) -> None:
    asyncio.run(run_history(steps, seed))
