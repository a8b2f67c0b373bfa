"""Produce requests (v3 to v11), read by hand because they are the hot path in.

Gives the same values as the generic codec. Record bytes stay memoryviews of the frame, writable as it is: appending
stamps base offset and leader epoch in place. The work is per partition, whatever the number of records; nothing here
looks into a record batch.
"""

import struct

from infra.wire.codec import Malformed
from infra.wire.codec_primitives import read_uvarint, skip_tags
from infra.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData

FIRST_VERSION = 3
LAST_VERSION = 11
_FIRST_FLEXIBLE = 9

_INT16 = struct.Struct(">h")
_INT32 = struct.Struct(">i")
_ACKS_AND_TIMEOUT = struct.Struct(">hi")
_INDEX_AND_LENGTH = struct.Struct(">ii")

# No honest element is shorter than this, so a count that the frame cannot hold is refused before anything is made.
_SHORTEST_TOPIC_BYTES = 2
_SHORTEST_PARTITION_BYTES = 5


def decode_produce_request(version: int, buffer: memoryview, position: int) -> tuple[ProduceRequest, int]:
    """The request that begins at `position` (behind the header), and the position after it. Raises `Malformed`."""
    try:
        if version >= _FIRST_FLEXIBLE:
            return _decode_flexible(buffer, position)
        return _decode_classic(buffer, position)
    except (struct.error, IndexError) as error:
        raise Malformed(f"ProduceRequest v{version}: ends too early") from error
    except UnicodeDecodeError as error:
        raise Malformed(f"ProduceRequest v{version}: a string is not UTF-8") from error


def _decode_classic(buffer: memoryview, position: int) -> tuple[ProduceRequest, int]:
    transactional_id, position = _read_string(buffer, position)
    acks, timeout_ms = _ACKS_AND_TIMEOUT.unpack_from(buffer, position)
    count, position = _read_count(buffer, position + 6, _SHORTEST_TOPIC_BYTES)
    topics = []
    for _ in range(count):
        name, position = _read_string(buffer, position)
        partitions, position = _read_partitions(buffer, position)
        topics.append(TopicProduceData(name=_required(name), partition_data=partitions))
    request = ProduceRequest(transactional_id=transactional_id, acks=acks, timeout_ms=timeout_ms, topic_data=topics)
    return request, position


def _read_partitions(buffer: memoryview, position: int) -> tuple[list[PartitionProduceData], int]:
    count, position = _read_count(buffer, position, _SHORTEST_PARTITION_BYTES)
    partitions = []
    for _ in range(count):
        index, length = _INDEX_AND_LENGTH.unpack_from(buffer, position)
        position += 8
        records = None
        if length >= 0:
            records, position = _read_bytes(buffer, position, length)
        elif length != -1:
            raise Malformed(f"records of {length} bytes")
        partitions.append(PartitionProduceData(index=index, records=records))
    return partitions, position


def _decode_flexible(buffer: memoryview, position: int) -> tuple[ProduceRequest, int]:
    transactional_id, position = _read_compact_string(buffer, position)
    acks, timeout_ms = _ACKS_AND_TIMEOUT.unpack_from(buffer, position)
    count, position = _read_compact_count(buffer, position + 6, _SHORTEST_TOPIC_BYTES)
    topics = []
    for _ in range(count):
        name, position = _read_compact_string(buffer, position)
        partitions, position = _read_compact_partitions(buffer, position)
        position = skip_tags(buffer, position, len(buffer))
        topics.append(TopicProduceData(name=_required(name), partition_data=partitions))
    request = ProduceRequest(transactional_id=transactional_id, acks=acks, timeout_ms=timeout_ms, topic_data=topics)
    return request, skip_tags(buffer, position, len(buffer))


def _read_compact_partitions(buffer: memoryview, position: int) -> tuple[list[PartitionProduceData], int]:
    count, position = _read_compact_count(buffer, position, _SHORTEST_PARTITION_BYTES)
    partitions = []
    for _ in range(count):
        (index,) = _INT32.unpack_from(buffer, position)
        length, position = read_uvarint(buffer, position + 4)
        records = None
        if length:
            records, position = _read_bytes(buffer, position, length - 1)
        position = skip_tags(buffer, position, len(buffer))
        partitions.append(PartitionProduceData(index=index, records=records))
    return partitions, position


def _read_bytes(buffer: memoryview, position: int, length: int) -> tuple[memoryview, int]:
    end = position + length
    if end > len(buffer):
        raise Malformed(f"{length} bytes announced at {position}, the frame has {len(buffer)}")
    return buffer[position:end], end


def _read_string(buffer: memoryview, position: int) -> tuple[str | None, int]:
    (length,) = _INT16.unpack_from(buffer, position)
    if length == -1:
        return None, position + 2
    if length < 0:
        raise Malformed(f"a string of {length} bytes")
    view, end = _read_bytes(buffer, position + 2, length)
    return str(view, "utf-8"), end


def _read_compact_string(buffer: memoryview, position: int) -> tuple[str | None, int]:
    length, position = read_uvarint(buffer, position)
    if length == 0:
        return None, position
    view, end = _read_bytes(buffer, position, length - 1)
    return str(view, "utf-8"), end


def _required(name: str | None) -> str:
    if name is None:
        raise Malformed("a topic without a name")
    return name


def _read_count(buffer: memoryview, position: int, shortest: int) -> tuple[int, int]:
    (count,) = _INT32.unpack_from(buffer, position)
    return _plausible(count, buffer, position + 4, shortest), position + 4


def _read_compact_count(buffer: memoryview, position: int, shortest: int) -> tuple[int, int]:
    count, position = read_uvarint(buffer, position)
    return _plausible(count - 1, buffer, position, shortest), position


def _plausible(count: int, buffer: memoryview, position: int, shortest: int) -> int:
    if not 0 <= count <= (len(buffer) - position) // shortest:
        raise Malformed(f"an array of {count} elements cannot stand at {position} of {len(buffer)} bytes")
    return count
