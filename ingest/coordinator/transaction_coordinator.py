"""The transaction coordinator of a node: which transactional ids are its own, what each request about them comes to.

Kafka's transactions (version 1 of their protocol) above the shards, one for each partition of `__transaction_state`
that this node leads. What a client is refused is raised as `Refused` with its code; handlers put it where their version
has a place for it. Knows no wire messages.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from infra.clock import SYSTEM_CLOCK, Clock
from infra.error_code import ErrorCode
from infra.errors import CauceError, Fenced, Refused, Unavailable
from infra.partition import PartitionId, TopicPartition
from infra.ports import LogReader, SessionGuard, TopicDirectory
from ingest.coordinator.placement import partition_of_key
from ingest.coordinator.shard import answer_code
from ingest.coordinator.transaction import NO_PRODUCER, Producer, Step, Transaction, TransactionRecord
from ingest.coordinator.transaction_shard import TransactionParts, TransactionShard
from ingest.coordinator.transaction_state import TransactionState
from ingest.coordinator.transactions import TransactionFilter

log = logging.getLogger(__name__)

TRANSACTIONS_TOPIC = "__transaction_state"

PATIENCE_SECONDS = 20.0
"""How long a request waits for the log: shorter than clients wait for an answer. What is being written goes on."""


class ProducerIdSource(Protocol):
    """Where producer ids come from (`infra.cluster.producer_ids.ProducerIds`)."""

    async def next(self) -> int:
        """An id that was never given out before. Raises `Unavailable`."""


@dataclass(frozen=True, slots=True)
class TransactionListing:
    """A transactional id as ListTransactions and DescribeTransactions show it."""

    transactional_id: str
    record: TransactionRecord
    partitions: tuple[TopicPartition, ...]  # once it is decided, those whose marker is missing


class UnderWay(NamedTuple):
    """What a coordinator has not ended yet."""

    open: int  # transactions
    markers: int  # partitions without the marker of what is decided


class TransactionCoordinator:
    """Every transactional id whose `__transaction_state` partition this node leads. A `LeadershipListener`."""

    def __init__(
        self,
        *,
        directory: TopicDirectory,
        guard: SessionGuard,
        producer_ids: ProducerIdSource,
        parts: TransactionParts,
        clock: Clock = SYSTEM_CLOCK,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._directory = directory
        self._guard = guard
        self._producer_ids = producer_ids
        self._parts = parts
        self._clock = clock
        self._patience_seconds = patience_seconds
        self._shards: dict[PartitionId, TransactionShard] = {}

    # leadership

    def on_lead(self, log: LogReader) -> None:
        """Load the partition, if it is one of ours, and answer for it from then on."""
        topic = self._directory.topic_by_id(log.partition.topic_id)
        if topic is None or topic.name != TRANSACTIONS_TOPIC:
            return
        self._drop(log.partition)
        shard = self._shards[log.partition] = TransactionShard(log, self._guard.session, self._parts)
        shard.start()

    def on_release(self, partition: PartitionId, leader_epoch: int) -> None:
        """Another node coordinates these now, or soon."""
        shard = self._shards.get(partition)
        if shard is not None and shard.lease.leader_epoch <= leader_epoch:
            self._drop(partition)

    async def run(self) -> None:
        """Abort what takes too long, and forget ids that nobody uses, until cancelled."""
        limits = self._parts.limits
        next_expiry = self._clock.monotonic() + limits.expiry_check_interval_ms / 1_000
        while True:
            await asyncio.sleep(min(limits.timeout_check_interval_ms, limits.expiry_check_interval_ms) / 1_000)
            await self._each(lambda shard: shard.abort_late())
            if self._clock.monotonic() >= next_expiry:
                next_expiry = self._clock.monotonic() + limits.expiry_check_interval_ms / 1_000
                await self._each(lambda shard: shard.expire())

    async def close(self) -> None:
        """Stop answering; leases are given back by whoever holds them."""
        shards = list(self._shards.values())
        for partition in list(self._shards):
            self._drop(partition)
        await asyncio.gather(*(shard.stopped() for shard in shards))
        await self._parts.markers.close()

    def _drop(self, partition: PartitionId) -> None:
        shard = self._shards.pop(partition, None)
        if shard is not None:
            shard.stop()

    # whose transactional id it is

    def partition_of(self, transactional_id: str) -> PartitionId:
        """The partition whose leader coordinates an id. Raises `Refused`(COORDINATOR_NOT_AVAILABLE)."""
        topic = self._directory.topic_by_name(TRANSACTIONS_TOPIC)
        if topic is None:
            raise Refused(ErrorCode.COORDINATOR_NOT_AVAILABLE, f"{TRANSACTIONS_TOPIC} does not exist yet")
        return PartitionId(topic.topic_id, partition_of_key(transactional_id, topic.partitions))

    def _shard(self, transactional_id: str) -> TransactionShard:
        """The shard of an id, loaded. Raises `Refused` with what the client is told when there is none here."""
        if not transactional_id:
            raise Refused(ErrorCode.INVALID_REQUEST, "a transaction needs an id")
        partition = self.partition_of(transactional_id)
        shard = self._shards.get(partition)
        if shard is None:
            led = self._directory.leader(partition) is not None
            code = ErrorCode.NOT_COORDINATOR if led else ErrorCode.COORDINATOR_NOT_AVAILABLE
            where = f"{TRANSACTIONS_TOPIC}-{partition.partition}"
            raise Refused(code, f"transactional id {transactional_id!r} is coordinated by the leader of {where}")
        shard.check()
        if not shard.loaded.is_set():
            raise Refused(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, f"{transactional_id!r} is being loaded")
        return shard

    def _known(self, transactional_id: str) -> tuple[TransactionShard, Transaction]:
        shard = self._shard(transactional_id)
        transaction = shard.transactions.find(transactional_id)
        if transaction is None:
            raise Refused(ErrorCode.INVALID_PRODUCER_ID_MAPPING, f"nothing is known of {transactional_id!r}")
        return shard, transaction

    # requests

    async def init(self, transactional_id: str, timeout_ms: int, expected: Producer | None) -> Producer:
        """InitProducerId: who may write transactions from now on; others are fenced. Raises `Refused`."""
        if not transactional_id:
            raise Refused(ErrorCode.INVALID_REQUEST, "a transactional id must not be empty")
        if not 0 < timeout_ms <= self._parts.limits.max_timeout_ms:
            most = self._parts.limits.max_timeout_ms
            raise Refused(ErrorCode.INVALID_TRANSACTION_TIMEOUT, f"transaction.timeout.ms must be 1 to {most}")
        shard = self._shard(transactional_id)
        transaction = shard.transactions.find(transactional_id)
        fresh = NO_PRODUCER
        if transaction is None or transaction.record.exhausted:
            fresh = await self._fresh_producer_id()
            shard = self._shard(transactional_id)
            transaction = shard.transactions.find(transactional_id)
        if transaction is None:
            transaction = Transaction.unborn(transactional_id, fresh, timeout_ms, self._clock.now_ms())
            shard.transactions.add(transaction)
        step = transaction.init(expected, timeout_ms, fresh, self._clock.now_ms())
        await self._carry_out(shard, transaction, step)
        assert step.write is not None
        return step.write.producer

    async def add_partitions(
        self, transactional_id: str, producer: Producer, partitions: Iterable[TopicPartition]
    ) -> None:
        """AddPartitionsToTxn and AddOffsetsToTxn: the transaction writes to these. Raises `Refused`."""
        shard, transaction = self._known(transactional_id)
        await self._carry_out(shard, transaction, transaction.add(producer, partitions, self._clock.now_ms()))

    async def end(self, transactional_id: str, producer: Producer, *, commit: bool) -> None:
        """EndTxn: returns once the decision is durable; its markers follow. Raises `Refused`."""
        shard, transaction = self._known(transactional_id)
        await self._carry_out(shard, transaction, transaction.end(producer, commit, self._clock.now_ms()))

    def verify(
        self, transactional_id: str, producer: Producer, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, ErrorCode]:
        """Whether each partition is in the open transaction of this producer. Raises `Refused` for all."""
        return self._known(transactional_id)[1].verify(producer, partitions)

    def describe(self, transactional_id: str) -> TransactionListing:
        """DescribeTransactions of one id. Raises `Refused`."""
        transaction = self._shard(transactional_id).transactions.find(transactional_id)
        if transaction is None or transaction.expiring:
            raise Refused(ErrorCode.TRANSACTIONAL_ID_NOT_FOUND, f"nothing is known of {transactional_id!r}")
        return _listing(transaction)

    def list_transactions(self, wanted: TransactionFilter) -> list[TransactionListing]:
        """The ids coordinated here. Raises `Refused` while one of the partitions is loaded, or the session over."""
        found = []
        for shard in self._shards.values():
            shard.check()
            if not shard.loaded.is_set():
                raise Refused(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, "transactional ids are being loaded")
            now_ms = self._clock.now_ms()
            found += [_listing(one) for one in shard.transactions if wanted.lets_through(one, now_ms)]
        return found

    def under_way(self) -> UnderWay:
        """What is open or being ended here, as far as it is loaded."""
        known = [one for shard in self._shards.values() for one in shard.transactions]
        is_open = sum(one.record.state is TransactionState.ONGOING for one in known)
        return UnderWay(is_open, sum(len(one.unmarked) for one in known))

    async def _fresh_producer_id(self) -> int:
        try:
            return await self._producer_ids.next()
        except (Fenced, Unavailable) as error:
            raise Refused(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, error.message) from error

    async def _carry_out(self, shard: TransactionShard, transaction: Transaction, step: Step) -> None:
        """Write what is to be written, then answer: by returning, or with what is refused."""
        if step.write is not None:
            try:
                async with asyncio.timeout(self._patience_seconds):
                    await shard.write(transaction)
            except TimeoutError:
                raise Refused(ErrorCode.COORDINATOR_NOT_AVAILABLE, "the log does not take it in time") from None
            except CauceError as error:
                raise Refused(answer_code(error), error.message) from error
        if step.answer is not ErrorCode.NONE:
            raise Refused(step.answer)

    # what happens by itself

    async def _each(self, work: Callable[[TransactionShard], Coroutine[None, None, None]]) -> None:
        for shard in list(self._shards.values()):
            with contextlib.suppress(CauceError):  # the next round finds the same
                await work(shard)


def _listing(transaction: Transaction) -> TransactionListing:
    record = transaction.record
    partitions = transaction.unmarked if record.state.prepared else record.partitions
    return TransactionListing(transaction.transactional_id, record, tuple(sorted(partitions)))
