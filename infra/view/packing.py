"""How the Redis view packs its values: short, fixed layouts that Lua scripts compare without decoding them whole.

Integers are big-endian. Scripts read only the first fields (offsets, leader epoch); whoever changes a layout here
changes `scripts/*.lua` with it. Knows nothing of keys or connections.
"""

import json
import struct
from uuid import UUID

from infra.partition import Lease, PartitionId, SessionId
from infra.segment.extent import AbortedTransaction, Extent, ProducerEntry
from infra.view.port import LiveSession, OffsetKey, OffsetRow

# base offset, last offset, leader epoch | batches, records, size, max timestamp, first row; the segment's key follows,
# and where there are any, a byte that no UTF-8 has and the aborted transactions
_EXTENT = struct.Struct(">qqiIIqqI")
_PRODUCER = struct.Struct(">hqB")  # producer epoch, last timestamp, number of batches
_PRODUCER_BATCH = struct.Struct(">iiqq")  # base sequence, last sequence, base offset, timestamp
_PRODUCER_TRANSACTION = struct.Struct(">iq")  # coordinator epoch, first offset; behind the batches, where it says more
_ABORTED = struct.Struct(">qqq")  # producer id, first offset, last offset
_NO_UTF8 = b"\xff"
_STATE = struct.Struct(">qiI")  # end offset, leader epoch, how often the extents were replaced or trimmed
_LEADER = struct.Struct(">iii")  # leader epoch, node id (-1: released), node epoch
_APPLIED = struct.Struct(">qi")  # applied up to (exclusive), leader epoch
_OFFSET = struct.Struct(">qiqq")  # offset, leader epoch, commit timestamp, expire timestamp; the metadata follows
_OFFSET_KEY = struct.Struct(">iH")  # partition, length of the group in bytes; group and topic follow
_INT64 = struct.Struct(">q")

RELEASED = -1
_UNSAID_FORMATS = 1  # of a node whose release says nothing of them


def pack_int64(value: int) -> bytes:
    """Eight bytes, as scripts compare them."""
    return _INT64.pack(value)


def unpack_int64(packed: bytes) -> int:
    """The number that `pack_int64` packed."""
    return int(_INT64.unpack(packed)[0])


def partition_name(partition: PartitionId) -> bytes:
    """The name of a partition as field and in keys: `<topic id>-<partition>`."""
    return str(partition).encode()


def parse_partition(name: bytes) -> PartitionId:
    """The partition that `partition_name` named."""
    text = name.decode()
    return PartitionId(UUID(text[:36]), int(text[37:]))


def pack_extent(extent: Extent) -> bytes:
    """About 100 bytes: everything of an extent but its partition, which the key names."""
    head = _EXTENT.pack(
        extent.base_offset,
        extent.last_offset,
        extent.leader_epoch,
        extent.batches,
        extent.records,
        extent.size,
        extent.max_timestamp,
        extent.first_row,
    )
    name = extent.segment.encode()
    if not extent.aborted:
        return head + name
    aborted = [_ABORTED.pack(one.producer_id, one.first_offset, one.last_offset) for one in extent.aborted]
    return b"".join((head, name, _NO_UTF8, *aborted))


def unpack_extent(partition: PartitionId, packed: bytes) -> Extent:
    """The extent that `pack_extent` packed."""
    base, last, epoch, batches, records, size, max_timestamp, first_row = _EXTENT.unpack_from(packed)
    segment, _, aborted = packed[_EXTENT.size :].partition(_NO_UTF8)
    return Extent(
        partition=partition,
        segment=segment.decode(),
        base_offset=base,
        last_offset=last,
        leader_epoch=epoch,
        batches=batches,
        records=records,
        size=size,
        max_timestamp=max_timestamp,
        first_row=first_row,
        aborted=tuple(AbortedTransaction(*one) for one in _ABORTED.iter_unpack(aborted)),
    )


