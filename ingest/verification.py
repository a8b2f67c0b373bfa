"""Asks whether a batch may begin a transaction in a partition, and keeps each producer's batches in order meanwhile.

The first transactional batch of a producer in a partition waits for its coordinator; what the producer sends after it
must not pass. Those that go on with an open transaction are asked about nothing.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from infra.clock import SYSTEM_CLOCK, Clock
from infra.error_code import ErrorCode
from infra.errors import CauceError, Unavailable
from infra.partition import PartitionId, TopicPartition
from infra.ports import TransactionCheck, Verification
from infra.records.batch import TRANSACTIONAL, BatchHeader
from ingest.observer import IngestObserver


class TransactionalLog(Protocol):
    """What is needed of `ingest.partition_log.PartitionLog`."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> PartitionId: ...
    def must_be_verified(self, header: BatchHeader) -> bool: ...
    def begin_verification(self, producer_id: int) -> Verification: ...


class Beginning(NamedTuple):
    """A batch that would begin a transaction in its partition."""

    log: TransactionalLog
    header: BatchHeader

    @property
    def name(self) -> TopicPartition:
        """As coordinators know the partition."""
        return self.log.topic, self.log.partition.partition


class Unverified(CauceError):
    """A coordinator does not know the partition in an open transaction of the producer, or cannot say so now."""

    def __init__(self, code: ErrorCode, message: str = "") -> None:
        super().__init__(message or code.name)
        self.code = code


class NoTransactions:
    """A `TransactionCheck` of a node that coordinates none: no partition is in an open transaction."""

    async def verify(
        self, transactional_id: str, producer_id: int, producer_epoch: int, partitions: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, ErrorCode]:
        """INVALID_TXN_STATE for each."""
        return dict.fromkeys(partitions, ErrorCode.INVALID_TXN_STATE)


class Verifier:
    """One a node, for all who append what clients send in transactions."""

    def __init__(
        self,
        check: TransactionCheck,
        behind: Callable[[], Sequence[int]] = tuple,
        *,
        clock: Clock = SYSTEM_CLOCK,
        observer: IngestObserver | None = None,
    ) -> None:
        """`behind()`: ids of the live nodes of an earlier release, which could not read what transactions leave: while
        there are any, none begins in a partition."""
        self._check = check
        self._behind = behind
        self._clock = clock
        self._observer = observer or IngestObserver()
        self._last: dict[int, asyncio.Future[None]] = {}  # by producer id: when the last one in its line is through

    def is_free(self, producer_id: int) -> bool:
        """Whether nothing of a producer waits."""
        return producer_id not in self._last

    @contextlib.asynccontextmanager
    async def turn(self, producer_id: int) -> AsyncIterator[None]:
        """Wait until what the producer sent before is appended or refused; what it sends next waits for the body."""
        before = self._last.get(producer_id)
        through = self._last[producer_id] = asyncio.get_running_loop().create_future()
        try:
            if before is not None:
                await asyncio.wait([before])
            yield
        finally:
            if before is None or before.done():
                self._leave(producer_id, through)
            else:
                before.add_done_callback(lambda _: self._leave(producer_id, through))

    def _leave(self, producer_id: int, through: "asyncio.Future[None]") -> None:
        through.set_result(None)
        if self._last.get(producer_id) is through:
            del self._last[producer_id]

    async def verify(
        self, transactional_id: str, beginnings: Sequence[Beginning], seconds: float
    ) -> list[Verification | Unverified]:
        """Ask about batches of one producer; for each what to append it with, or why not.

        The coordinator has so many seconds; who waits no longer is told NETWORK_EXCEPTION, as of one that is away.
        """
        if not beginnings:
            return []
        behind = list(self._behind())
        if behind:
            waits = f"transactions wait until nodes of an earlier release are upgraded: {behind}"
            return [Unverified(ErrorCode.COORDINATOR_NOT_AVAILABLE, waits) for _ in beginnings]
        header = beginnings[0].header
        asked = [one.log.begin_verification(header.producer_id) for one in beginnings]
        names = [one.name for one in beginnings]
        begun = self._clock.monotonic()
        try:
            async with asyncio.timeout(seconds):
                known = await self._check.verify(transactional_id, header.producer_id, header.producer_epoch, names)
        except (TimeoutError, Unavailable) as error:
            failed = Unverified(ErrorCode.NETWORK_EXCEPTION, f"the coordinator of {transactional_id!r}: {error}")
            return [failed for _ in names]
        finally:
            self._observer.verified(self._clock.monotonic() - begun)
        codes = [known.get(name, ErrorCode.INVALID_TXN_STATE) for name in names]
        return [
            verification if code is ErrorCode.NONE else Unverified(code)
            for verification, code in zip(asked, codes, strict=True)
        ]


def without_sequence(producer_id: int, producer_epoch: int) -> BatchHeader:
    """The header of what a coordinator appends in a producer's transaction, as far as it matters here."""
    return BatchHeader(0, 0, -1, 2, 0, TRANSACTIONAL, 0, -1, -1, producer_id, producer_epoch, -1, 1)
