"""What lies above the record segments, asked of the leaders by Fetch: whole record batches of committed records."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from infra.clock import SYSTEM_CLOCK, Clock
from infra.error_code import ErrorCode
from infra.errors import NotFound, Refused, Unavailable
from infra.records.batch import HEADER_BYTES, BatchHeader, walk_batches
from infra.records.control import decode_marker
from infra.store.port import Buffer
from infra.wire.client import Client
from infra.wire.messages import fetch

_READ_COMMITTED = 1
_WAIT_MS = 500
_PAUSE_SECONDS = 0.2


class Fetched(NamedTuple):
    """Batches of one answer, aborted ones left out."""

    batches: list[Buffer]
    next_offset: int  # one past the last batch, of those left out too


class HotSource(Protocol):
    """Where record batches above the record segments come from."""

    async def fetch(self, partition: int, offset: int) -> Fetched:
        """Batches from the one that holds `offset` on. Raises `NotFound` when the log starts above it by now."""


class LeaderSource:
    """Asks the leaders of a topic, and looks for them anew when they change."""

    def __init__(
        self,
        client: Client,
        topic: str,
        topic_id: UUID,
        *,
        max_bytes: int = 16 << 20,
        patience_seconds: float = 60.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """An answer has about `max_bytes`; a leader may be away for `patience_seconds`, then `Unavailable`."""
        self._client = client
        self._topic = topic
        self._topic_id = topic_id
        self._max_bytes = max_bytes
        self._patience_seconds = patience_seconds
        self._clock = clock

    async def fetch(self, partition: int, offset: int) -> Fetched:
        begin = self._clock.monotonic()
        while True:
            try:
                answer = await self._ask(partition, offset)
                if answer.records:
                    return committed(joined(answer.records), answer.aborted_transactions or (), offset)
                trouble = Unavailable(f"{self._topic}-{partition} has nothing at offset {offset} below its end")
            except Unavailable as error:
                trouble = error
            if self._clock.monotonic() - begin > self._patience_seconds:
                raise trouble
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _ask(self, partition: int, offset: int) -> Any:
        wanted = fetch.FetchPartition(partition=partition, fetch_offset=offset, partition_max_bytes=self._max_bytes)
        request = fetch.FetchRequest(
            max_wait_ms=_WAIT_MS,
            min_bytes=1,
            max_bytes=self._max_bytes,
            isolation_level=_READ_COMMITTED,
            topics=[fetch.FetchTopic(topic=self._topic, topic_id=self._topic_id, partitions=[wanted])],
        )
        response = await self._client.to_leader(self._topic, partition, request)
        code = response.error_code or response.responses[0].partitions[0].error_code
        if code == ErrorCode.NONE:
            return response.responses[0].partitions[0]
        if code == ErrorCode.OFFSET_OUT_OF_RANGE:
            raise NotFound(f"offset {offset} of {self._topic}-{partition}")
        if code in (ErrorCode.UNKNOWN_TOPIC_ID, ErrorCode.TOPIC_AUTHORIZATION_FAILED, ErrorCode.CORRUPT_MESSAGE):
            raise Refused(ErrorCode(code), f"{self._topic}-{partition} cannot be read: {ErrorCode(code).name}")
        self._client.forget_leaders(self._topic)
        raise Unavailable(f"{self._topic}-{partition} cannot be read now: {ErrorCode(code).name}")


def joined(records: Any) -> memoryview:
    """The records of an answer as one buffer."""
    if isinstance(records, list | tuple):
        return memoryview(records[0] if len(records) == 1 else b"".join(records))
    return memoryview(records)


def committed(records: memoryview, aborted: Sequence[Any], offset: int) -> Fetched:
    """The whole batches of an answer without those of aborted transactions; `aborted` as Fetch lists them.

    A batch that the answer's end cuts off is left for the next one.
    """
    starts = sorted(aborted, key=lambda one: one.first_offset)
    open_aborted: set[int] = set()
    batches: list[Buffer] = []
    next_offset = offset
    for header, batch in walk_batches(_whole_part(records), check_crc=False):
        next_offset = header.next_offset
        while starts and starts[0].first_offset <= header.last_offset:
            open_aborted.add(starts.pop(0).producer_id)
        if header.is_control:
            marker = decode_marker(batch)
            if marker is not None and not marker.commit:
                open_aborted.discard(header.producer_id)
        elif not (header.is_transactional and header.producer_id in open_aborted):
            batches.append(batch)
    return Fetched(batches, next_offset)


def _whole_part(records: memoryview) -> memoryview:
    end = 0
    while len(records) - end >= HEADER_BYTES:
        size = BatchHeader.parse(records, end).size
        if size < HEADER_BYTES or end + size > len(records):
            break
        end += size
    return records[:end]
