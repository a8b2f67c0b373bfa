"""Fetch responses (v4 to v16), written by hand because they are the hot path out.

Gives the same bytes as the generic codec, but as a list of buffers: the fields of all partitions packed around the
record batches, which are passed on as they are and never joined. The work is per partition and per batch buffer,
whatever the number of records.
"""

import struct
from collections.abc import Sequence

from infra.store.port import Buffer
from infra.wire.codec_primitives import uvarint
from infra.wire.messages.fetch import FetchableTopicResponse, FetchResponse, NodeEndpoint, PartitionData

FIRST_VERSION = 4
LAST_VERSION = 16
_FIRST_WITH_LOG_START = 5
_FIRST_WITH_SESSION = 7
_FIRST_WITH_PREFERRED_REPLICA = 11
_FIRST_FLEXIBLE = 12
_FIRST_WITH_TOPIC_ID = 13
_FIRST_WITH_ENDPOINTS = 16

_INT32 = struct.Struct(">i")
_SESSION = struct.Struct(">ihi")  # throttle time, error, session id
_PARTITION_V4 = struct.Struct(">ihqq")  # index, error, high watermark, last stable offset
_PARTITION_V5 = struct.Struct(">ihqqq")  # and log start offset
_ABORTED = struct.Struct(">qq")  # producer id, first offset
_EPOCH_END = struct.Struct(">iq")  # diverging epoch and its end offset
_LEADER = struct.Struct(">ii")  # leader id and epoch
_SNAPSHOT = struct.Struct(">qi")  # end offset and epoch


def encode_fetch_response(response: FetchResponse, version: int) -> list[Buffer]:
    """The body of the answer, behind the response header.

    `records` of each partition is a list of buffers (whole record batches). None and an empty list are both written
    as no bytes, never as null, which librdkafka takes for a broken answer.
    """
    packer = _Packer()
    out = packer.fields
    if version >= _FIRST_WITH_SESSION:
        out += _SESSION.pack(response.throttle_time_ms, response.error_code, response.session_id)
    else:
        out += _INT32.pack(response.throttle_time_ms)
    if version >= _FIRST_FLEXIBLE:
        _flexible_topics(packer, response.responses, version)
        packer.fields += _endpoints(response.node_endpoints) if version >= _FIRST_WITH_ENDPOINTS else b"\0"
    else:
        _classic_topics(packer, response.responses, version)
    return packer.finish()


class _Packer:
    """Fields gather in one bytearray until record buffers follow; then the next one begins."""

    def __init__(self) -> None:
        self.fields = bytearray()
        self._buffers: list[Buffer] = []

    def records(self, buffers: Sequence[Buffer]) -> None:
        if buffers:
            self._buffers.append(self.fields)
            self._buffers.extend(buffers)
            self.fields = bytearray()

    def finish(self) -> list[Buffer]:
        if self.fields:
            self._buffers.append(self.fields)
        return self._buffers


def _buffers_of(partition: PartitionData) -> Sequence[Buffer]:
    records = partition.records
    if records is None:
        return ()
    return records if isinstance(records, list | tuple) else (records,)


def _classic_topics(packer: _Packer, topics: Sequence[FetchableTopicResponse], version: int) -> None:
    packer.fields += _INT32.pack(len(topics))
    for topic in topics:
        name = topic.topic.encode()
        packer.fields += struct.pack(f">h{len(name)}si", len(name), name, len(topic.partitions))
        for partition in topic.partitions:
            _classic_partition(packer, partition, version)


def _classic_partition(packer: _Packer, partition: PartitionData, version: int) -> None:
    out = packer.fields
    out += _fixed_fields(partition, version)
    aborted = partition.aborted_transactions
    if aborted is None:
        out += b"\xff\xff\xff\xff"
    else:
        out += _INT32.pack(len(aborted))
        for transaction in aborted:
            out += _ABORTED.pack(transaction.producer_id, transaction.first_offset)
    if version >= _FIRST_WITH_PREFERRED_REPLICA:
        out += _INT32.pack(partition.preferred_read_replica)
    buffers = _buffers_of(partition)
    out += _INT32.pack(sum(map(len, buffers)))
    packer.records(buffers)


def _fixed_fields(partition: PartitionData, version: int) -> bytes:
    if version < _FIRST_WITH_LOG_START:
        return _PARTITION_V4.pack(
            partition.partition_index, partition.error_code, partition.high_watermark, partition.last_stable_offset
        )
    return _PARTITION_V5.pack(
        partition.partition_index,
        partition.error_code,
        partition.high_watermark,
        partition.last_stable_offset,
        partition.log_start_offset,
    )


def _flexible_topics(packer: _Packer, topics: Sequence[FetchableTopicResponse], version: int) -> None:
    packer.fields += uvarint(len(topics) + 1)
    for topic in topics:
        if version >= _FIRST_WITH_TOPIC_ID:
            packer.fields += topic.topic_id.bytes
        else:
            packer.fields += _compact_string(topic.topic)
        packer.fields += uvarint(len(topic.partitions) + 1)
        for partition in topic.partitions:
            _flexible_partition(packer, partition, version)
        packer.fields += b"\0"


def _flexible_partition(packer: _Packer, partition: PartitionData, version: int) -> None:
    out = packer.fields
    out += _fixed_fields(partition, version)
    aborted = partition.aborted_transactions
    if aborted is None:
        out += b"\0"
    else:
        out += uvarint(len(aborted) + 1)
        for transaction in aborted:
            out += _ABORTED.pack(transaction.producer_id, transaction.first_offset)
            out += b"\0"
    out += _INT32.pack(partition.preferred_read_replica)
    buffers = _buffers_of(partition)
    out += uvarint(sum(map(len, buffers)) + 1)
    packer.records(buffers)
    packer.fields += _partition_tags(partition)


def _partition_tags(partition: PartitionData) -> bytes:
    """Diverging epoch (tag 0), current leader (1), snapshot id (2); each only where it says anything."""
    tags = []
    diverging, leader, snapshot = partition.diverging_epoch, partition.current_leader, partition.snapshot_id
    if (diverging.epoch, diverging.end_offset) != (-1, -1):
        tags.append(b"\x00\x0d" + _EPOCH_END.pack(diverging.epoch, diverging.end_offset) + b"\0")
    if (leader.leader_id, leader.leader_epoch) != (-1, -1):
        tags.append(b"\x01\x09" + _LEADER.pack(leader.leader_id, leader.leader_epoch) + b"\0")
    if (snapshot.end_offset, snapshot.epoch) != (-1, -1):
        tags.append(b"\x02\x0d" + _SNAPSHOT.pack(snapshot.end_offset, snapshot.epoch) + b"\0")
    return bytes((len(tags),)) + b"".join(tags)


def _endpoints(nodes: Sequence[NodeEndpoint]) -> bytes:
    """The tagged fields of the whole answer: where the current leaders are (tag 0), when there is any."""
    if not nodes:
        return b"\0"
    packed = uvarint(len(nodes) + 1) + b"".join(
        _INT32.pack(node.node_id)
        + _compact_string(node.host)
        + _INT32.pack(node.port)
        + (b"\0" if node.rack is None else _compact_string(node.rack))
        + b"\0"
        for node in nodes
    )
    return b"\x01\x00" + uvarint(len(packed)) + packed


def _compact_string(text: str) -> bytes:
    encoded = text.encode()
    return uvarint(len(encoded) + 1) + encoded
