"""DeleteGroups v0 to v2: forget groups without members, with all they committed. v2 is flexible."""

import asyncio
from typing import ClassVar

from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import delete_groups as message
from ingest.coordinator.coordinator import GroupCoordinator


class DeleteGroupsHandler(Handler):
    """Answers DeleteGroups for the groups this node coordinates."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 2

    def __init__(self, coordinator: GroupCoordinator) -> None:
        self._coordinator = coordinator

    async def handle(
        self, context: RequestContext, request: message.DeleteGroupsRequest
    ) -> message.DeleteGroupsResponse:
        names = list(dict.fromkeys(request.groups_names))
        errors = await asyncio.gather(*(self._coordinator.delete_group(name) for name in names))
        return message.DeleteGroupsResponse(
            results=[
                message.DeletableGroupResult(group_id=name, error_code=error)
                for name, error in zip(names, errors, strict=True)
            ]
        )
