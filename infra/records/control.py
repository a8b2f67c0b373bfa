"""Control batches: the markers that end a transaction in a partition."""

import struct
from dataclasses import dataclass

from infra.errors import Corrupt
from infra.records.batch import BatchHeader
from infra.records.decode import decode_batch
from infra.records.encode import encode_batch
from infra.records.record import Record
from infra.store.port import Buffer

ABORT, COMMIT = 0, 1
_KEY = struct.Struct(">hh")  # version, type
_VALUE = struct.Struct(">hi")  # version, coordinator epoch


@dataclass(frozen=True, slots=True)
class Marker:
    """How a transaction of a producer ended, as its coordinator has decided."""

    producer_id: int
    producer_epoch: int
    coordinator_epoch: int
    commit: bool


def encode_marker(marker: Marker, timestamp: int) -> bytearray:
    """A control batch of one marker, for a leader to stamp; `timestamp` in ms."""
    key = _KEY.pack(0, COMMIT if marker.commit else ABORT)
    value = _VALUE.pack(0, marker.coordinator_epoch)
    return encode_batch(
        [Record(0, timestamp, key, value)],
        producer_id=marker.producer_id,
        producer_epoch=marker.producer_epoch,
        transactional=True,
        control=True,
    )


def decode_marker(batch: Buffer) -> Marker | None:
    """The marker in a control batch, None for a control record of another type. Raises `Corrupt`."""
    records = decode_batch(batch)
    if len(records) != 1 or len(records[0].key or b"") < _KEY.size:
        raise Corrupt(f"a control batch has one record with a key, not {len(records)}")
    _, kind = _KEY.unpack_from(records[0].key or b"")
    if kind not in (ABORT, COMMIT):
        return None
    value = records[0].value or b""
    if len(value) < _VALUE.size:
        raise Corrupt(f"a marker's value has {_VALUE.size} bytes, not {len(value)}")
    header = BatchHeader.parse(batch)
    return Marker(header.producer_id, header.producer_epoch, _VALUE.unpack_from(value)[1], kind == COMMIT)
