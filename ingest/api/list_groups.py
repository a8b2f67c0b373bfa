"""ListGroups v0 to v5: the groups this node coordinates. v3 flexible, v4 filter by state, v5 filter by type."""

from typing import ClassVar

from infra.errors import CauceError
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import list_groups as message
from ingest.coordinator.coordinator import GroupCoordinator, GroupListing
from ingest.coordinator.shard import answer_code


class ListGroupsHandler(Handler):
    """Answers ListGroups; names in filters are read without regard to case, and an empty filter lets all through."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 5

    def __init__(self, coordinator: GroupCoordinator) -> None:
        self._coordinator = coordinator

    async def handle(self, context: RequestContext, request: message.ListGroupsRequest) -> message.ListGroupsResponse:
        try:
            found = self._coordinator.list_groups()
        except CauceError as error:
            return message.ListGroupsResponse(error_code=answer_code(error))
        return message.ListGroupsResponse(
            groups=[
                message.ListedGroup(
                    group_id=group.group_id,
                    protocol_type=group.protocol_type,
                    group_state=group.state,
                    group_type=group.group_type,
                )
                for group in found
                if _wanted(group, request)
            ]
        )


def _wanted(group: GroupListing, request: message.ListGroupsRequest) -> bool:
    states = {state.lower() for state in request.states_filter}
    types = {kind.lower() for kind in request.types_filter}
    return (not states or group.state.lower() in states) and (not types or group.group_type.lower() in types)
