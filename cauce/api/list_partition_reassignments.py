"""ListPartitionReassignments v0 (KIP-455): none is ever under way."""

from typing import ClassVar

from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import list_partition_reassignments as message


class ListPartitionReassignmentsHandler(Handler):
    """Answers an empty list: leaders move without copying data."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 0

    async def handle(
        self, context: RequestContext, request: message.ListPartitionReassignmentsRequest
    ) -> message.ListPartitionReassignmentsResponse:
        return message.ListPartitionReassignmentsResponse(error_message=None)
