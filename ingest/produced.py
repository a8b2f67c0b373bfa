"""Judges what a producer sent for one partition before it may be appended, by the topic's settings.

Headers only, whatever the number of records; two rare cases look into them: a compacted topic, where every record
needs a key, and clients that leave the max timestamp unset. Plain: the time comes as an argument.
"""

from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

from infra.error_code import ErrorCode
from infra.errors import Corrupt, Refused
from infra.records.batch import BatchHeader, check_timestamp, split_batches, stamp_max_timestamp
from infra.records.decode import decode_batch
from infra.records.record import Record
from infra.store.port import Buffer
from infra.topic_config import TopicSettings
from ingest.appender import writable
from ingest.partition_log import Batch

_ZSTD = 4


class TopicTarget(NamedTuple):
    """A topic as the handlers of the write side need it."""

    topic_id: UUID
    partitions: int
    settings: TopicSettings


FindTopic = Callable[[str], TopicTarget | None]
"""A topic by its name, as this node last heard of it; None when there is none. No I/O."""


class BadRecords(Refused):
    """Some records of a batch are wrong; `indexes` counts them from 0 in the batch."""

    def __init__(self, indexes: list[int], why: str) -> None:
        super().__init__(ErrorCode.INVALID_RECORD, f"{len(indexes)} records were rejected: {why}")
        self.indexes = indexes
        self.why = why


def check_produced(records: Buffer | None, settings: TopicSettings, now_ms: int, *, zstd_allowed: bool) -> Batch:
    """The one record batch that a producer may send for a partition in one request, ready to be stamped.

    Raises `Refused` with Kafka's code for the fault.
    """
    if records is None:
        raise Refused(ErrorCode.INVALID_RECORD, "a record batch is needed")
    batches = split_batches(writable(records))
    if len(batches) != 1:
        raise Refused(ErrorCode.INVALID_RECORD, f"one record batch a partition is allowed, not {len(batches)}")
    header, batch = batches[0]
    if header.size > settings.max_message_bytes:
        raise Refused(
            ErrorCode.MESSAGE_TOO_LARGE,
            f"the record batch has {header.size} bytes, max.message.bytes is {settings.max_message_bytes}",
        )
    if header.codec == _ZSTD and not zstd_allowed:
        raise Refused(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, "zstd needs Produce v7 or later")
    if settings.compacted:
        _check_keys(batch)
    if not settings.log_append_time:
        header = _checked_timestamps(header, batch, settings, now_ms)
    return header, batch


def _check_keys(batch: memoryview) -> None:
    keyless = [index for index, record in enumerate(_decoded(batch)) if record.key is None]
    if keyless:
        raise BadRecords(keyless, "a compacted topic needs a key in every record")


def _checked_timestamps(header: BatchHeader, batch: memoryview, settings: TopicSettings, now_ms: int) -> BatchHeader:
    if header.lacks_max_timestamp:
        stamp_max_timestamp(batch, max(record.timestamp for record in _decoded(batch)))
        header = BatchHeader.parse(batch)
    before, after = settings.message_timestamp_before_max_ms, settings.message_timestamp_after_max_ms
    check_timestamp(header, now_ms, before, after)
    if header.base_timestamp != header.max_timestamp:
        check_timestamp(header._replace(max_timestamp=header.base_timestamp), now_ms, before, after)
    return header


def _decoded(batch: memoryview) -> list[Record]:
    try:
        return decode_batch(batch)
    except Corrupt as error:
        raise Refused(ErrorCode.INVALID_RECORD, str(error)) from error
