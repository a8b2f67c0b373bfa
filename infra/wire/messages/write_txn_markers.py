"""WriteTxnMarkers: a transaction coordinator has partitions write its control batches."""

from infra.wire.message import array, boolean, int16, int32, int64, message, string, struct

API_KEY = 27


@struct
class WritableTxnMarkerTopic:
    """An element of `WritableTxnMarker.topics`."""

    name: str = string()
    partition_indexes: list[int] = array("int32")


@struct
class WritableTxnMarker:
    """An element of `WriteTxnMarkersRequest.markers`."""

    producer_id: int = int64()
    producer_epoch: int = int16()
    transaction_result: bool = boolean()
    topics: list[WritableTxnMarkerTopic] = array(WritableTxnMarkerTopic)
    coordinator_epoch: int = int32()


@message("0-1", flexible="1+")
class WriteTxnMarkersRequest:
    """The question."""

    markers: list[WritableTxnMarker] = array(WritableTxnMarker)


@struct
class WritableTxnMarkerPartitionResult:
    """An element of `WritableTxnMarkerTopicResult.partitions`."""

    partition_index: int = int32()
    error_code: int = int16()


@struct
class WritableTxnMarkerTopicResult:
    """An element of `WritableTxnMarkerResult.topics`."""

    name: str = string()
    partitions: list[WritableTxnMarkerPartitionResult] = array(WritableTxnMarkerPartitionResult)


@struct
class WritableTxnMarkerResult:
    """An element of `WriteTxnMarkersResponse.markers`."""

    producer_id: int = int64()
    topics: list[WritableTxnMarkerTopicResult] = array(WritableTxnMarkerTopicResult)


@message("0-1", flexible="1+")
class WriteTxnMarkersResponse:
    """The answer."""

    markers: list[WritableTxnMarkerResult] = array(WritableTxnMarkerResult)
