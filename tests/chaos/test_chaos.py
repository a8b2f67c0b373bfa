"""One fault of the many, so that the harness itself keeps working; `python -m tests.chaos` makes the others."""

from pathlib import Path

import pytest

from tests.chaos.run import Run, run
from tests.chaos.schedule import Planned


@pytest.mark.timeout(300)
@pytest.mark.parametrize("workload", ["log", pytest.param("bank", marks=pytest.mark.slow)])
def test_a_killed_node(tmp_path: Path, workload: str) -> None:
    fault = Planned(at=1.0, kind="node-kill", seconds=1.0, victim=0, strength=0.5)
    plan = Run(1, "object", [fault], ["node-kill"], session_seconds=3, settle_seconds=1, workload=workload)
    assert run(tmp_path, plan) == []
