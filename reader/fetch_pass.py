"""One look at every partition of a Fetch, without waiting: hot answers at once, cold ones as plans. No I/O."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from infra.error_code import ErrorCode
from infra.errors import CauceError, NotLeader, Refused
from infra.partition import PartitionId
from infra.ports import LogReader, TailSource
from infra.records.batch import BatchHeader
from infra.segment.extent import AbortedTransaction
from reader.epochs import check_leader_epoch, end_of_epoch
from reader.faults import code_of
from reader.fetch_plan import RecordRead, SegmentRead, TailRead, check_offset, plan_read


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
    reader: int = -1  # the node that this partition is better fetched from (KIP-392); nothing is given then
    batches: list[memoryview] = field(default_factory=list)
    aborted: Sequence[AbortedTransaction] = ()  # of which there are records among the batches, when asked for

    @property
    def size(self) -> int:
        """Bytes of record batches."""
        return sum(map(len, self.batches))

    def fail(self, error: ErrorCode) -> None:
        """Answer an error and nothing else."""
        self.error, self.diverging, self.batches, self.aborted = error, None, [], ()
        self.high_watermark = self.last_stable_offset = self.log_start_offset = -1


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """When a Fetch is answered, and with how much."""

    max_wait_seconds: float
    min_bytes: int
    max_bytes: int
    read_committed: bool

    def upto(self, log: LogReader) -> int:
        """The offset below which records are visible."""
        return log.last_stable_offset if self.read_committed else log.high_watermark


@dataclass(frozen=True, slots=True)
class ColdRead:
    """A plan still to be carried out, and where its batches go."""

    log: LogReader
    answer: Fetched
    plan: RecordRead | SegmentRead
    aborted: Sequence[AbortedTransaction] = ()  # known now; by the time of the read the extents may be replaced

    def gave(self, batches: list[memoryview]) -> None:
        """These were read."""
        self.answer.batches = batches
        if self.aborted and batches:
            upto = BatchHeader.parse(batches[-1]).next_offset
            self.answer.aborted = [one for one in self.aborted if one.first_offset < upto]


Refer = Callable[[PartitionFetch, bool], int]
"""Which node else should serve a partition, -1 for none; the second argument says whether it would be read cold."""


def refer_nobody(fetch: PartitionFetch, cold: bool) -> int:
    """All is served here."""
    return -1


class FetchPass:
    """All answers of one look; those of `cold` lack their batches. `segments` False leaves these empty instead."""

    def __init__(
        self,
        tails: TailSource,
        wanted: Sequence[PartitionFetch],
        limits: FetchLimits,
        *,
        segments: bool = True,
        refer: Refer = refer_nobody,
    ) -> None:
        self._tails = tails
        self._limits = limits
        self._refer = refer
        self._segments = segments
        self._left = limits.max_bytes
        self._size = 0
        self._urgent = False  # something to say that must not wait
        self._growing = False  # waiting can bring more
        self.logs: list[LogReader] = []
        self.cold: list[ColdRead] = []
        self.answers = [self._look(fetch) for fetch in wanted]

    @property
    def complete(self) -> bool:
        """Whether it is to be answered now: enough bytes, an error, or nothing to be gained by waiting."""
        return self._urgent or self._size >= self._limits.min_bytes or not self._growing

    def _look(self, fetch: PartitionFetch) -> Fetched:
        answer = Fetched(error=fetch.refused)
        try:
            if fetch.refused is ErrorCode.NONE:
                self._read(fetch, answer)
        except CauceError as error:
            answer.fail(code_of(error))
        if answer.error is ErrorCode.OFFSET_NOT_AVAILABLE:
            self._growing = True  # the leader's next answer may bring it
        elif answer.error is not ErrorCode.NONE or answer.diverging is not None or answer.reader >= 0:
            self._urgent = True
        return answer

    def _read(self, fetch: PartitionFetch, answer: Fetched) -> None:
        log = self._tails.log(fetch.partition)
        if log.closed:
            raise NotLeader(f"this node leads {fetch.partition} no more")
        self.logs.append(log)
        check_leader_epoch(log, fetch.current_leader_epoch)
        check_offset(log, fetch.offset)
        answer.high_watermark = log.high_watermark
        answer.last_stable_offset = log.last_stable_offset
        answer.log_start_offset = log.log_start_offset
        answer.diverging = _divergence(log, fetch)
        if answer.diverging is None:
            self._take(log, fetch, answer)

    def _take(self, log: LogReader, fetch: PartitionFetch, answer: Fetched) -> None:
        upto = self._limits.upto(log)
        limit = min(fetch.max_bytes, self._left)
        plan = plan_read(log, fetch.offset, limit, upto, at_least_one=self._size == 0)
        answer.reader = self._refer(fetch, not isinstance(plan, TailRead))
        if answer.reader >= 0:
            return
        if isinstance(plan, TailRead):
            answer.batches = plan.batches
            size = answer.size
            reached = BatchHeader.parse(plan.batches[-1]).next_offset if plan.batches else fetch.offset
            answer.aborted = self._aborted(log, fetch.offset, reached)
            self._growing = self._growing or reached >= upto
        elif self._segments:
            self.cold.append(ColdRead(log, answer, plan, self._aborted_in(log, plan)))
            size = plan.expected_bytes
        else:
            size = 0
            self._growing = True  # waiting is all that is left
        self._left -= size
        self._size += size

    def _aborted(self, log: LogReader, offset: int, upto: int) -> Sequence[AbortedTransaction]:
        return log.aborted_between(offset, upto) if self._limits.read_committed and offset < upto else ()

    def _aborted_in(self, log: LogReader, plan: RecordRead | SegmentRead) -> Sequence[AbortedTransaction]:
        """Record segments hold committed records only."""
        if isinstance(plan, RecordRead):
            return ()
        return self._aborted(log, plan.offset, min(plan.upto, plan.extents[-1].last_offset + 1))


def _divergence(log: LogReader, fetch: PartitionFetch) -> tuple[int, int] | None:
    """Where the fetcher's log and this one part, when they do (KIP-595)."""
    if fetch.last_fetched_epoch < 0:
        return None
    epoch, end = end_of_epoch(log, fetch.last_fetched_epoch)
    if epoch < 0:
        log.check_ttl()
        raise Refused(ErrorCode.OFFSET_OUT_OF_RANGE, "the last fetched epoch is not known")
    if epoch < fetch.last_fetched_epoch or end < fetch.offset:
        log.check_ttl()
        return epoch, end
    return None
