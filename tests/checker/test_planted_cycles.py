"""Histories in which an effect came before its cause, and their nearest neighbours, in which it did not."""

from dataclasses import replace

import pytest

from tests.checker.check import check
from tests.checker.shorthand import Case, in_transaction, polled, sent

_CASES = {
    "two transactions read each other": Case(
        "cycle",
        [
            in_transaction("t", by=0, sends=[(0, 1, 0)], polls=[(1, 0, 2)], committed=True),
            in_transaction("t", by=1, sends=[(1, 2, 0)], polls=[(0, 0, 1)], committed=True),
        ],
        [
            in_transaction("t", by=0, sends=[(0, 1, 0)], committed=True),
            in_transaction("t", by=1, sends=[(1, 2, 0)], polls=[(0, 0, 1)], committed=True),
            polled((1, 0, 2)),
        ],
    ),
    "a value is answered before values below it were sent": Case(
        "cycle",
        [
            in_transaction("t", by=0, sends=[(0, 2, 5)], committed=True),
            polled((0, 5, 2), by=1),
            sent((0, 1, 3), by=1),
            polled((0, 3, 1), by=2),
        ],
        [
            in_transaction("t", by=0, sends=[(0, 2, 5)], committed=True),
            sent((0, 1, 3), by=1),
            polled((0, 5, 2), by=1),
            polled((0, 3, 1), by=2),
        ],
    ),
    "a value lands below one that was answered before it was sent": Case(
        "cycle",
        [
            replace(sent((0, 2, 5)), began=1, ended=2),
            replace(sent((0, 1, 3), by=1), began=2.5, ended=3),
            replace(polled((0, 3, 1), (0, 5, 2)), began=4, ended=5),
        ],
        [
            replace(sent((0, 2, 5)), began=1, ended=2),
            replace(sent((0, 1, 3), by=1), began=2, ended=3),
            replace(polled((0, 3, 1), (0, 5, 2)), began=4, ended=5),
        ],
    ),
    "a value is read before it was sent": Case(
        "cycle",
        [replace(polled((0, 0, 1)), began=1, ended=2), replace(sent((0, 1, 0)), began=3, ended=4)],
        [replace(polled((0, 0, 1)), began=1, ended=3), replace(sent((0, 1, 0)), began=3, ended=4)],
    ),
    "a transaction commits before one that it read": Case(
        "cycle",
        [
            in_transaction("t", by=0, sends=[(0, 1, 0)]),
            in_transaction("t", by=0, polls=[(1, 0, 2)]),
            in_transaction("t", by=0, committed=True),
            in_transaction("t", by=1, polls=[(0, 0, 1)]),
            in_transaction("t", by=1, sends=[(1, 2, 0)]),
            in_transaction("t", by=1, status="info"),
        ],
        [  # transactions that write to two partitions in two orders, and one reads what the other did after it
            in_transaction("t", by=0, sends=[(0, 1, 0), (1, 2, 1)], polls=[(2, 0, 5)], committed=True),
            in_transaction("t", by=1, sends=[(0, 4, 1), (1, 3, 0), (2, 5, 0)], committed=True),
            polled((0, 0, 1), (0, 1, 4), (1, 0, 3), (1, 1, 2)),
        ],
    ),
}


@pytest.mark.parametrize("case", _CASES.values(), ids=_CASES.keys())
def test_finds_the_cycle_and_nothing_beside_it(case: Case) -> None:
    assert {finding.kind for finding in check(case.planted)} == {case.kind} | case.besides
    assert check(case.legal) == []
