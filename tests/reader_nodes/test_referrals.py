"""Whom a leader sends to a reader node, and whom it keeps."""

from uuid import UUID

from infra.clock import Clock
from infra.partition import PartitionId, SessionId
from infra.view.port import LiveSession
from reader.fetch_pass import PartitionFetch
from reader.referrals import STAY_SECONDS, Referrals

_LISTENER = "PLAINTEXT"


class _Clock(Clock):
    now = 100.0

    def monotonic(self) -> float:
        return self.now


def reader(node_id: int, rack: str | None = None, listener: str = _LISTENER) -> LiveSession:
    return LiveSession(SessionId(node_id, 1), {listener: f"host:{node_id}"}, rack, frozenset({"reader"}))


def place(partition: int = 0) -> PartitionId:
    return PartitionId(UUID(int=7), partition)


def asked(
    referrals: Referrals, offset: int = 0, partition: int = 0, connection: int = 1, rack: str = "", cold: bool = True
) -> int:
    """The answer to one request."""
    fetch = PartitionFetch(place(partition), offset, 1000)
    return referrals.of(connection, _LISTENER, rack)(fetch, cold)


def test_cold_consumers_spread_over_the_readers_by_partition() -> None:
    readers = [reader(number) for number in (4, 5, 6)]
    referrals = Referrals(lambda: readers, None, _Clock())
    told = {partition: asked(referrals, partition=partition) for partition in range(50)}
    assert set(told.values()) == {4, 5, 6}
    again = {partition: asked(referrals, partition=partition, connection=2) for partition in range(50)}
    assert again == told
    gone = readers.pop()
    left = {partition: asked(referrals, partition=partition, connection=3) for partition in range(50)}
    assert all(left[at] == node for at, node in told.items() if node != gone.session.node_id)


def test_without_readers_nobody_is_sent_anywhere() -> None:
    assert asked(Referrals(list, None, _Clock())) == -1
    other = Referrals(lambda: [reader(4, listener="INTERNAL")], None, _Clock())
    assert asked(other) == -1  # it cannot be reached the way the consumer came


def test_hot_consumers_stay_unless_only_a_reader_is_in_their_rack() -> None:
    readers = [reader(4, "a"), reader(5, "b"), reader(6)]
    leader = Referrals(lambda: readers, "a", _Clock())
    assert asked(leader, cold=False) == -1
    assert asked(leader, cold=False, rack="a") == -1
    assert asked(leader, cold=False, rack="c") == -1
    assert asked(leader, cold=False, rack="b") == 5


def test_a_cold_consumer_prefers_a_reader_of_its_rack() -> None:
    referrals = Referrals(lambda: [reader(4, "a"), reader(5, "b")], "a", _Clock())
    assert {asked(referrals, partition=at, rack="b") for at in range(20)} == {5}
    assert {asked(referrals, partition=at, rack="a", connection=2) for at in range(20)} == {4}
    assert {asked(referrals, partition=at, rack="c", connection=3) for at in range(20)} == {4, 5}


def test_a_client_that_comes_back_is_served_for_a_while() -> None:
    clock = _Clock()
    referrals = Referrals(lambda: [reader(4)], None, clock)
    assert asked(referrals, 10) == 4
    assert asked(referrals, 10) == -1
    assert asked(referrals, 20) == -1
    assert asked(referrals, 20, connection=2) == 4  # another consumer
    assert asked(referrals, 20, partition=1) == 4
    clock.now += STAY_SECONDS
    assert asked(referrals, 30) == 4
    assert asked(referrals, 30) == -1


def test_a_consumer_that_read_on_elsewhere_is_sent_again() -> None:
    referrals = Referrals(lambda: [reader(4)], None, _Clock())
    assert asked(referrals, 10) == 4
    assert asked(referrals, 500) == 4
    assert asked(referrals, 500) == -1


def test_one_request_is_decided_once() -> None:
    decide = Referrals(lambda: [reader(4)], None, _Clock()).of(1, _LISTENER, "")
    fetch = PartitionFetch(place(), 10, 1000)
    assert [decide(fetch, True) for _ in range(3)] == [4, 4, 4]
