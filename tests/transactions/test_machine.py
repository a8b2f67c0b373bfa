"""The machine of one transactional id: against the model through random histories, and where both might be wrong."""

import pytest

from infra.error_code import ErrorCode
from ingest.coordinator.transaction import LAST_EPOCH, Producer, Transaction, TransactionRecord
from ingest.coordinator.transaction_state import FOLLOWING, LABELS, TransactionState
from tests.transactions.driver import Driver

STATE = TransactionState
A, B = ("debits", 0), ("credits", 1)


@pytest.mark.parametrize("first", range(0, 20, 5))
def test_a_hundred_thousand_random_steps_agree_with_the_model(first: int) -> None:
    drivers = [Driver(seed, first_epoch=32_700 if seed % 3 == 0 else -1) for seed in range(first, first + 5)]
    for driver in drivers:
        driver.run(5_000)
    answers = {code: sum(driver.answers.get(code, 0) for driver in drivers) for code in ErrorCode}
    for code in (
        ErrorCode.NONE,
        ErrorCode.CONCURRENT_TRANSACTIONS,
        ErrorCode.INVALID_TXN_STATE,
        ErrorCode.PRODUCER_FENCED,
        ErrorCode.INVALID_PRODUCER_ID_MAPPING,
    ):
        assert answers[code] > 200, (code, answers[code])
    assert sum(len(driver.log) for driver in drivers) > 2_000
    assert sum(driver.restarts for driver in drivers) > 100


def begun(*, epoch: int = 4, now_ms: int = 0) -> Transaction:
    """A transaction of producer 9 with one partition."""
    record = TransactionRecord(producer_id=9, epoch=epoch, timeout_ms=1_000, updated_ms=now_ms)
    transaction = Transaction("t", record)
    assert transaction.add(Producer(9, epoch), [A], now_ms).answer is ErrorCode.NONE
    transaction.stored()
    return transaction


def test_a_new_instance_aborts_what_the_old_one_left_open_and_fences_it() -> None:
    transaction, old = begun(), Producer(9, 4)
    step = transaction.init(None, 1_000, 77, 5)
    assert step.answer is ErrorCode.CONCURRENT_TRANSACTIONS
    assert step.write is not None
    assert (step.write.state, step.write.epoch) == (STATE.PREPARE_ABORT, 5)
    transaction.stored()
    assert transaction.end(old, True, 6).answer is ErrorCode.PRODUCER_FENCED
    assert transaction.init(None, 1_000, 77, 6).answer is ErrorCode.CONCURRENT_TRANSACTIONS
    assert transaction.marked(A)
    transaction.complete(7)
    transaction.stored()
    step = transaction.init(None, 1_000, 77, 8)
    assert step.write is not None
    assert step.write.producer == Producer(9, 6), "the fence's own epoch is nobody's"


def test_a_transaction_that_takes_too_long_is_aborted_under_a_raised_epoch() -> None:
    transaction = begun(now_ms=100)
    assert not transaction.timed_out(1_100)
    assert transaction.timed_out(1_101)
    assert transaction.abort(1_101).producer == Producer(9, 5)
    assert not transaction.timed_out(9_999), "it is being written"
    transaction.stored()
    for code in (transaction.end(Producer(9, 4), commit, 1_200).answer for commit in (True, False)):
        assert code is ErrorCode.PRODUCER_FENCED
    assert transaction.verify(Producer(9, 4), [A]) == {A: ErrorCode.PRODUCER_FENCED}


def test_a_decision_that_did_not_reach_the_log_was_none() -> None:
    transaction, producer = begun(), Producer(9, 4)
    assert transaction.end(producer, True, 1).write is not None
    assert transaction.end(producer, True, 1).answer is ErrorCode.CONCURRENT_TRANSACTIONS
    transaction.failed()
    step = transaction.end(producer, False, 2)
    assert step.write is not None
    assert step.write.state is STATE.PREPARE_ABORT


def test_a_repeated_end_is_answered_as_the_first_was() -> None:
    transaction, producer = begun(), Producer(9, 4)
    transaction.end(producer, True, 1)
    transaction.stored()
    assert transaction.end(producer, True, 2).answer is ErrorCode.CONCURRENT_TRANSACTIONS
    assert transaction.end(producer, False, 2).answer is ErrorCode.INVALID_TXN_STATE
    transaction.marked(A)
    transaction.complete(3)
    transaction.stored()
    assert transaction.end(producer, True, 4).answer is ErrorCode.NONE
    assert transaction.end(producer, False, 4).answer is ErrorCode.INVALID_TXN_STATE
    assert not transaction.busy


