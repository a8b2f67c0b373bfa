"""Asks a transactional id's coordinator whether partitions are in its open transaction: here, or on another node."""

from collections.abc import Iterable, Mapping, Sequence

from infra.error_code import ErrorCode
from infra.errors import CauceError, Refused
from infra.partition import TopicPartition
from infra.ports import TopicDirectory
from infra.wire.messages import add_partitions_to_txn as message
from ingest.coordinator.transaction import Producer
from ingest.coordinator.transaction_coordinator import TransactionCoordinator
from ingest.peers import Peers

Errors = Mapping[TopicPartition, ErrorCode]

_AS_PRODUCERS_KNOW_IT = {
    ErrorCode.PRODUCER_FENCED: ErrorCode.INVALID_PRODUCER_EPOCH,
    ErrorCode.TRANSACTION_ABORTABLE: ErrorCode.INVALID_TXN_STATE,
}


class CoordinatorCheck:
    """A `TransactionCheck`."""

    def __init__(self, coordinator: TransactionCoordinator, directory: TopicDirectory, peers: Peers) -> None:
        self._coordinator = coordinator
        self._directory = directory
        self._peers = peers

    async def verify(
        self, transactional_id: str, producer_id: int, producer_epoch: int, partitions: Sequence[TopicPartition]
    ) -> Errors:
        """NONE for each partition that is in the open transaction, else why not: what the coordinator says, as
        producers know it, or that it cannot be asked (NETWORK_EXCEPTION, NOT_COORDINATOR …), which a retry may cure."""
        producer = Producer(producer_id, producer_epoch)
        try:
            errors = await self._ask(transactional_id, producer, partitions)
        except Refused as refused:
            errors = dict.fromkeys(partitions, refused.code)
        return {place: _AS_PRODUCERS_KNOW_IT.get(code, code) for place, code in errors.items()}

    async def _ask(self, transactional_id: str, producer: Producer, partitions: Sequence[TopicPartition]) -> Errors:
        try:
            return self._coordinator.verify(transactional_id, producer, partitions)
        except Refused as refused:
            if refused.code is not ErrorCode.NOT_COORDINATOR:
                raise
        lease = self._directory.leader(self._coordinator.partition_of(transactional_id))
        if lease is None:
            raise Refused(ErrorCode.COORDINATOR_NOT_AVAILABLE, f"{transactional_id!r} has no coordinator now")
        request = message.AddPartitionsToTxnRequest(transactions=[_question(transactional_id, producer, partitions)])
        try:
            response: message.AddPartitionsToTxnResponse = await self._peers.call(lease.session.node_id, request)
        except CauceError as error:
            raise Refused(ErrorCode.NETWORK_EXCEPTION, error.message) from error
        if response.error_code != ErrorCode.NONE:
            raise Refused(ErrorCode(response.error_code))
        return {
            (topic.name, result.partition_index): ErrorCode(result.partition_error_code)
            for one in response.results_by_transaction
            for topic in one.topic_results
            for result in topic.results_by_partition
        }


def _question(
    transactional_id: str, producer: Producer, partitions: Iterable[TopicPartition]
) -> message.AddPartitionsToTxnTransaction:
    topics: dict[str, list[int]] = {}
    for topic, partition in partitions:
        topics.setdefault(topic, []).append(partition)
    return message.AddPartitionsToTxnTransaction(
        transactional_id=transactional_id,
        producer_id=producer.producer_id,
        producer_epoch=producer.epoch,
        verify_only=True,
        topics=[message.AddPartitionsToTxnTopic(name=name, partitions=numbers) for name, numbers in topics.items()],
    )
