"""TxnOffsetCommit v0 to v4: keep offsets for a group once a transaction is committed; answered when they are durable.

The group's coordinator takes them as a partition of the transaction, which AddOffsetsToTxn has made it: pending until
the marker comes, gone when the transaction is aborted. A member commits under its generation (v3), which fences who has
left the group; older versions name no member, and are taken. Versions: v2 leader epochs, v3 flexible.
"""

from typing import ClassVar

from infra.error_code import ErrorCode
from infra.errors import CauceError
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import txn_offset_commit as message
from ingest.api.committed_offsets import committed_offsets
from ingest.coordinator.coordinator import GroupCoordinator
from ingest.coordinator.offsets import CommitTransaction, OffsetCommit
from ingest.coordinator.shard import answer_code

_FIRST_VERSION_WITH_LOADING = 2


class TxnOffsetCommitHandler(Handler):
    """Answers TxnOffsetCommit for the groups this node coordinates."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 4

    def __init__(self, coordinator: GroupCoordinator) -> None:
        self._coordinator = coordinator

    async def handle(
        self, context: RequestContext, request: message.TxnOffsetCommitRequest
    ) -> message.TxnOffsetCommitResponse:
        commit = _commit(request)
        transaction = CommitTransaction(
            transactional_id=request.transactional_id,
            producer_id=request.producer_id,
            producer_epoch=request.producer_epoch,
        )
        try:
            errors = await self._coordinator.commit_offsets(commit, transaction)
        except CauceError as error:
            errors = dict.fromkeys(commit.offsets, answer_code(error))
        return message.TxnOffsetCommitResponse(
            topics=[
                message.TxnOffsetCommitResponseTopic(
                    name=topic.name,
                    partitions=[
                        message.TxnOffsetCommitResponsePartition(
                            partition_index=row.partition_index,
                            error_code=_known_code(errors[topic.name, row.partition_index], context.api_version),
                        )
                        for row in topic.partitions
                    ],
                )
                for topic in request.topics
            ]
        )


def _commit(request: message.TxnOffsetCommitRequest) -> OffsetCommit:
    return OffsetCommit(
        group_id=request.group_id,
        generation=request.generation_id,
        member_id=request.member_id,
        instance_id=request.group_instance_id,
        offsets=committed_offsets(request.topics),
    )


def _known_code(code: ErrorCode, version: int) -> ErrorCode:
    """Producers of long ago fall over a coordinator that loads."""
    loading = code is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS and version < _FIRST_VERSION_WITH_LOADING
    return ErrorCode.COORDINATOR_NOT_AVAILABLE if loading else code
