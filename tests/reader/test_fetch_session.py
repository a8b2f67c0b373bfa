"""Fetch sessions (KIP-227), without I/O."""

from typing import Any
from uuid import UUID

import pytest

from infra.clock import Clock
from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.wire.messages import fetch as message
from reader.fetch_session import FetchSession, FetchSessionCache, Wanted, following_epoch


class HeldClock(Clock):
    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


def request(
    session_id: int = 0, epoch: int = 0, /, forget: dict[str, list[int]] | None = None, **topics: dict[int, int]
) -> message.FetchRequest:
    """Topics by name: partition → fetch offset."""
    return message.FetchRequest(
        session_id=session_id,
        session_epoch=epoch,
        topics=[
            message.FetchTopic(
                topic=name,
                partitions=[
                    message.FetchPartition(partition=partition, fetch_offset=offset, partition_max_bytes=100)
                    for partition, offset in partitions.items()
                ],
            )
            for name, partitions in topics.items()
        ],
        forgotten_topics_data=[
            message.ForgottenTopic(topic=name, partitions=partitions) for name, partitions in (forget or {}).items()
        ],
    )


def opened(cache: FetchSessionCache, asked: message.FetchRequest) -> FetchSession:
    session = cache.open(asked, by_id=False)
    assert session is not None
    return session


def offsets(session: FetchSession) -> dict[object, int]:
    return {key: wanted.fetch_offset for key, wanted in session.wanted.items()}


def refusal(cache: FetchSessionCache, asked: message.FetchRequest, by_id: bool = False) -> ErrorCode:
    with pytest.raises(Refused) as caught:
        cache.open(asked, by_id)
    return caught.value.code


def test_a_session_is_created_and_updated_by_what_changes() -> None:
    cache = FetchSessionCache(Clock())
    session = opened(cache, request(a={0: 5, 1: 6}))
    assert session.session_id > 0
    again = opened(cache, request(session.session_id, 1, a={1: 8}, b={0: 1}, forget={"a": [0]}))
    assert again is session
    assert offsets(session) == {("a", 1): 8, ("b", 0): 1}
    unchanged = opened(cache, request(session.session_id, 2))
    assert offsets(unchanged) == {("a", 1): 8, ("b", 0): 1}


def test_forgetting_everything_ends_the_session() -> None:
    cache = FetchSessionCache(Clock())
    session = opened(cache, request(a={0: 5}))
    assert cache.open(request(session.session_id, 1, forget={"a": [0]}), by_id=False) is None
    assert refusal(cache, request(session.session_id, 2)) is ErrorCode.FETCH_SESSION_ID_NOT_FOUND


def test_errors_70_71_106() -> None:
    cache = FetchSessionCache(Clock())
    assert refusal(cache, request(99, 1)) == 70
    session = opened(cache, request(a={0: 5}))
    assert refusal(cache, request(session.session_id, 2)) == 71
    assert refusal(cache, request(session.session_id, 1), by_id=True) == 106
    opened(cache, request(session.session_id, 1))  # refused requests changed nothing
    assert refusal(cache, request(session.session_id, 1)) == 71


def test_a_full_fetch_closes_the_session_it_names() -> None:
    cache = FetchSessionCache(Clock())
    first = opened(cache, request(a={0: 5})).session_id
    second = opened(cache, request(first, 0, a={0: 5})).session_id
    assert second != first
    assert len(cache) == 1
    assert cache.open(request(second, -1, a={0: 5}), by_id=False) is None
    assert len(cache) == 0


def test_before_v7_there_is_no_session() -> None:
    assert FetchSessionCache(Clock()).open(message.FetchRequest(), by_id=False) is None


def test_the_epoch_after_the_highest_is_one() -> None:
    cache = FetchSessionCache(Clock())
    session = opened(cache, request(a={0: 5}))
    session.epoch = 2**31 - 1
    opened(cache, request(session.session_id, 2**31 - 1))
    assert session.epoch == 1 == following_epoch(2**31 - 1)
    opened(cache, request(session.session_id, 1))
    assert session.epoch == 2


