"""One copied bucket; `python -m tests.recovery` has many."""

from pathlib import Path

from tests.recovery.copies import copy_round


def test_a_copy_of_a_bucket_in_use_that_lacks_something(tmp_path: Path) -> None:
    outcome = copy_round(tmp_path, 3, kills=0, late=0.1, again=False)
    assert outcome.late > 0
    assert outcome.compared > 0
