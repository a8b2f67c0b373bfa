"""ListGroups v0 to v5: the groups this node coordinates. v3 flexible, v4 filter by state, v5 filter by type."""

from collections.abc import Sequence
from typing import ClassVar, Protocol

from infra.errors import CauceError
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import list_groups as message
from ingest.coordinator.coordinator import GroupListing
from ingest.coordinator.shard import answer_code


class GroupSource(Protocol):
    """Where the groups are known (`ingest.coordinator.coordinator.GroupCoordinator`)."""

    def list_groups(self) -> Sequence[GroupListing]:
        """Every group coordinated here. Raises `Refused` while that is not known."""


class ListGroupsHandler(Handler):
    """Answers ListGroups; names in filters are read without regard to case, and an empty filter lets all through."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 5

    def __init__(self, coordinator: GroupSource) -> None:
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
