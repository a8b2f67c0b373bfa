"""Each kind of finding but cycles: a history that has it, and a neighbour that a correct log could have given.

Operations of one process stand in their order; the indexes are all the same here, and sorting by them keeps the order.
"""

from dataclasses import replace

import pytest

from tests.checker.check import check
from tests.checker.history import Operation
from tests.checker.shorthand import Case, in_transaction, orders, polled, sent

_THREE = [sent((0, 1, 0)), sent((0, 2, 1)), sent((0, 3, 2))]
_ALL_THREE = polled((0, 0, 1), (0, 1, 2), (0, 2, 3), by=8)
_SUBSCRIBE = Operation(9, 0, "subscribe", "ok")
_ASSIGN = Operation(9, 0, "assign", "ok")
_REBALANCED = Operation(9, 0, "poll", "ok", polls=polled((0, 2, 3), (0, 0, 1)).polls, repositioned=(orders(0),))

_CASES = {
    "two readers see two values": Case(
        "inconsistent-offset",
        [
            sent((0, 1, None), status="info"),
            sent((0, 2, None), by=1, status="info"),
            polled((0, 0, 1)),
            polled((0, 0, 2), by=8),
        ],
        [
            sent((0, 1, None), status="info"),
            sent((0, 2, None), by=1, status="info"),
            polled((0, 0, 1)),
            polled((0, 1, 2), by=8),
        ],
    ),
    "two acknowledgements of one offset": Case(
        "inconsistent-offset",
        [sent((0, 1, 0)), sent((0, 2, 0), by=1), polled((0, 0, 2))],
        [sent((0, 1, 0)), sent((1, 2, 0), by=1), polled((0, 0, 1), (1, 0, 2))],
        frozenset({"lost-write"}),
    ),
    "a retry was appended twice": Case(
        "duplicate",
        [sent((0, 1, None), status="info"), polled((0, 0, 1), (0, 1, 1))],
        [sent((0, 1, None), status="info"), polled((0, 0, 1)), polled((0, 0, 1), by=8)],
    ),
    "acknowledged at one offset and read at another": Case(
        "duplicate",
        [sent((0, 1, 0)), polled((0, 1, 1))],
        [sent((0, 1, 1)), polled((0, 1, 1))],
    ),
    "an acknowledged value is passed by": Case(
        "lost-write",
        [sent((0, 1, 0)), sent((0, 2, 1)), polled((0, 1, 2))],
        [sent((0, 1, None), status="info"), sent((0, 2, 1)), polled((0, 1, 2))],
    ),
    "the acknowledged half of an unknown operation is passed by": Case(
        "lost-write",
        [sent((0, 1, 0), (0, 2, None), status="info"), sent((0, 3, 1)), polled((0, 1, 3))],
        [sent((0, 1, 0), (0, 2, None), status="info"), sent((0, 3, 1)), polled((0, 0, 1), (0, 1, 3))],
    ),
    "the last acknowledged value is never read": Case(
        "unseen",
        [sent((0, 1, 0)), sent((0, 2, 1)), polled((0, 0, 1))],
        [sent((0, 1, 0)), sent((0, 2, None), status="info"), polled((0, 0, 1))],
    ),
    "a committed transaction is never read": Case(
        "unseen",
        [in_transaction("t", sends=[(0, 1, 0)], committed=True)],
        [in_transaction("t", sends=[(0, 1, 0)]), in_transaction("t", status="info")],
    ),
    "a value that nobody sent": Case(
        "unsent-read",
        [sent((0, 1, 0)), polled((0, 0, 1), (0, 1, 2))],
        [sent((0, 1, 0), (0, 2, None), status="info"), polled((0, 0, 1), (0, 1, 2))],
    ),
    "a value in another partition than it was sent to": Case(
        "unsent-read",
        [sent((0, 1, None), status="info"), polled((1, 0, 1))],
        [sent((1, 1, None), status="info"), polled((1, 0, 1))],
    ),
    "a refused value is read": Case(
        "aborted-read",
        [sent((0, 1, None), status="fail"), polled((0, 0, 1))],
        [sent((0, 1, None), status="info"), polled((0, 0, 1))],
    ),
    "an aborted value is read": Case(
        "aborted-read",
        [in_transaction("t", sends=[(0, 1, 0)]), in_transaction("t", committed=False), polled((0, 0, 1))],
        [in_transaction("t", sends=[(0, 1, 0)]), in_transaction("t", status="info"), polled((0, 0, 1))],
    ),
    "a transaction reads what it sent": Case(
        "own-uncommitted-read",
        [in_transaction("t", sends=[(0, 1, 0)], polls=[(0, 0, 1)], committed=True)],
        [
            in_transaction("t", sends=[(0, 1, 0)], committed=True),
            in_transaction("u", polls=[(0, 0, 1)], committed=True),
        ],
    ),
    "a transaction in several operations reads what it sent": Case(
        "own-uncommitted-read",
        [
            in_transaction("t", sends=[(0, 1, 0)]),
            in_transaction("t", polls=[(0, 0, 1)]),
            in_transaction("t", committed=False),
        ],
        [
            in_transaction("t", sends=[(0, 1, 0)]),
            in_transaction("t", committed=True),
            in_transaction("u", polls=[(0, 0, 1)]),
        ],
    ),
    "a value is read before its transaction began to commit": Case(
        "uncommitted-read",
        [
            in_transaction("t", sends=[(0, 1, 0)], ended=1),
            replace(polled((0, 0, 1)), began=2, ended=3),
            in_transaction("t", committed=True, began=4, ended=5),
        ],
        [
            in_transaction("t", sends=[(0, 1, 0)], ended=1),
            replace(polled((0, 0, 1)), began=2, ended=4.5),
            in_transaction("t", committed=True, began=4, ended=5),
        ],
        frozenset({"cycle"}),
    ),
    "half of an unknown transaction is read": Case(
        "torn-transaction",
        [in_transaction("t", sends=[(0, 1, None), (1, 2, None)], status="info"), polled((0, 0, 1))],
        [in_transaction("t", sends=[(0, 1, None), (1, 2, None)], status="info"), polled((0, 0, 1), (1, 0, 2))],
    ),
    "half of a transaction was refused, and is not read": Case(
        "torn-transaction",
        [in_transaction("t", sends=[(0, 1, 0), (0, 2, 1)]), in_transaction("t", status="info"), polled((0, 1, 2))],
        [
            in_transaction("t", sends=[(0, 1, None)], status="fail"),
            in_transaction("t", sends=[(0, 2, 1)]),
            in_transaction("t", status="info"),
            polled((0, 1, 2)),
        ],
    ),
    "a consumer leaves a value out": Case(
        "poll-skip",
        [*_THREE, _ALL_THREE, polled((0, 0, 1)), polled((0, 2, 3))],
        [*_THREE, _ALL_THREE, polled((0, 0, 1)), _SUBSCRIBE, polled((0, 1, 2)), polled((0, 0, 1)), polled((0, 2, 3))],
    ),
    "a consumer leaves a value out, across a marker": Case(
        "poll-skip",
        [
            sent((0, 1, 0)),
            sent((0, 2, 1)),
            sent((0, 3, 3)),
            polled((0, 0, 1), (0, 1, 2), (0, 3, 3), by=8),
            polled((0, 0, 1)),
            polled((0, 3, 3)),
        ],
        [
            sent((0, 1, 0)),
            in_transaction("t", by=1, sends=[(0, 2, 1)], committed=False),
            sent((0, 3, 3)),
            polled((0, 0, 1)),
            polled((0, 3, 3)),
        ],
    ),
    "a consumer is given a value again": Case(
        "nonmonotonic-poll",
        [*_THREE, _ALL_THREE, polled((0, 0, 1), (0, 1, 2)), polled((0, 1, 2), (0, 2, 3))],
        [*_THREE, _ALL_THREE, polled((0, 0, 1), (0, 1, 2)), _ASSIGN, polled((0, 1, 2), (0, 2, 3))],
    ),
    "an operation that failed is given a value again": Case(
        "nonmonotonic-poll",
        [*_THREE, polled((0, 0, 1), (0, 1, 2)), polled((0, 0, 1), status="info"), polled((0, 1, 2), (0, 2, 3))],
        [*_THREE, polled((0, 0, 1)), polled((0, 1, 2), status="info"), polled((0, 1, 2), (0, 2, 3))],
    ),
    "an operation leaves a value out": Case(
        "int-poll-skip",
        [*_THREE, _ALL_THREE, _SUBSCRIBE, polled((0, 0, 1), (0, 2, 3))],
        [*_THREE, _ALL_THREE, _SUBSCRIBE, polled((0, 0, 1), (0, 1, 2))],
    ),
    "an operation goes back": Case(
        "int-nonmonotonic-poll",
        [*_THREE, _ALL_THREE, _SUBSCRIBE, polled((0, 2, 3), (0, 0, 1))],
        [*_THREE, _ALL_THREE, _SUBSCRIBE, _REBALANCED],
    ),
    "a producer's later value stands earlier": Case(
        "nonmonotonic-send",
        [sent((0, 2, 1)), sent((0, 1, 0)), polled((0, 0, 1), (0, 1, 2))],
        [sent((0, 2, 1)), sent((0, 1, 0), by=1), polled((0, 0, 1), (0, 1, 2))],
        frozenset({"cycle"}),
    ),
    "a producer's later value is read earlier": Case(
        "nonmonotonic-send",
        [sent((0, 2, 1)), sent((0, 1, None), status="info"), polled((0, 0, 1), (0, 1, 2))],
        [sent((0, 2, None), status="info"), sent((0, 1, 0)), polled((0, 0, 1), (0, 1, 2))],
        frozenset({"cycle"}),
    ),
    "values of one operation stand in the wrong order": Case(
        "int-nonmonotonic-send",
        [sent((0, 2, 1), (0, 1, 0)), polled((0, 0, 1), (0, 1, 2))],
        [sent((0, 1, 0), (1, 3, 0), (0, 2, 1)), polled((0, 0, 1), (0, 1, 2), (1, 0, 3))],
    ),
}


