"""examples/flights.py at a smaller size: produced, killed in the middle, read by another client, in the bucket."""

import subprocess
import sys
from pathlib import Path

import pytest

_EXAMPLE = Path(__file__).parents[2] / "examples" / "flights.py"


@pytest.mark.timeout(300)
def test_twenty_thousand_flights(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(_EXAMPLE), "--flights", "20000", "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20,000 flights, each once, in order by key" in done.stdout
