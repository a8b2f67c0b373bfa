"""DescribeGroups v0 to v5: state, protocol and members of groups; one that is not there is `Dead`, without an error.

Versions: v3 authorized operations (the default, nothing is computed), v4 static members, v5 flexible.
"""

from typing import ClassVar

from infra.errors import CauceError
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import describe_groups as message
from ingest.coordinator.coordinator import GroupCoordinator
from ingest.coordinator.shard import answer_code


class DescribeGroupsHandler(Handler):
    """Answers DescribeGroups for the groups this node coordinates."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 5

    def __init__(self, coordinator: GroupCoordinator) -> None:
        self._coordinator = coordinator

    async def handle(
        self, context: RequestContext, request: message.DescribeGroupsRequest
    ) -> message.DescribeGroupsResponse:
        return message.DescribeGroupsResponse(groups=[self._describe(group_id) for group_id in request.groups])

    def _describe(self, group_id: str) -> message.DescribedGroup:
        try:
            found = self._coordinator.describe(group_id)
        except CauceError as error:
            return message.DescribedGroup(group_id=group_id, error_code=answer_code(error))
        return message.DescribedGroup(
            group_id=group_id,
            group_state=found.state,
            protocol_type=found.protocol_type,
            protocol_data=found.protocol,
            members=[
                message.DescribedGroupMember(
                    member_id=member.member_id,
                    group_instance_id=member.instance_id,
                    client_id=member.client_id,
                    client_host=member.client_host,
                    member_metadata=member.subscription,
                    member_assignment=member.assignment,
                )
                for member in found.members
            ],
        )
