"""OffsetCommit v2 to v9: keep offsets for a group; answered when they are durable.

A member commits under its generation; a simple consumer (generation -1, no member id) only while the group is empty.
Versions: up to v4 a retention of the commit's own, v6 leader epochs, v7 static members, v8 flexible, v9 the field of
the newer group protocol, which classic groups read as their generation.
"""

from typing import ClassVar

from infra.error_code import ErrorCode
from infra.errors import CauceError
from infra.partition import TopicPartition
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import offset_commit as message
from ingest.api.committed_offsets import committed_offsets
from ingest.coordinator.coordinator import GroupCoordinator
from ingest.coordinator.offsets import OffsetCommit
from ingest.coordinator.shard import answer_code


class OffsetCommitHandler(Handler):
    """Answers OffsetCommit for the groups this node coordinates."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 2
    max_version: ClassVar[int] = 9

    def __init__(self, coordinator: GroupCoordinator) -> None:
        self._coordinator = coordinator

    async def handle(
        self, context: RequestContext, request: message.OffsetCommitRequest
    ) -> message.OffsetCommitResponse:
        commit = _commit(request)
        try:
            errors = await self._coordinator.commit_offsets(commit)
        except CauceError as error:
            errors = dict.fromkeys(commit.offsets, answer_code(error))
        return _response(request, errors)


def _commit(request: message.OffsetCommitRequest) -> OffsetCommit:
    return OffsetCommit(
        group_id=request.group_id,
        generation=request.generation_id_or_member_epoch,
        member_id=request.member_id,
        instance_id=request.group_instance_id,
        retention_ms=request.retention_time_ms,
        offsets=committed_offsets(request.topics),
    )


def _response(
    request: message.OffsetCommitRequest, errors: dict[TopicPartition, ErrorCode]
) -> message.OffsetCommitResponse:
    return message.OffsetCommitResponse(
        topics=[
            message.OffsetCommitResponseTopic(
                name=topic.name,
                partitions=[
                    message.OffsetCommitResponsePartition(
                        partition_index=partition.partition_index,
                        error_code=errors[topic.name, partition.partition_index],
                    )
                    for partition in topic.partitions
                ],
            )
            for topic in request.topics
        ]
    )
