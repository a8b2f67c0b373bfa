"""The checks that a history of real clients must stand: `tests.checker.check`, or `python -m tests.checker FILE`."""