def pack_producer(entry: ProducerEntry) -> bytes:
    """A producer's state without its id, which is the field's name (`pack_int64`)."""
    head = _PRODUCER.pack(entry.producer_epoch, entry.last_timestamp, len(entry.batches))
    batches = [_PRODUCER_BATCH.pack(*batch) for batch in entry.batches]
    if entry.coordinator_epoch < 0 and not entry.in_transaction:
        return b"".join((head, *batches))
    transaction = _PRODUCER_TRANSACTION.pack(entry.coordinator_epoch, entry.transaction_first_offset)
    return b"".join((head, *batches, transaction))


def unpack_producer(producer_id: bytes, packed: bytes) -> ProducerEntry:
    """The entry that `pack_producer` packed under `producer_id`."""
    epoch, last_timestamp, count = _PRODUCER.unpack_from(packed)
    batches = tuple(
        _PRODUCER_BATCH.unpack_from(packed, _PRODUCER.size + index * _PRODUCER_BATCH.size) for index in range(count)
    )
    end = _PRODUCER.size + count * _PRODUCER_BATCH.size
    if len(packed) == end:
        return ProducerEntry(unpack_int64(producer_id), epoch, batches, last_timestamp)
    transaction = _PRODUCER_TRANSACTION.unpack_from(packed, end)
    return ProducerEntry(unpack_int64(producer_id), epoch, batches, last_timestamp, *transaction)


def unpack_state(packed: bytes | None) -> tuple[int, int, int]:
    """(end offset, leader epoch, times replaced) of a partition; of an unknown one (0, -1, 0)."""
    return _STATE.unpack(packed) if packed else (0, -1, 0)


def pack_leader(lease: Lease) -> bytes:
    """Who leads at which leader epoch."""
    return _LEADER.pack(lease.leader_epoch, lease.session.node_id, lease.session.node_epoch)


def unpack_leader(partition: PartitionId, packed: bytes) -> Lease | None:
    """The lease; None for one that was released."""
    epoch, node_id, node_epoch = _LEADER.unpack(packed)
    return None if node_id == RELEASED else Lease(partition, SessionId(node_id, node_epoch), epoch)


def unpack_applied(packed: bytes | None) -> int:
    """How far the consumer offsets of a partition are applied; 0 when nothing is."""
    return int(_APPLIED.unpack(packed)[0]) if packed else 0


def pack_offset_key(key: OffsetKey) -> bytes:
    """The field of a committed offset."""
    group, topic, partition = key
    name = group.encode()
    return _OFFSET_KEY.pack(partition, len(name)) + name + topic.encode()


def unpack_offset_key(packed: bytes) -> OffsetKey:
    """The key that `pack_offset_key` packed."""
    partition, length = _OFFSET_KEY.unpack_from(packed)
    split = _OFFSET_KEY.size + length
    return packed[_OFFSET_KEY.size : split].decode(), packed[split:].decode(), partition


def pack_offset(row: OffsetRow) -> bytes:
    """A committed offset without its key."""
    head = _OFFSET.pack(row.offset, row.leader_epoch, row.commit_timestamp, row.expire_timestamp)
    return head + row.metadata.encode()


def unpack_offset(packed: bytes) -> OffsetRow:
    """The row that `pack_offset` packed."""
    offset, epoch, commit, expire = _OFFSET.unpack_from(packed)
    return OffsetRow(offset, epoch, packed[_OFFSET.size :].decode(), commit, expire)


def pack_session(live: LiveSession) -> bytes:
    """What a session says of itself, as JSON; its node id and node epoch stand beside it."""
    said = {
        "endpoints": dict(live.endpoints),
        "rack": live.rack,
        "roles": sorted(live.roles),
        "formats": live.formats,
    }
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def unpack_session(session: SessionId, packed: bytes) -> LiveSession:
    """The session that `pack_session` packed, of this release or another."""
    said = json.loads(packed)
    formats = int(said.get("formats", _UNSAID_FORMATS))
    return LiveSession(session, said["endpoints"], said["rack"], frozenset(said["roles"]), formats)
