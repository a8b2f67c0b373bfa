"""One fault of the many, so that the harness itself keeps working; `python -m tests.chaos` makes the others."""

from pathlib import Path

import pytest

from tests.chaos.run import Run, run
from tests.chaos.schedule import Planned


@pytest.mark.timeout(300)
def test_a_killed_node(tmp_path: Path) -> None:
    plan = Run(seed=1, durability="object", planned=[Planned(1.0, "node-kill", 1.0, 0, 0.5)], kinds=["node-kill"])
    assert run(tmp_path, plan) == []
