"""One node for the whole suite; outcomes by client and case, written as docs/compatibility.md when asked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wire.compatibility import Outcomes

_OUTCOMES = pytest.StashKey[Outcomes]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--compatibility", type=Path, default=None, help="write the table of clients and cases here")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_OUTCOMES] = Outcomes()


@pytest.fixture(scope="session")
def outcomes(pytestconfig: pytest.Config) -> Iterator[Outcomes]:
    """Where each case says how it went."""
    found = pytestconfig.stash[_OUTCOMES]
    yield found
    target = pytestconfig.getoption("--compatibility")
    if target is not None:
        target.write_text(found.markdown(), encoding="utf-8")
