"""A few kills of the loop; the README names the command for a hundred."""

from pathlib import Path

import pytest

from tests.chaos.kills import run


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("durability", ["wal", "object"])
def test_a_few_kills(tmp_path: Path, durability: str) -> None:
    assert run(tmp_path, 4, seed=3, options=["--set", f"cauce.durability={durability}"]) == []
