"""The records of `__transaction_state` as Kafka writes them; key and value each stand behind their version (int16)."""

from infra.wire.message import array, int8, int16, int32, int64, message, string, struct


@message("0")
class TransactionLogKey:
    """Which transactional id."""

    transactional_id: str = string()


@struct
class PartitionsSchema:
    """An element of `TransactionLogValue.transaction_partitions`."""

    topic: str = string()
    partition_ids: list[int] = array("int32")


@message("0-1", flexible="1+")
class TransactionLogValue:
    """State of a transactional id; 0 is what is written unless a tagged field is needed."""

    producer_id: int = int64()
    previous_producer_id: int = int64("1+", tag=0, default=-1)
    next_producer_id: int = int64("1+", tag=1, default=-1)
    producer_epoch: int = int16()
    transaction_timeout_ms: int = int32()
    transaction_status: int = int8()
    transaction_partitions: list[PartitionsSchema] | None = array(PartitionsSchema, nullable="0+")
    transaction_last_update_timestamp_ms: int = int64()
    transaction_start_timestamp_ms: int = int64()
    client_transaction_version: int = int16("1+", tag=2)
