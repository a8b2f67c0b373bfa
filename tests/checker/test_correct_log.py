"""A correct log gives no finding, whatever clients and networks do; a log without one of its rules soon does."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checker.check import check
from tests.checker.history import Operation, Partition
from tests.checker.log_model import STEPS, Log, ModelTransaction, Run

_CLIENTS = 4
_WEIGHTED_STEPS = (*STEPS[:4] * 4, *STEPS)  # transactions that get to their end
_steps = st.tuples(st.sampled_from(STEPS), st.integers(0, _CLIENTS - 1), st.integers(0, 1 << 16))


@settings(max_examples=60, deadline=None)
@given(st.lists(_steps, max_size=80))
def test_finds_nothing_in_the_histories_of_a_correct_log(steps: list[tuple[str, int, int]]) -> None:
    run = Run(_CLIENTS, Log())
    for step in steps:
        run.step(*step)

    assert check(run.finish()) == []


def _random_history(seed: int, log: Log, steps: int = 300) -> list[Operation]:
    run, random = Run(_CLIENTS, log), Random(seed)
    for _ in range(steps):
        name = random.choice(_WEIGHTED_STEPS)
        run.step(name, random.randrange(_CLIENTS), random.randrange(1 << 32))
    return run.finish()


def test_finds_nothing_in_long_histories_that_have_everything_in_them() -> None:
    histories = [_random_history(seed, Log()) for seed in range(10)]

    assert [check(history) for history in histories] == [[]] * len(histories)
    operations = [operation for history in histories for operation in history]
    assert {(operation.kind, operation.status) for operation in operations} >= {
        ("send", "ok"),
        ("send", "info"),
        ("send", "fail"),
        ("poll", "info"),
        ("commit", "info"),
    }
    assert any(operation.repositioned for operation in operations)
    assert {operation.committed for operation in operations if operation.transaction} == {True, False, None}


class _ForgetsAppends(Log):
    def append(self, partition: Partition, value: int, transaction: ModelTransaction | None) -> int:
        offset = super().append(partition, value, transaction)
        if value % 50 == 0:
            self._entries[partition][offset] = (None, None)
        return offset


class _DoublesAppends(Log):
    def append(self, partition: Partition, value: int, transaction: ModelTransaction | None) -> int:
        if value % 50 == 0:
            super().append(partition, value, transaction)
        return super().append(partition, value, transaction)


class _GivesAnOffsetTwice(Log):
    def append(self, partition: Partition, value: int, transaction: ModelTransaction | None) -> int:
        if value % 50 == 0 and self._entries[partition]:
            self._entries[partition].pop()
        return super().append(partition, value, transaction)


class _AppendsInFront(Log):
    def append(self, partition: Partition, value: int, transaction: ModelTransaction | None) -> int:
        offset = super().append(partition, value, transaction)
        if value % 50 or offset == 0:
            return offset
        entries = self._entries[partition]
        entries[-1], entries[-2] = entries[-2], entries[-1]
        return offset - 1


class _ShowsOpenTransactions(Log):
    def is_unstable(self, transaction: ModelTransaction | None) -> bool:
        return False


class _ShowsAbortedTransactions(Log):
    def is_aborted(self, transaction: ModelTransaction | None) -> bool:
        return False


class _CommitsHalf(Log):
    def finish(self, transaction: ModelTransaction, committed: bool) -> None:
        lost = sorted(transaction.partitions)[:1] if committed and len(transaction.partitions) > 1 else []
        for partition in lost:
            kept = [(None if owner is transaction else value, owner) for value, owner in self._entries[partition]]
            self._entries[partition] = kept
        super().finish(transaction, committed)


@pytest.mark.parametrize(
    ("log", "kinds"),
    [
        (_ForgetsAppends, {"lost-write"}),
        (_DoublesAppends, {"duplicate"}),
        (_GivesAnOffsetTwice, {"inconsistent-offset"}),
        (_AppendsInFront, {"duplicate", "inconsistent-offset"}),
        (_ShowsOpenTransactions, {"aborted-read", "uncommitted-read", "own-uncommitted-read"}),
        (_ShowsAbortedTransactions, {"aborted-read"}),
        (_CommitsHalf, {"lost-write", "torn-transaction"}),
    ],
)
def test_finds_the_absence_of_each_rule(log: type[Log], kinds: set[str]) -> None:
    findings = [finding for seed in range(8) for finding in check(_random_history(seed, log()))]

    assert {finding.kind for finding in findings} >= kinds
