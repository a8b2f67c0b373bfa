"""WriteTxnMarkers v0 to v1: a transaction coordinator, or an administrator, ends transactions in partitions led here.

Answered when every marker is durable as its topic is, or refused: INVALID_PRODUCER_EPOCH and
TRANSACTION_COORDINATOR_FENCED are final. A marker for a producer that has nothing open is written all the same, as in
Kafka: it keeps older instances of the producer out. Versions: v1 flexible.
"""

import asyncio
from collections.abc import Iterable
from typing import ClassVar

from infra.error_code import ErrorCode
from infra.partition import PartitionId, TopicPartition
from infra.records.control import Marker
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import write_txn_markers as message
from ingest.markers import MarkerWriter
from ingest.produced import FindTopic


class WriteTxnMarkersHandler(Handler):
    """Answers WriteTxnMarkers for the partitions this node leads."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 0
    max_version: ClassVar[int] = 1

    def __init__(self, markers: MarkerWriter, find_topic: FindTopic) -> None:
        self._markers = markers
        self._find_topic = find_topic

    async def handle(
        self, context: RequestContext, request: message.WriteTxnMarkersRequest
    ) -> message.WriteTxnMarkersResponse:
        written = await asyncio.gather(*map(self._write, request.markers))
        return message.WriteTxnMarkersResponse(markers=list(written))

    async def _write(self, wanted: message.WritableTxnMarker) -> message.WritableTxnMarkerResult:
        marker = Marker(wanted.producer_id, wanted.producer_epoch, wanted.coordinator_epoch, wanted.transaction_result)
        names = [(topic.name, number) for topic in wanted.topics for number in topic.partition_indexes]
        known = {name: partition for name in names if (partition := self._partition(name)) is not None}
        codes = await self._markers.write(marker, list(dict.fromkeys(known.values())))
        return message.WritableTxnMarkerResult(
            producer_id=wanted.producer_id,
            topics=[
                message.WritableTxnMarkerTopicResult(
                    name=topic.name,
                    partitions=list(_results(topic, known, codes)),
                )
                for topic in wanted.topics
            ],
        )

    def _partition(self, name: TopicPartition) -> PartitionId | None:
        topic, number = name
        target = self._find_topic(topic)
        if target is None or not 0 <= number < target.partitions:
            return None
        return PartitionId(target.topic_id, number)


def _results(
    topic: message.WritableTxnMarkerTopic,
    known: dict[TopicPartition, PartitionId],
    codes: dict[PartitionId, ErrorCode],
) -> Iterable[message.WritableTxnMarkerPartitionResult]:
    for number in topic.partition_indexes:
        partition = known.get((topic.name, number))
        code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION if partition is None else codes[partition]
        yield message.WritableTxnMarkerPartitionResult(partition_index=number, error_code=code)
