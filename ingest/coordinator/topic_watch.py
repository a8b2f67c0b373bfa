"""Tells which topics were deleted, from the cluster's picture as it changes."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol
from uuid import UUID

from infra.ports import KnownTopic


class TopicPicture(Protocol):
    """The part of the cluster's state that is needed here."""

    def topics(self) -> Sequence[KnownTopic]: ...
    def is_deleted(self, topic_id: UUID) -> bool: ...


class TopicWatch:
    """Call it at every change. A topic that is merely not to be seen (the view was wiped) is not told."""

    def __init__(self, picture: TopicPicture, deleted: Callable[[Iterable[str]], None]) -> None:
        """`deleted(names)` is called with topics that are gone and whose name no other topic bears."""
        self._picture = picture
        self._deleted = deleted
        self._known: dict[UUID, str] = {}

    def __call__(self) -> None:
        self._known.update({topic.topic_id: topic.name for topic in self._picture.topics()})
        gone = [topic_id for topic_id in self._known if self._picture.is_deleted(topic_id)]
        names = [self._known.pop(topic_id) for topic_id in gone]
        left = set(self._known.values())
        if fresh := [name for name in names if name not in left]:
            self._deleted(fresh)
