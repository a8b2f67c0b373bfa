"""Produce v3 to v11 (v0 to v2 are advertised only, for librdkafka, which else would not compress).

All checks and appends of one request happen before the first wait, so pipelined requests of a connection append in
the order they were sent; when there is no room they wait in line. acks: 0 is not answered (an error closes the
connection), 1 waits for the WAL, -1 for the high watermark; after timeout_ms what is not yet durable is answered
REQUEST_TIMED_OUT, and may still become so.

A transactional batch that would begin a transaction in its partition waits until its coordinator has said that the
partition is in it (KIP-890): INVALID_TXN_STATE when it is not, NOT_ENOUGH_REPLICAS, which clients retry without asking
for leaders anew, while the coordinator cannot say. What its producer sends meanwhile keeps its place.

Versions: v5 log start offset, v7 zstd, v8 record errors and messages, v9 flexible, v10 current leader.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

from infra.clock import SYSTEM_CLOCK, Clock
from infra.error_code import ErrorCode
from infra.errors import CauceError, NotLeader, Refused, Unavailable
from infra.partition import Lease, PartitionId
from infra.ports import Verification
from infra.records.batch import BatchHeader
from infra.topic_config import INTERNAL_TOPICS
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import produce as message
from ingest.appender import ACKS_ALL, ACKS_LEADER, ACKS_NONE, PartitionAppend
from ingest.leaders import Leaders
from ingest.observer import IngestObserver
from ingest.partition_log import Appended
from ingest.produced import BadRecords, FindTopic, check_produced
from ingest.verification import Beginning, NoTransactions, Unverified, Verifier

_FIRST_VERSION_WITH_ZSTD = 7
_COORDINATOR_AWAY = frozenset(
    {
        ErrorCode.CONCURRENT_TRANSACTIONS,
        ErrorCode.NETWORK_EXCEPTION,
        ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.NOT_COORDINATOR,
    }
)
_AS_PRODUCERS_KNOW_IT = {
    ErrorCode.PRODUCER_FENCED: ErrorCode.INVALID_PRODUCER_EPOCH,
    ErrorCode.TRANSACTION_ABORTABLE: ErrorCode.INVALID_TXN_STATE,
}


class ProduceHandler(Handler):
    """Answers Produce for the partitions this node leads. `leader` tells who leads the others, where that is known;
    `verifier` which partitions are in an open transaction."""

    api_key: ClassVar[int] = message.API_KEY
    min_version: ClassVar[int] = 3
    max_version: ClassVar[int] = 11
    advertised_min: ClassVar[int | None] = 0

    def __init__(
        self,
        leaders: Leaders,
        find_topic: FindTopic,
        *,
        leader: Callable[[PartitionId], Lease | None] = lambda _: None,
        verifier: Verifier | None = None,
        clock: Clock = SYSTEM_CLOCK,
        observer: IngestObserver | None = None,
    ) -> None:
        self._leaders = leaders
        self._find_topic = find_topic
        self._leader = leader
        self._verifier = verifier or Verifier(NoTransactions())
        self._clock = clock
        self._observer = observer or IngestObserver()

    async def handle(self, context: RequestContext, request: message.ProduceRequest) -> message.ProduceResponse | None:
        started = self._clock.monotonic()
        produced = _Produced(self._leaders, self._clock)
        response = self._take(context.api_version, request, produced)
        seconds = max(0, request.timeout_ms) / 1000
        if produced.producer_id is None:
            await produced.append_and_wait(seconds)
        else:
            await self._append_in_transaction(request, produced, produced.producer_id, seconds)
        self._observer.acknowledged(self._clock.monotonic() - started)
        if request.acks == ACKS_NONE:
            produced.raise_first_error()
            return None
        for partition, answer in produced.not_led():
            lease = self._leader(partition)
            if lease is not None:
                answer.current_leader = message.LeaderIdAndEpoch(
                    leader_id=lease.session.node_id, leader_epoch=lease.leader_epoch
                )
        return response

    async def _append_in_transaction(
        self, request: message.ProduceRequest, produced: "_Produced", producer_id: int, seconds: float
    ) -> None:
        if self._verifier.is_free(producer_id) and not produced.beginnings():
            await produced.append_and_wait(seconds)
            return
        begun = self._clock.monotonic()
        async with self._verifier.turn(producer_id):
            beginnings = produced.beginnings()
            left = seconds - (self._clock.monotonic() - begun)
            verified = await self._verifier.verify(request.transactional_id or "", list(beginnings.values()), left)
            for place, one in zip(beginnings, verified, strict=True):
                if isinstance(one, Unverified):
                    produced.not_verified(place, one)
                else:
                    produced.verified(place, one)
            in_line = produced.submit()
        await produced.wait(in_line, max(0.0, seconds - (self._clock.monotonic() - begun)))

    def _take(self, version: int, request: message.ProduceRequest, produced: "_Produced") -> message.ProduceResponse:
        """Check everything; what passes is ready to be appended, the rest answered."""
        response = message.ProduceResponse()
        now_ms = self._clock.now_ms()
        transaction = _Transaction(request.transactional_id)
        for topic in request.topic_data:
            answers = []
            for data in topic.partition_data:
                answer = message.PartitionProduceResponse(index=data.index, base_offset=-1)
                answers.append(answer)
                try:
                    produced.add(answer, self._checked(version, request, topic.name, data, now_ms, transaction))
                except Refused as refused:
                    produced.refuse(answer, refused)
            response.responses.append(message.TopicProduceResponse(name=topic.name, partition_responses=answers))
        produced.producer_id = transaction.producer_id
        return response

    def _checked(
        self,
        version: int,
        request: message.ProduceRequest,
        topic: str,
        data: message.PartitionProduceData,
        now_ms: int,
        transaction: "_Transaction",
    ) -> Callable[..., PartitionAppend]:
        if request.acks not in (ACKS_NONE, ACKS_LEADER, ACKS_ALL):
            raise Refused(ErrorCode.INVALID_REQUIRED_ACKS, f"acks is 0, 1 or -1, not {request.acks}")
        if topic in INTERNAL_TOPICS:
            raise Refused(ErrorCode.INVALID_TOPIC_EXCEPTION, f"{topic} is written by the nodes alone")
        target = self._find_topic(topic)
        if target is None or not 0 <= data.index < target.partitions:
            raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        zstd_allowed = version >= _FIRST_VERSION_WITH_ZSTD
        batch = check_produced(data.records, target.settings, now_ms, zstd_allowed=zstd_allowed)
        if batch[0].is_transactional:
            transaction.check(batch[0])
        return partial(PartitionAppend, PartitionId(target.topic_id, data.index), [batch], request.acks)


class _Transaction:
    """The one transaction that a request may write in."""

    def __init__(self, transactional_id: str | None) -> None:
        self._transactional_id = transactional_id
        self.producer_id: int | None = None  # of its transactional batches

    def check(self, header: BatchHeader) -> None:
        """Raise `Refused` for a batch of another one."""
        if self._transactional_id is None:
            raise Refused(
                ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "a transactional record batch needs a transactional id"
            )
        if self.producer_id is None:
            self.producer_id = header.producer_id
        if self.producer_id != header.producer_id:
            raise Refused(ErrorCode.INVALID_PRODUCER_ID_MAPPING, "a transaction is of one producer id")


class _Produced:
    """One request on its way: what is to be appended, and the answers to fill."""

    producer_id: int | None = None  # of its transactional batches

    def __init__(self, leaders: Leaders, clock: Clock) -> None:
        self._leaders = leaders
        self._clock = clock
        self._answers: list[message.PartitionProduceResponse] = []
        self._appends: list[PartitionAppend] = []
        self._waiting: set[int] = set()
        self._submitted: list[int] = []
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._errors: list[CauceError] = []
        self._not_led: list[tuple[PartitionId, message.PartitionProduceResponse]] = []

    def add(self, answer: message.PartitionProduceResponse, append: Callable[..., PartitionAppend]) -> None:
        place = len(self._appends)
        self._answers.append(answer)
        self._appends.append(append(partial(self._complete, place)))
        self._waiting.add(place)

    def refuse(self, answer: message.PartitionProduceResponse, error: CauceError) -> None:
        self._errors.append(error)
        answer.error_code, answer.error_message = error.code, error.message
        answer.base_offset = answer.log_append_time_ms = answer.log_start_offset = -1
        if isinstance(error, BadRecords):
            answer.record_errors = [
                message.BatchIndexAndErrorMessage(batch_index=index, batch_index_error_message=error.why)
                for index in error.indexes
            ]

    def beginnings(self) -> dict[int, Beginning]:
        """The batches, by place, that would begin a transaction in their partitions."""
        found: dict[int, Beginning] = {}
        for place, one in enumerate(self._appends):
            [(header, _)] = one.batches
            if header.is_transactional:
                with contextlib.suppress(NotLeader):  # the append says so
                    log = self._leaders.log(one.partition)
                    if log.must_be_verified(header) and not self._leaders.appender.must_wait(one):
                        found[place] = Beginning(log, header)
        return found

    def verified(self, place: int, verification: Verification) -> None:
        """A partition is in the transaction."""
        self._appends[place] = replace(self._appends[place], verification=verification)

    def not_verified(self, place: int, error: Unverified) -> None:
        """A partition is not in the transaction, or its coordinator cannot say so."""
        if error.code not in _COORDINATOR_AWAY:
            self._complete(place, Refused(_AS_PRODUCERS_KNOW_IT.get(error.code, error.code), error.message))
            return
        self._leaders.appender.turn_away(self._appends[place])
        why = f"the partition cannot be verified to be in the transaction: {error.message}"
        self._complete(place, Refused(ErrorCode.NOT_ENOUGH_REPLICAS, why))

    async def append_and_wait(self, seconds: float) -> None:
        """Append, at once or in turn, and wait until all is acknowledged or the time is over."""
        await self.wait(self.submit(), seconds)

    def submit(self) -> "asyncio.Future[None] | None":
        """Append now (None), or in turn."""
        self._submitted = sorted(self._waiting)
        appends = [self._appends[place] for place in self._submitted]
        if not appends:
            return None
        size = sum(len(batch) for one in appends for _, batch in one.batches)
        return self._leaders.admission.submit(size, len(appends), self._append, self._left)

    async def wait(self, in_line: "asyncio.Future[None] | None", seconds: float) -> None:
        """Until all is acknowledged or the time is over."""
        if in_line is None and not self._waiting:
            return
        try:
            async with asyncio.timeout(seconds):
                if in_line is not None:
                    await in_line
                if self._waiting:
                    await self._done
        except TimeoutError:
            for place in sorted(self._waiting):
                self._complete(place, Unavailable("not durable within the request's timeout"))

    def _append(self) -> None:
        appends = [self._appends[place] for place in self._submitted]
        results = self._leaders.appender.append(appends, self._clock.now_ms())
        for place, one, result in zip(self._submitted, appends, results, strict=True):
            if isinstance(result, CauceError):
                self._complete(place, result)
                continue
            _fill(self._answers[place], result)
            if one.acks == ACKS_NONE:
                self._complete(place, None)

    def _left(self) -> None:
        for place in self._submitted:
            self._leaders.appender.turn_away(self._appends[place])

    def _complete(self, place: int, error: CauceError | None) -> None:
        if place not in self._waiting:
            return  # timed out before
        self._waiting.discard(place)
        if error is not None:
            self.refuse(self._answers[place], error)
            if isinstance(error, NotLeader):
                self._not_led.append((self._appends[place].partition, self._answers[place]))
        if not self._waiting and not self._done.done():
            self._done.set_result(None)

    def not_led(self) -> Sequence[tuple[PartitionId, message.PartitionProduceResponse]]:
        """Who is to be told where the leader is."""
        return self._not_led

    def raise_first_error(self) -> None:
        """With acks=0 the connection is all that can tell of an error."""
        if self._errors:
            raise self._errors[0]


def _fill(answer: message.PartitionProduceResponse, appended: Appended) -> None:
    if answer.error_code:
        return  # the session ended in the moment of the append
    answer.base_offset = appended.base_offset
    answer.log_append_time_ms = appended.log_append_time_ms
    answer.log_start_offset = appended.log_start_offset
