"""Produce on a node that leads nothing: every partition is NOT_LEADER_OR_FOLLOWER, with its leader from v10 on.

The versions are those of a leading node. With acks=0 an error can only close the connection, and so it does.
"""

from typing import ClassVar

from infra.cluster.state import ClusterState
from infra.error_code import ErrorCode
from infra.errors import NotLeader
from infra.partition import PartitionId
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import produce as message
from ingest.api.produce import ProduceHandler

_ACKS_NONE = 0


class ProduceElsewhereHandler(Handler):
    """Tells producers where to go."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = ProduceHandler.min_version
    max_version: ClassVar[int] = ProduceHandler.max_version
    advertised_min: ClassVar[int | None] = ProduceHandler.advertised_min

    def __init__(self, state: ClusterState) -> None:
        self._state = state

    async def handle(self, context: RequestContext, request: message.ProduceRequest) -> message.ProduceResponse:
        if request.acks == _ACKS_NONE:
            raise NotLeader("this node leads no partition")
        return message.ProduceResponse(
            responses=[
                message.TopicProduceResponse(
                    name=topic.name,
                    partition_responses=[self._answer(topic.name, data.index) for data in topic.partition_data],
                )
                for topic in request.topic_data
            ]
        )

    def _answer(self, name: str, number: int) -> message.PartitionProduceResponse:
        answer = message.PartitionProduceResponse(
            index=number, base_offset=-1, log_append_time_ms=-1, log_start_offset=-1
        )
        topic = self._state.topic_by_name(name)
        if topic is None or not 0 <= number < topic.partitions:
            answer.error_code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            return answer
        answer.error_code = ErrorCode.NOT_LEADER_OR_FOLLOWER
        lease = self._state.leader(PartitionId(topic.topic_id, number))
        if lease is not None:
            answer.current_leader = message.LeaderIdAndEpoch(
                leader_id=lease.session.node_id, leader_epoch=lease.leader_epoch
            )
        return answer
