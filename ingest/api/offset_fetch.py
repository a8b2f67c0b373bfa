"""OffsetFetch v1 to v9: what groups have committed; offset -1 and empty metadata where nothing is.

Who requires stable offsets is told UNSTABLE_OFFSET_COMMIT of those that an open transaction commits, and asks again.

Versions: v2 null topics are all of them, and errors of the group stand on top (v1: in each partition); v5 leader
epochs; v6 flexible; v7 require_stable; v8 several groups at once; v9 member fields, which classic groups do not need.
"""

from collections.abc import Callable, Iterable, Mapping, Set
from typing import ClassVar, TypeAlias, TypeVar

from infra.error_code import ErrorCode
from infra.errors import CauceError
from infra.partition import TopicPartition
from infra.view.port import OffsetRow
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import offset_fetch as message
from ingest.coordinator.coordinator import GroupCoordinator
from ingest.coordinator.shard import answer_code

P = TypeVar("P")
Rows: TypeAlias = Mapping[TopicPartition, OffsetRow]
Wanted: TypeAlias = list[tuple[str, list[int]]]  # topics with their partitions

_NOTHING = OffsetRow(-1, -1, "", -1)


class OffsetFetchHandler(Handler):
    """Answers OffsetFetch for the groups this node coordinates."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 1
    max_version: ClassVar[int] = 9

    def __init__(self, coordinator: GroupCoordinator) -> None:
        self._coordinator = coordinator

    async def handle(self, context: RequestContext, request: message.OffsetFetchRequest) -> message.OffsetFetchResponse:
        if context.api_version >= 8:
            return message.OffsetFetchResponse(
                groups=[self._group(group, request.require_stable) for group in request.groups]
            )
        wanted = _wanted(request.topics)
        try:
            rows = self._coordinator.fetch_offsets(request.group_id)
            unstable = self._unstable(request.group_id, request.require_stable)
        except CauceError as error:
            return _failed(wanted, answer_code(error), context.api_version)
        return message.OffsetFetchResponse(
            topics=[
                message.OffsetFetchResponseTopic(
                    name=name,
                    partitions=_partitions(message.OffsetFetchResponsePartition, name, numbers, rows, unstable),
                )
                for name, numbers in (_all([*rows, *unstable]) if wanted is None else wanted)
            ]
        )

    def _unstable(self, group_id: str, require_stable: bool) -> Set[TopicPartition]:
        return self._coordinator.pending_offsets(group_id) if require_stable else frozenset()

    def _group(self, group: message.OffsetFetchRequestGroup, require_stable: bool) -> message.OffsetFetchResponseGroup:
        wanted = _wanted(group.topics)
        try:
            rows = self._coordinator.fetch_offsets(group.group_id)
            unstable = self._unstable(group.group_id, require_stable)
        except CauceError as error:
            return message.OffsetFetchResponseGroup(group_id=group.group_id, error_code=answer_code(error))
        return message.OffsetFetchResponseGroup(
            group_id=group.group_id,
            topics=[
                message.OffsetFetchResponseTopics(
                    name=name,
                    partitions=_partitions(message.OffsetFetchResponsePartitions, name, numbers, rows, unstable),
                )
                for name, numbers in (_all([*rows, *unstable]) if wanted is None else wanted)
            ],
        )


def _wanted(
    topics: Iterable[message.OffsetFetchRequestTopic | message.OffsetFetchRequestTopics] | None,
) -> Wanted | None:
    return None if topics is None else [(topic.name, list(topic.partition_indexes)) for topic in topics]


def _all(names: Iterable[TopicPartition]) -> Wanted:
    found: dict[str, list[int]] = {}
    for name, number in sorted(set(names)):
        found.setdefault(name, []).append(number)
    return list(found.items())


def _failed(wanted: Wanted | None, error: ErrorCode, version: int) -> message.OffsetFetchResponse:
    if version >= 2:
        return message.OffsetFetchResponse(error_code=error)
    kind = message.OffsetFetchResponsePartition
    topics = [
        message.OffsetFetchResponseTopic(
            name=name, partitions=[_partition(kind, number, None, error) for number in numbers]
        )
        for name, numbers in wanted or ()
    ]
    return message.OffsetFetchResponse(topics=topics)


def _partitions(
    kind: Callable[..., P], name: str, numbers: Iterable[int], rows: Rows, unstable: Set[TopicPartition]
) -> list[P]:
    """`kind`: the class of partitions in an answer, which v8 calls otherwise."""
    return [
        _partition(kind, number, None, ErrorCode.UNSTABLE_OFFSET_COMMIT)
        if (name, number) in unstable
        else _partition(kind, number, rows.get((name, number)))
        for number in numbers
    ]


def _partition(kind: Callable[..., P], number: int, row: OffsetRow | None, error: ErrorCode = ErrorCode.NONE) -> P:
    row = row or _NOTHING
    return kind(
        partition_index=number,
        committed_offset=row.offset,
        committed_leader_epoch=row.leader_epoch,
        metadata=row.metadata,
        error_code=error,
    )
