"""ElectLeaders v0 to v2 (KIP-460): leaders follow rendezvous preference by themselves, so there is nothing to elect.

A partition that is led answers ELECTION_NOT_NEEDED, one that is not PREFERRED_LEADER_NOT_AVAILABLE (preferred, 0) or
ELIGIBLE_LEADERS_NOT_AVAILABLE (unclean, 1; see unclean.leader.election.enable). v1 brings the election type.
"""

from collections.abc import Iterable
from typing import ClassVar

from infra.cluster.state import ClusterState
from infra.error_code import ErrorCode
from infra.partition import PartitionId
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import elect_leaders as message

_PREFERRED, _UNCLEAN = 0, 1


class ElectLeadersHandler(Handler):
    """Answers ElectLeaders from the cluster as this node last saw it."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 2

    def __init__(self, state: ClusterState) -> None:
        self._state = state

    async def handle(
        self, context: RequestContext, request: message.ElectLeadersRequest
    ) -> message.ElectLeadersResponse:
        if request.election_type not in (_PREFERRED, _UNCLEAN):
            return message.ElectLeadersResponse(error_code=ErrorCode.INVALID_REQUEST)
        everything = request.topic_partitions is None
        response = message.ElectLeadersResponse()
        for name, partitions in self._wanted(request):
            result = message.ReplicaElectionResult(topic=name)
            for number in partitions:
                code = self._code(name, number, request.election_type)
                if everything and code is ErrorCode.ELECTION_NOT_NEEDED:
                    continue  # Kafka leaves these out when all partitions were asked for
                result.partition_result.append(
                    message.PartitionResult(partition_id=number, error_code=code, error_message=_SENTENCES[code])
                )
            if result.partition_result or not everything:
                response.replica_election_results.append(result)
        return response

    def _wanted(self, request: message.ElectLeadersRequest) -> Iterable[tuple[str, Iterable[int]]]:
        if request.topic_partitions is None:
            return ((topic.name, range(topic.partitions)) for topic in self._state.topics())
        return ((row.topic, row.partitions) for row in request.topic_partitions)

    def _code(self, name: str, number: int, election_type: int) -> ErrorCode:
        topic = self._state.topic_by_name(name)
        if topic is None or not 0 <= number < topic.partitions:
            return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        if self._state.leader(PartitionId(topic.topic_id, number)) is not None:
            return ErrorCode.ELECTION_NOT_NEEDED
        if election_type == _UNCLEAN:
            return ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE
        return ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE


_SENTENCES = {
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: "there is no such partition",
    ErrorCode.ELECTION_NOT_NEEDED: "the partition is led already",
    ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE: "no live node may take this partition",
    ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE: "the node that prefers this partition has not taken it yet",
}
