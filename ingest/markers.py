"""Writes the markers that end transactions into the partitions that this node leads.

Each is an ordinary append, durable as its topic is before it is answered.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from infra.clock import SYSTEM_CLOCK, Clock
from infra.error_code import ErrorCode
from infra.errors import CauceError, Unavailable
from infra.partition import PartitionId
from infra.ports import LogAppender
from infra.records.control import Marker, encode_marker
from ingest.leaders import Leaders

_log = logging.getLogger(__name__)


class MarkerListener(Protocol):
    """Who follows what transactions do to a partition: the coordinator of the groups in it."""

    async def on_marker(self, partition: PartitionId, marker: Marker, offset: int) -> None:
        """A marker lies at `offset`, below the high watermark. Answers when it is followed, or will be by itself."""


class MarkerWriter:
    """One a node."""

    def __init__(self, leaders: Leaders, listener: MarkerListener | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self._leaders = leaders
        self._appender: LogAppender = leaders
        self._listener = listener
        self._clock = clock
        self._tasks: set[asyncio.Task[ErrorCode]] = set()

    async def write(self, marker: Marker, partitions: Sequence[PartitionId]) -> dict[PartitionId, ErrorCode]:
        """End a producer's transaction in these partitions, all at once; NONE for each where the marker is durable.

        Else INVALID_PRODUCER_EPOCH or TRANSACTION_COORDINATOR_FENCED, which are final, NOT_LEADER_OR_FOLLOWER, or
        REQUEST_TIMED_OUT where the outcome is unknown; INVALID_REQUEST for a marker of no producer. Whoever leaves
        ends no append that has begun.
        """
        if marker.producer_id < 0 or marker.producer_epoch < 0:
            return dict.fromkeys(partitions, ErrorCode.INVALID_REQUEST)
        tasks = [asyncio.create_task(self._write(marker, partition)) for partition in partitions]
        for task in tasks:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        codes = await asyncio.gather(*map(asyncio.shield, tasks))
        return dict(zip(partitions, codes, strict=True))

    async def _write(self, marker: Marker, partition: PartitionId) -> ErrorCode:
        try:
            leader_epoch = self._leaders.log(partition).leader_epoch
            batch = encode_marker(marker, self._clock.now_ms())
            offset = await self._appender.append(partition, leader_epoch, [batch])
        except CauceError as error:
            level = logging.DEBUG if isinstance(error, Unavailable) else logging.INFO
            _log.log(level, "the end of a transaction of producer %d: %s", marker.producer_id, error)
            return error.code
        if self._listener is not None:
            await self._listener.on_marker(partition, marker, offset)
        return ErrorCode.NONE
