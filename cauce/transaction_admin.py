"""Transactions over the wire with our own client, for the command line: shown, and ended where they hang.

A transaction hangs in a partition when it is open there and its coordinator knows nothing of it: consumers of committed
records, and the compactor, wait there for ever. Answers that carry a Kafka error become `Refused`.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cauce.admin import check
from infra.error_code import ErrorCode
from infra.partition import TopicPartition
from infra.wire.client import TRANSACTION, Client
from infra.wire.messages import describe_producers, describe_transactions, list_transactions, write_txn_markers


@dataclass(frozen=True, slots=True)
class ListedTransaction:
    """A transactional id as ListTransactions tells it."""

    transactional_id: str
    coordinator: int  # node id
    producer_id: int
    state: str


@dataclass(frozen=True, slots=True)
class TransactionInfo:
    """A transactional id as its coordinator describes it."""

    transactional_id: str
    producer_id: int
    producer_epoch: int
    state: str
    timeout_ms: int
    started_ms: int | None
    partitions: frozenset[TopicPartition]


@dataclass(frozen=True, slots=True)
class ProducerInfo:
    """A producer as a partition's leader knows it."""

    topic: str
    partition: int
    producer_id: int
    producer_epoch: int
    coordinator_epoch: int
    last_sequence: int
    last_ms: int
    transaction_start_offset: int | None  # of its open transaction


class TransactionAdmin:
    """Transactions of a cluster."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def listed(
        self, states: Sequence[str] = (), producer_ids: Iterable[int] = (), longer_than_ms: int = -1
    ) -> list[ListedTransaction]:
        """The transactional ids of all nodes; what is not given lets all through. Raises `Refused`."""
        request = list_transactions.ListTransactionsRequest(
            state_filters=list(states), producer_id_filters=list(producer_ids), duration_filter=longer_than_ms
        )
        found = []
        for node in await self._client.nodes():
            response = await self._client.call(node, request)
            check(response.error_code)
            if response.unknown_state_filters:
                check(ErrorCode.INVALID_REQUEST, f"there is no state {response.unknown_state_filters[0]!r}")
            found += [
                ListedTransaction(one.transactional_id, node.node_id, one.producer_id, one.transaction_state)
                for one in response.transaction_states
            ]
        return sorted(found, key=lambda one: one.transactional_id)

    async def described(self, transactional_id: str) -> TransactionInfo:
        """One transactional id. Raises `Refused` when it is not known."""
        request = describe_transactions.DescribeTransactionsRequest(transactional_ids=[transactional_id])
        response = await self._client.to_coordinator(transactional_id, request, TRANSACTION)
        [row] = response.transaction_states
        if row.error_code == ErrorCode.TRANSACTIONAL_ID_NOT_FOUND:
            check(row.error_code, f"there is no transactional id {transactional_id!r}; `cauce transactions list`")
        check(row.error_code)
        return TransactionInfo(
            transactional_id,
            row.producer_id,
            row.producer_epoch,
            row.transaction_state,
            row.transaction_timeout_ms,
            row.transaction_start_time_ms if row.transaction_start_time_ms >= 0 else None,
            frozenset((topic.topic, partition) for topic in row.topics for partition in topic.partitions),
        )

    async def producers(self, topic: str, partition: int) -> list[ProducerInfo]:
        """The producers that a partition's leader knows. Raises `Refused`."""
        wanted = describe_producers.TopicRequest(name=topic, partition_indexes=[partition])
        request = describe_producers.DescribeProducersRequest(topics=[wanted])
        answer = (await self._client.to_leader(topic, partition, request)).topics[0].partitions[0]
        check(answer.error_code, f"{topic}-{partition}: {ErrorCode(answer.error_code).name}; try again")
        return [
            ProducerInfo(
                topic,
                partition,
                row.producer_id,
                row.producer_epoch,
                row.coordinator_epoch,
                row.last_sequence,
                row.last_timestamp,
                row.current_txn_start_offset if row.current_txn_start_offset >= 0 else None,
            )
            for row in answer.active_producers
        ]

    async def hanging(self, places: Iterable[TopicPartition], before_ms: int) -> list[tuple[ProducerInfo, str | None]]:
        """Transactions open in these partitions, last written to before a time, that no coordinator knows as open
        there; with the transactional id, where one is known."""
        candidates = [
            producer
            for found in await asyncio.gather(*(self.producers(*place) for place in places))
            for producer in found
            if producer.transaction_start_offset is not None and producer.last_ms < before_ms
        ]
        if not candidates:
            return []
        ids = {one.producer_id: one.transactional_id for one in await self.listed()}
        hanging: list[tuple[ProducerInfo, str | None]] = []
        for producer in candidates:
            transactional_id = ids.get(producer.producer_id)
            if transactional_id is None or not await self._is_open(transactional_id, producer):
                hanging.append((producer, transactional_id))
        return hanging

    async def _is_open(self, transactional_id: str, producer: ProducerInfo) -> bool:
        known = await self.described(transactional_id)
        return known.producer_id == producer.producer_id and (producer.topic, producer.partition) in known.partitions

    async def abort(self, producer: ProducerInfo) -> None:
        """End a transaction in one partition, whatever its coordinator says. Raises `Refused`."""
        marker = write_txn_markers.WritableTxnMarker(
            producer_id=producer.producer_id,
            producer_epoch=producer.producer_epoch,
            transaction_result=False,
            topics=[
                write_txn_markers.WritableTxnMarkerTopic(name=producer.topic, partition_indexes=[producer.partition])
            ],
            coordinator_epoch=max(producer.coordinator_epoch, 0),
        )
        request = write_txn_markers.WriteTxnMarkersRequest(markers=[marker])
        response = await self._client.to_leader(producer.topic, producer.partition, request)
        check(response.markers[0].topics[0].partitions[0].error_code)
