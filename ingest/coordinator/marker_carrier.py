"""Has markers written by the nodes that lead: by this one at once, by others over WriteTxnMarkers."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from infra.error_code import ErrorCode
from infra.partition import PartitionId, TopicPartition
from infra.ports import SessionGuard, TopicDirectory
from infra.wire.messages import write_txn_markers as message
from ingest.coordinator.marker_sender import Ending, EndingOf, Results
from ingest.peers import Peers

WriteHere = Callable[[Ending, Sequence[PartitionId]], Awaitable[Mapping[PartitionId, ErrorCode]]]
"""Write a marker into partitions that this node leads; NONE for each once it is below the high watermark."""


class NodeMarkers:
    """A `MarkerCarrier`."""

    def __init__(self, directory: TopicDirectory, guard: SessionGuard, write_here: WriteHere, peers: Peers) -> None:
        self._directory = directory
        self._guard = guard
        self._write_here = write_here
        self._peers = peers

    async def carry(self, node_id: int, endings: Sequence[EndingOf]) -> Sequence[Results]:
        """As `MarkerCarrier.carry`."""
        if node_id == self._guard.session.node_id:
            return await asyncio.gather(*(self._here(one) for one in endings))
        response: message.WriteTxnMarkersResponse = await self._peers.call(node_id, _request(endings))
        answers = {marker.producer_id: _results(marker) for marker in response.markers}
        return [answers.get(one.ending.producer.producer_id, {}) for one in endings]

    async def _here(self, one: EndingOf) -> Results:
        partitions: dict[PartitionId, TopicPartition] = {}
        for place in one.partitions:
            topic = self._directory.topic_by_name(place[0])
            if topic is not None:
                partitions[PartitionId(topic.topic_id, place[1])] = place
        written = await self._write_here(one.ending, list(partitions))
        return {partitions[partition]: error for partition, error in written.items()}


def _request(endings: Sequence[EndingOf]) -> message.WriteTxnMarkersRequest:
    return message.WriteTxnMarkersRequest(markers=[_marker(one) for one in endings])


def _marker(one: EndingOf) -> message.WritableTxnMarker:
    topics: dict[str, list[int]] = {}
    for topic, partition in one.partitions:
        topics.setdefault(topic, []).append(partition)
    return message.WritableTxnMarker(
        producer_id=one.ending.producer.producer_id,
        producer_epoch=one.ending.producer.epoch,
        transaction_result=one.ending.commit,
        coordinator_epoch=one.ending.coordinator_epoch,
        topics=[
            message.WritableTxnMarkerTopic(name=name, partition_indexes=numbers) for name, numbers in topics.items()
        ],
    )


def _results(marker: message.WritableTxnMarkerResult) -> Results:
    return {
        (topic.name, result.partition_index): ErrorCode(result.error_code)
        for topic in marker.topics
        for result in topic.partitions
    }