def test_sessions_by_id_forget_by_id() -> None:
    cache = FetchSessionCache(Clock())
    topics = [
        message.FetchTopic(topic_id=UUID(int=7), partitions=[message.FetchPartition(partition=at) for at in (0, 1)])
    ]
    session = cache.open(message.FetchRequest(session_epoch=0, topics=topics), by_id=True)
    assert session is not None
    forget = [message.ForgottenTopic(topic_id=UUID(int=7), partitions=[0])]
    cache.open(
        message.FetchRequest(session_id=session.session_id, session_epoch=1, forgotten_topics_data=forget), by_id=True
    )
    assert list(session.wanted) == [(UUID(int=7), 1)]


def test_a_full_cache_keeps_who_is_there_until_it_is_stale() -> None:
    clock = HeldClock()
    cache = FetchSessionCache(clock, slots=2)
    first, second = opened(cache, request(a={0: 1})), opened(cache, request(a={1: 1}))
    clock.seconds += 100
    opened(cache, request(first.session_id, 1))
    assert cache.open(request(a={2: 1}), by_id=False) is None  # served without a session
    clock.seconds += 21
    opened(cache, request(a={2: 1}))  # the second was not used for 121 s
    assert len(cache) == 2
    opened(cache, request(first.session_id, 2))
    assert refusal(cache, request(second.session_id, 1)) == 70


def test_all_sessions_together_are_bounded_in_partitions() -> None:
    cache = FetchSessionCache(Clock(), max_partitions=5)
    first = opened(cache, request(a={0: 1, 1: 1, 2: 1}))
    assert cache.open(request(a=dict.fromkeys(range(3), 1)), by_id=False) is None
    second = opened(cache, request(a={0: 1}))
    assert refusal(cache, request(second.session_id, 1, a={1: 1, 2: 1})) == 70
    opened(cache, request(first.session_id, 1, b={0: 1, 1: 1}))


def test_no_slots_no_sessions() -> None:
    assert FetchSessionCache(Clock(), slots=0).open(request(a={0: 1}), by_id=False) is None


def test_partitions_that_gave_records_are_served_last() -> None:
    session = opened(FetchSessionCache(Clock()), request(a={0: 1, 1: 1, 2: 1}))
    session.served([("a", 0), ("gone", 3)])
    assert [partition for _, partition in session.wanted] == [1, 2, 0]


def data(**fields: Any) -> message.PartitionData:
    return message.PartitionData(**{"high_watermark": 5, "last_stable_offset": 5, "log_start_offset": 0, **fields})


def test_only_news_are_told() -> None:
    wanted = Wanted(0, 100, -1, -1)
    assert wanted.news(data(), False)
    assert not wanted.news(data(), False)
    assert wanted.news(data(), True)
    assert wanted.news(data(high_watermark=6), False)
    assert wanted.news(data(high_watermark=6, log_start_offset=2), False)
    assert wanted.news(data(high_watermark=6, log_start_offset=2, last_stable_offset=6), False)
    assert not wanted.news(data(high_watermark=6, log_start_offset=2, last_stable_offset=6), False)


def test_errors_are_always_news_and_so_is_their_end() -> None:
    wanted = Wanted(0, 100, -1, -1)
    assert wanted.news(data(), False)
    for _ in range(2):
        assert wanted.news(data(error_code=ErrorCode.NOT_LEADER_OR_FOLLOWER), False)
    assert wanted.news(data(), False)
    assert not wanted.news(data(), False)


def test_divergence_is_news() -> None:
    wanted = Wanted(0, 100, -1, 3)
    wanted.news(data(), False)
    diverging = data()
    diverging.diverging_epoch = message.EpochEndOffset(epoch=2, end_offset=1)
    assert wanted.news(diverging, False)
