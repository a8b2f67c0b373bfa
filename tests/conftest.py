"""What all tests share."""

import compileall
import importlib

import pytest

_ROOMS = ("cauce", "compactor", "infra", "ingest", "reader")


def pytest_configure(config: pytest.Config) -> None:
    """Make the byte code of the rooms once: where Python is told to write none, each of the hundreds of nodes and
    commands that tests start would compile them again."""
    if hasattr(config, "workerinput"):
        return
    for room in _ROOMS:
        for folder in importlib.import_module(room).__path__:
            compileall.compile_dir(folder, quiet=2)
