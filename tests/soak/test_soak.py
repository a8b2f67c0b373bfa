"""The soak in its shortest form; docs/operating.md names the command for half an hour."""

import logging
import sys
from pathlib import Path

import pytest

from infra.log import TextFormatter
from tests.soak.run import Plan, Soak, troubles


@pytest.mark.slow
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


def test_errors_in_a_node_s_log_are_found() -> None:
    def line(level: int, trace: bool = False) -> str:
        try:
            raise ValueError("why")
        except ValueError:
            fault = sys.exc_info() if trace else None
        return TextFormatter().format(logging.LogRecord("some.room", level, "", 0, "an error", None, fault))

    assert troubles("\n".join(line(level) for level in (logging.INFO, logging.WARNING))) == []
    assert len(troubles(line(logging.ERROR))) == 1
    assert len(troubles(line(logging.CRITICAL))) == 1
    assert "Traceback (most recent call last):" in troubles(line(logging.WARNING, trace=True))
