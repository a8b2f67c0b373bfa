"""Carries out a Fetch: plans every partition, waits until there is enough to answer, reads what is cold.

Knows partitions and bytes, not the wire: the handler turns its answers into a response.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from infra.error_code import ErrorCode
from infra.errors import CauceError, Corrupt, Refused, Unavailable
from infra.partition import PartitionId
from infra.ports import LogReader, TailSource
from reader.epochs import check_leader_epoch, end_of_epoch
from reader.fetch_plan import SegmentRead, TailRead, check_offset, plan_read
from reader.segment_reader import SegmentReader


@dataclass(frozen=True, slots=True)
class PartitionFetch:
    """What is asked of one partition; `refused` when it could not be resolved to one."""

    partition: PartitionId
    offset: int
    max_bytes: int
    current_leader_epoch: int = -1
    last_fetched_epoch: int = -1
    refused: ErrorCode = ErrorCode.NONE


@dataclass(slots=True)
class Fetched:
    """What is answered for one partition."""

    error: ErrorCode = ErrorCode.NONE
    high_watermark: int = -1
    last_stable_offset: int = -1
    log_start_offset: int = -1
    diverging: tuple[int, int] | None = None  # (epoch, end offset), KIP-595
    batches: list[memoryview] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of record batches."""
        return sum(map(len, self.batches))


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """When a Fetch is answered, and with how much."""

    max_wait_seconds: float
    min_bytes: int
    max_bytes: int
    read_committed: bool


class Fetcher:
    """Serves fetches of the partitions this node leads."""

    def __init__(self, tails: TailSource, segments: SegmentReader) -> None:
        self._tails = tails
        self._segments = segments

    async def fetch(self, wanted: Sequence[PartitionFetch], limits: FetchLimits) -> list[Fetched]:
        """Answers in the order of `wanted`. Waits for min_bytes, at most max_wait_seconds (KIP-74, pitfall 10)."""
        pass_ = _Pass(self._tails, wanted, limits)
        if not pass_.complete and limits.max_wait_seconds > 0:
            pass_ = await self._wait(pass_, wanted, limits)
        await self._read_segments(pass_)
        return pass_.answers

    async def _wait(self, pass_: "_Pass", wanted: Sequence[PartitionFetch], limits: FetchLimits) -> "_Pass":
        moved = asyncio.Event()
        unsubscribe: list[Callable[[], None]] = [log.on_advance(moved.set) for log in pass_.logs]
        try:
            async with asyncio.timeout(limits.max_wait_seconds):
                while not pass_.complete:
                    await moved.wait()
                    moved.clear()
                    pass_ = _Pass(self._tails, wanted, limits)
        except TimeoutError:
            pass_ = _Pass(self._tails, wanted, limits)
        finally:
            for stop in unsubscribe:
                stop()
        return pass_

    async def _read_segments(self, pass_: "_Pass") -> None:
        async def read(answer: Fetched, plan: SegmentRead) -> None:
            try:
                answer.batches = await self._segments.read(plan)
            except Unavailable:
                # An empty answer makes the client ask again; there is no retriable error that says "slow store".
                answer.batches = []
            except Corrupt:
                answer.error = ErrorCode.KAFKA_STORAGE_ERROR
            except CauceError:
                answer.error = ErrorCode.NOT_LEADER_OR_FOLLOWER

        await asyncio.gather(*(read(answer, plan) for answer, plan in pass_.cold))


class _Pass:
    """One look at every partition, without waiting: hot answers at once, cold ones as plans."""

    def __init__(self, tails: TailSource, wanted: Sequence[PartitionFetch], limits: FetchLimits) -> None:
        self._tails = tails
        self._limits = limits
        self._left = limits.max_bytes
        self._size = 0
        self._failed = False
        self.logs: list[LogReader] = []
        self.cold: list[tuple[Fetched, SegmentRead]] = []
        self.answers = [self._look(fetch) for fetch in wanted]

    @property
    def complete(self) -> bool:
        """Enough to answer: bytes, an error, or nothing left to give."""
        return self._failed or self._size >= self._limits.min_bytes or not self.answers

    def _look(self, fetch: PartitionFetch) -> Fetched:
        answer = Fetched(error=fetch.refused)
        try:
            if fetch.refused is ErrorCode.NONE:
                self._read(fetch, answer)
        except CauceError as error:
            answer = Fetched(error=error.code)
        self._failed = self._failed or answer.error is not ErrorCode.NONE
        return answer

    def _read(self, fetch: PartitionFetch, answer: Fetched) -> None:
        log = self._tails.log(fetch.partition)
        check_leader_epoch(log, fetch.current_leader_epoch)
        check_offset(log, fetch.offset)
        self.logs.append(log)
        answer.high_watermark = log.high_watermark
        answer.last_stable_offset = log.last_stable_offset
        answer.log_start_offset = log.log_start_offset
        if self._diverges(log, fetch, answer):
            return
        upto = log.last_stable_offset if self._limits.read_committed else log.high_watermark
        limit = min(fetch.max_bytes, self._left)
        plan = plan_read(log, fetch.offset, limit, upto, at_least_one=self._size == 0)
        if isinstance(plan, TailRead):
            answer.batches = plan.batches
            size = answer.size
        else:
            self.cold.append((answer, plan))
            size = plan.expected_bytes
        self._left -= size
        self._size += size

    def _diverges(self, log: LogReader, fetch: PartitionFetch, answer: Fetched) -> bool:
        if fetch.last_fetched_epoch < 0:
            return False
        epoch, end = end_of_epoch(log, fetch.last_fetched_epoch)
        if epoch < 0:
            raise Refused(ErrorCode.OFFSET_OUT_OF_RANGE, "unknown last fetched epoch")
        if epoch < fetch.last_fetched_epoch or end < fetch.offset:
            answer.diverging = (epoch, end)
            self._failed = True
            return True
        return False
