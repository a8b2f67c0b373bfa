"""OffsetDelete v0: forget some offsets of a group; those of topics that its members subscribe to stay."""

from typing import ClassVar

from infra.errors import CauceError
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import offset_delete as message
from ingest.coordinator.coordinator import GroupCoordinator
from ingest.coordinator.shard import answer_code


class OffsetDeleteHandler(Handler):
    """Answers OffsetDelete for the groups this node coordinates."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 0

    def __init__(self, coordinator: GroupCoordinator) -> None:
        self._coordinator = coordinator

    async def handle(
        self, context: RequestContext, request: message.OffsetDeleteRequest
    ) -> message.OffsetDeleteResponse:
        names = [(topic.name, one.partition_index) for topic in request.topics for one in topic.partitions]
        try:
            errors = await self._coordinator.delete_offsets(request.group_id, names)
        except CauceError as error:
            return message.OffsetDeleteResponse(error_code=answer_code(error))
        return message.OffsetDeleteResponse(
            topics=[
                message.OffsetDeleteResponseTopic(
                    name=topic.name,
                    partitions=[
                        message.OffsetDeleteResponsePartition(
                            partition_index=one.partition_index, error_code=errors[topic.name, one.partition_index]
                        )
                        for one in topic.partitions
                    ],
                )
                for topic in request.topics
            ]
        )
