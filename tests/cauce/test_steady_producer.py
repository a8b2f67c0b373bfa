"""The producer that keeps score does not take an acknowledgement without an offset for more or less than it is."""

import pytest

from tests.cauce.steady_producer import SteadyProducer

_READ = {(0, 0): b"one", (0, 1): b"two", (1, 0): b"three", (1, 1): b"three", (1, 2): b"four"}


def _producer(unplaced: dict[bytes, int]) -> SteadyProducer:
    producer = SteadyProducer("127.0.0.1:1", "nowhere")
    producer.acknowledged[0, 0] = b"one"
    producer.unplaced.update(unplaced)
    return producer


def test_finds_where_it_was_not_told() -> None:
    assert _producer({}).promised(_READ) == {(0, 0): b"one"}
    assert _producer({b"two": 0, b"four": 1}).promised(_READ) == {(0, 0): b"one", (0, 1): b"two", (1, 2): b"four"}


@pytest.mark.parametrize("unplaced", [{b"five": 0}, {b"two": 1}, {b"three": 1}], ids=["lost", "elsewhere", "twice"])
def test_what_is_not_there_once_is_wrong(unplaced: dict[bytes, int]) -> None:
    with pytest.raises(AssertionError, match="not there once"):
        _producer({b"four": 1, **unplaced}).promised(_READ)


def test_what_was_told_is_not_replaced_by_what_was_found() -> None:
    producer = _producer({b"two": 0})
    producer.acknowledged[0, 1] = b"other"
    assert producer.promised(_READ)[0, 1] == b"other"
