"""Which topics count as deleted."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from ingest.coordinator.topic_watch import TopicWatch
from tests.coordinator.cluster import FakeTopic


@dataclass
class Picture:
    seen: list[FakeTopic] = field(default_factory=list)
    gone: set[UUID] = field(default_factory=set)

    def topics(self) -> list[FakeTopic]:
        return self.seen

    def is_deleted(self, topic_id: UUID) -> bool:
        return topic_id in self.gone


def test_only_topics_known_to_be_deleted_are_told_and_once() -> None:
    told: list[list[str]] = []

    def tell(names: Iterable[str]) -> None:
        told.append(list(names))

    old, new = FakeTopic(UUID(int=1), "flights", 1), FakeTopic(UUID(int=2), "flights", 1)
    picture = Picture([old, FakeTopic(UUID(int=3), "trains", 1)])
    watch = TopicWatch(picture, tell)
    watch()
    picture.seen = []  # the view was wiped: nothing is known, nothing is deleted
    watch()
    assert told == []
    picture.gone = {UUID(int=3)}
    watch()
    watch()
    assert told == [["trains"]]
    picture.seen, picture.gone = [new], {UUID(int=1)}
    watch()
    assert told == [["trains"]], "a topic of the same name is there again, with offsets of its own"
