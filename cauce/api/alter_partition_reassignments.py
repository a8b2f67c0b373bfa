"""AlterPartitionReassignments v0 (KIP-455): leaders follow rendezvous preference, so nothing can be reassigned.

Taking a reassignment back answers NO_REASSIGNMENT_IN_PROGRESS. Asking for the leader alone, or for the replicas that
Metadata tells, changes nothing and succeeds; any other wish is INVALID_REPLICA_ASSIGNMENT with a sentence.
"""

from typing import ClassVar

from infra.cluster.state import ClusterState
from infra.error_code import ErrorCode
from infra.errors import CauceError, Refused
from infra.partition import PartitionId
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import alter_partition_reassignments as message


class AlterPartitionReassignmentsHandler(Handler):
    """Answers AlterPartitionReassignments; nothing is ever under way."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 0

    def __init__(self, state: ClusterState) -> None:
        self._state = state

    async def handle(
        self, context: RequestContext, request: message.AlterPartitionReassignmentsRequest
    ) -> message.AlterPartitionReassignmentsResponse:
        response = message.AlterPartitionReassignmentsResponse(error_message=None)
        for topic in request.topics:
            answered = message.ReassignableTopicResponse(name=topic.name)
            for wanted in topic.partitions:
                answer = message.ReassignablePartitionResponse(
                    partition_index=wanted.partition_index, error_message=None
                )
                try:
                    self._check(topic.name, wanted.partition_index, wanted.replicas)
                except CauceError as error:
                    answer.error_code, answer.error_message = error.code, error.message
                answered.partitions.append(answer)
            response.responses.append(answered)
        return response

    def _check(self, name: str, number: int, replicas: list[int] | None) -> None:
        topic = self._state.topic_by_name(name)
        if topic is None or not 0 <= number < topic.partitions:
            raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"there is no partition {name}-{number}")
        if replicas is None:
            raise Refused(ErrorCode.NO_REASSIGNMENT_IN_PROGRESS, f"{name}-{number} is not being reassigned")
        lease = self._state.leader(PartitionId(topic.topic_id, number))
        if lease is None or replicas not in ([lease.session.node_id], self._state.replicas(lease)):
            raise Refused(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT,
                "partitions have no replicas to move: the bucket holds the data and the nodes share the leaders by "
                "themselves; add or remove nodes instead",
            )