def test_partitions_are_in_the_transaction_until_it_is_decided() -> None:
    transaction, producer = begun(), Producer(9, 4)
    codes = transaction.verify(producer, [A, B])
    assert codes == {A: ErrorCode.NONE, B: ErrorCode.TRANSACTION_ABORTABLE}
    assert transaction.verify(Producer(8, 4), [A]) == {A: ErrorCode.INVALID_PRODUCER_ID_MAPPING}
    transaction.end(producer, True, 1)
    transaction.stored()
    assert transaction.verify(producer, [A]) == {A: ErrorCode.CONCURRENT_TRANSACTIONS}
    transaction.marked(A)
    transaction.complete(2)
    transaction.stored()
    assert transaction.verify(producer, [A]) == {A: ErrorCode.TRANSACTION_ABORTABLE}


def test_an_instance_goes_on_under_the_next_epoch_and_hears_it_again() -> None:
    transaction = Transaction("t", TransactionRecord(producer_id=9, epoch=4, timeout_ms=1_000, updated_ms=0))
    for _ in range(2):
        step = transaction.init(Producer(9, 4), 1_000, 77, 1)
        assert step.write is not None
        assert step.write.producer == Producer(9, 5)
        transaction.stored()
    assert transaction.init(Producer(9, 3), 1_000, 77, 2).answer is ErrorCode.PRODUCER_FENCED
    assert transaction.init(Producer(8, 5), 1_000, 77, 2).answer is ErrorCode.PRODUCER_FENCED
    transaction.init(None, 1_000, 77, 3)
    transaction.stored()
    assert transaction.init(Producer(9, 4), 1_000, 77, 4).answer is ErrorCode.PRODUCER_FENCED


def test_a_stale_instance_does_not_abort_the_transaction_of_the_newer_one() -> None:
    transaction = begun()
    assert transaction.init(Producer(9, 3), 1_000, 77, 1).answer is ErrorCode.PRODUCER_FENCED
    assert not transaction.busy


def test_epochs_that_run_out_give_another_producer_id() -> None:
    transaction = begun(epoch=LAST_EPOCH)
    transaction.init(None, 1_000, 77, 1)
    transaction.stored()
    assert transaction.record.producer == Producer(9, 32_767), "the last one is for the fence"
    transaction.marked(A)
    transaction.complete(2)
    transaction.stored()
    step = transaction.init(None, 1_000, 77, 3)
    assert step.write is not None
    assert step.write.producer == Producer(77, 0)
    transaction.stored()
    assert transaction.add(Producer(9, LAST_EPOCH), [A], 4).answer is ErrorCode.INVALID_PRODUCER_ID_MAPPING


def test_a_new_producer_id_is_heard_again_too() -> None:
    exhausted = TransactionRecord(producer_id=9, epoch=LAST_EPOCH, timeout_ms=1_000, updated_ms=0)
    transaction = Transaction("t", exhausted)
    for fresh in (77, 78):
        step = transaction.init(Producer(9, LAST_EPOCH), 1_000, fresh, 1)
        assert step.write is not None
        assert step.write.producer == Producer(77, 0)
        transaction.stored()


def test_only_an_id_at_rest_expires() -> None:
    transaction = begun(now_ms=10)
    assert not transaction.expired(10**9, 100)
    transaction.end(Producer(9, 4), False, 20)
    transaction.stored()
    assert not transaction.expired(10**9, 100)
    transaction.marked(A)
    transaction.complete(30)
    assert not transaction.expired(10**9, 100), "it is being written"
    transaction.stored()
    assert not transaction.expired(129, 100)
    assert transaction.expired(130, 100)


@pytest.mark.parametrize("state", STATE)
def test_states_have_kafkas_names(state: TransactionState) -> None:
    assert LABELS[state.label] is state
    assert state.label in (
        *("Empty", "Ongoing", "PrepareCommit", "PrepareAbort"),
        *("CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence"),
    )
    assert all(state is not STATE.DEAD for state in FOLLOWING.get(STATE.ONGOING, ()))