@pytest.mark.parametrize("case", _CASES.values(), ids=_CASES.keys())
def test_finds_what_is_planted_and_nothing_beside_it(case: Case) -> None:
    assert {finding.kind for finding in check(case.planted)} == {case.kind} | case.besides
    assert check(case.legal) == []


def test_finds_records_of_others_within_an_operation_only_where_that_is_promised_against() -> None:
    history = [sent((0, 1, 0), (0, 3, 2)), sent((0, 2, 1), by=1), _ALL_THREE]
    contiguous = [sent((0, 1, 0), (0, 2, 1)), sent((0, 3, 2), by=1), _ALL_THREE]

    assert check(history) == []
    assert [finding.kind for finding in check(history, interleaved=False)] == ["int-send-skip"]
    assert check(contiguous, interleaved=False) == []


def test_does_not_miss_what_a_cut_off_history_may_have_read_later() -> None:
    history = [
        sent((0, 1, 0)),
        in_transaction("t", by=1, sends=[(1, 2, None), (1, 3, None)], status="info"),
        polled((1, 1, 3), (2, 0, 4)),
    ]

    assert {finding.kind for finding in check(history)} == {"unseen", "torn-transaction", "unsent-read"}
    assert check(history, read_to_end=False) == []


def test_says_where_it_saw_what() -> None:
    findings = check([sent((0, 1, 0)), sent((0, 2, 1)), polled((0, 1, 2))])

    assert [finding.sentence for finding in findings] == [
        "value 1, acknowledged orders-0 at 0 to process 0, operation 0 (send, ok), was never polled, "
        "though somebody polled up to 1"
    ]


def test_refuses_what_is_no_history() -> None:
    with pytest.raises(ValueError, match="sent twice"):
        check([sent((0, 1, 0)), sent((0, 1, 1), by=1)])
    with pytest.raises(ValueError, match="after its end"):
        check([in_transaction("t", committed=True), in_transaction("t", committed=True)])
