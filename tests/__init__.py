"""Tests mirror the rooms; `wire/` holds the suites of real clients, `chaos/` the kill loops."""
