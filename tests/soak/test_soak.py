"""The soak in its shortest form; docs/operating.md names the command for half an hour."""

from pathlib import Path

import pytest

from tests.soak.run import Plan, Soak


@pytest.mark.timeout(300)
def test_a_short_soak(tmp_path: Path) -> None:
    plan = Plan(
        seconds=20,
        seed=1,
        kills=2,
        rate=200,
        grace_ms=3000,
        undelete_ms=4000,
        retention_ms=6000,
        delete_retention_ms=4000,
        quiet=True,
    )
    soak = Soak(tmp_path, plan)
    assert soak.run() == []
    assert soak.score.counts["acknowledged"] > 100
    for kind in ("beginning", "anywhere", "time", "tail", "aiokafka"):
        assert soak.score.counts[f"read {kind}"] > 0, kind
