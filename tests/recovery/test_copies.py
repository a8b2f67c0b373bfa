"""One copied bucket of which nothing was left out on purpose; `python -m tests.recovery` has many that lack more."""

from pathlib import Path

from tests.recovery.copies import copy_round


def test_a_copy_of_a_bucket_in_use(tmp_path: Path) -> None:
    assert copy_round(tmp_path, 3, kills=0, late=0.0, again=False).compared > 0
