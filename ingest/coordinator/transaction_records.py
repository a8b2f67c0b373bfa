"""What is known of a transactional id, to records of `__transaction_state` and back: Kafka's, in version 0.

That version has no place for the producer id and epoch before, so an InitProducerId whose answer was lost is not
recognised by another coordinator than the one that gave it. Version 1 is read as well.
"""

import struct
from typing import Any, NamedTuple

from infra.partition import TopicPartition
from infra.store.port import Buffer
from infra.wire.codec import Malformed, decode_whole, encode
from infra.wire.messages.transaction_log import PartitionsSchema, TransactionLogKey, TransactionLogValue
from ingest.coordinator.transaction import NO_PRODUCER, TransactionRecord
from ingest.coordinator.transaction_state import TransactionState

_VERSION = struct.Struct(">h")
_KEY = 0
_VALUE = 0


class TransactionChange(NamedTuple):
    """What the log says of a transactional id; None: it is forgotten."""

    transactional_id: str
    record: TransactionRecord | None


def encode_change(change: TransactionChange) -> tuple[bytes, bytes | None]:
    """Key and value of the record that says so."""
    key = _versioned(TransactionLogKey(transactional_id=change.transactional_id), _KEY)
    return key, None if change.record is None else _versioned(_value(change.record), _VALUE)


def decode_change(key: Buffer | None, value: Buffer | None) -> TransactionChange | None:
    """What a record says; None for kinds of record that this version does not know.

    Raises `infra.wire.codec.Malformed` when the bytes are not what their version says, `Refused` for a value of a
    newer version.
    """
    if key is None or len(key) < _VERSION.size or _VERSION.unpack_from(key)[0] != _KEY:
        return None
    name = decode_whole(TransactionLogKey, _KEY, memoryview(key), _VERSION.size).transactional_id
    return TransactionChange(name, None if value is None else _record(value))


def _value(record: TransactionRecord) -> TransactionLogValue:
    return TransactionLogValue(
        producer_id=record.producer_id,
        producer_epoch=record.epoch,
        transaction_timeout_ms=record.timeout_ms,
        transaction_status=record.state,
        transaction_partitions=None if record.state is TransactionState.EMPTY else _by_topic(record.partitions),
        transaction_last_update_timestamp_ms=record.updated_ms,
        transaction_start_timestamp_ms=record.started_ms,
    )


def _by_topic(partitions: frozenset[TopicPartition]) -> list[PartitionsSchema]:
    topics: dict[str, list[int]] = {}
    for topic, partition in sorted(partitions):
        topics.setdefault(topic, []).append(partition)
    return [PartitionsSchema(topic=topic, partition_ids=numbers) for topic, numbers in topics.items()]


def _record(value: Buffer) -> TransactionRecord:
    if len(value) < _VERSION.size:
        raise Malformed("a transaction's value has no version")
    stored = decode_whole(TransactionLogValue, _VERSION.unpack_from(value)[0], memoryview(value), _VERSION.size)
    if stored.transaction_status not in (state.value for state in TransactionState):
        raise Malformed(f"a transaction has state {stored.transaction_status}")
    return TransactionRecord(
        producer_id=stored.producer_id,
        epoch=stored.producer_epoch,
        previous_producer_id=NO_PRODUCER,
        timeout_ms=stored.transaction_timeout_ms,
        state=TransactionState(stored.transaction_status),
        partitions=frozenset(
            (one.topic, partition) for one in stored.transaction_partitions or () for partition in one.partition_ids
        ),
        started_ms=stored.transaction_start_timestamp_ms,
        updated_ms=stored.transaction_last_update_timestamp_ms,
    )


def _versioned(message: Any, version: int) -> bytes:
    return _VERSION.pack(version) + encode(message, version)
