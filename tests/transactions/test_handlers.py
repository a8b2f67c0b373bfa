"""The transaction APIs end to end: requests as they come over the wire, in every version offered, and back."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from infra.error_code import ErrorCode
from infra.wire.codec import decode_whole, encode
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import (
    add_offsets_to_txn,
    add_partitions_to_txn,
    describe_transactions,
    end_txn,
    init_producer_id,
    list_transactions,
)
from ingest.api.add_offsets_to_txn import AddOffsetsToTxnHandler
from ingest.api.add_partitions_to_txn import AddPartitionsToTxnHandler
from ingest.api.describe_transactions import DescribeTransactionsHandler
from ingest.api.end_txn import EndTxnHandler
from ingest.api.init_producer_id import InitProducerIdHandler
from ingest.api.list_transactions import ListTransactionsHandler
from ingest.coordinator.placement import partition_of_key
from ingest.coordinator.transaction_coordinator import TransactionCoordinator
from tests.coordinator.cluster import FakeTopic, virtually
from tests.transactions.cluster import Cluster, settled

ID = "transfers"


class Wire:
    """Sends messages as a client would: each is encoded and decoded in its version, both ways."""

    def __init__(self, cluster: Cluster, coordinator: TransactionCoordinator) -> None:
        async def ensure(name: str) -> FakeTopic:
            return cluster.logs.topics[name]

        self.cluster, self.coordinator = cluster, coordinator
        handlers: list[Handler] = [
            InitProducerIdHandler(cluster.ids, coordinator),
            AddPartitionsToTxnHandler(coordinator, cluster.logs),
            AddOffsetsToTxnHandler(coordinator, ensure),
            EndTxnHandler(coordinator),
            DescribeTransactionsHandler(coordinator),
            ListTransactionsHandler(coordinator),
        ]
        self._handlers = {handler.api_key: handler for handler in handlers}

    async def ask(self, request: Any, version: int | None = None) -> Any:
        api_key = __import__(type(request).__module__, fromlist=["API_KEY"]).API_KEY
        handler = self._handlers[api_key]
        version = handler.max_version if version is None else version
        decoded = decode_whole(type(request), version, encode(request, version))
        context = RequestContext(api_key, version, "test", "PLAIN", "127.0.0.1", 1)
        response = await handler.handle(context, decoded)
        return decode_whole(type(response), version, encode(response, version))

    async def init(self, version: int = 5, **fields: Any) -> Any:
        fields = {"transactional_id": ID, "transaction_timeout_ms": 60_000, **fields}
        return await self.ask(init_producer_id.InitProducerIdRequest(**fields), version)

    async def add(self, producer: Any, *places: tuple[str, list[int]], version: int = 3) -> dict[tuple[str, int], int]:
        request = add_partitions_to_txn.AddPartitionsToTxnRequest(
            v3_and_below_transactional_id=ID,
            v3_and_below_producer_id=producer.producer_id,
            v3_and_below_producer_epoch=producer.producer_epoch,
            v3_and_below_topics=[
                add_partitions_to_txn.AddPartitionsToTxnTopic(name=name, partitions=numbers) for name, numbers in places
            ],
        )
        return _errors((await self.ask(request, version)).results_by_topic_v3_and_below)

    async def end(self, producer: Any, *, commit: bool, version: int = 4) -> int:
        request = end_txn.EndTxnRequest(
            transactional_id=ID,
            producer_id=producer.producer_id,
            producer_epoch=producer.producer_epoch,
            committed=commit,
        )
        return int((await self.ask(request, version)).error_code)


def _errors(topics: Any) -> dict[tuple[str, int], int]:
    return {
        (topic.name, one.partition_index): one.partition_error_code
        for topic in topics
        for one in topic.results_by_partition
    }


def run(body: Callable[[Wire], Awaitable[None]]) -> None:
    async def whole() -> None:
        cluster = Cluster()
        try:
            await body(Wire(cluster, await cluster.leading()))
        finally:
            await cluster.close()

    virtually(whole)


@pytest.mark.parametrize(("init", "add", "end"), [(0, 0, 0), (1, 1, 1), (2, 2, 2), (4, 3, 3), (5, 3, 4)])
def test_a_transaction_in_every_version(init: int, add: int, end: int) -> None:
    async def body(wire: Wire) -> None:
        producer = await wire.init(init)
        assert (producer.error_code, producer.producer_id, producer.producer_epoch) == (0, 1_000, 0)
        added = await wire.add(producer, ("flights", [0, 2]), ("trains", [0]), version=add)
        assert added == dict.fromkeys([("flights", 0), ("flights", 2), ("trains", 0)], 0)
        assert await wire.end(producer, commit=True, version=end) == 0
        await settled(wire.coordinator, ID, "CompleteCommit")
        assert set(wire.cluster.data.written) == {("flights", 0), ("flights", 2), ("trains", 0)}

    run(body)


def test_older_versions_know_a_fenced_producer_by_another_code() -> None:
    async def body(wire: Wire) -> None:
        old, new = await wire.init(), await wire.init()
        assert new.producer_epoch == 1
        for version, code in ((0, ErrorCode.INVALID_PRODUCER_EPOCH), (1, 47), (2, ErrorCode.PRODUCER_FENCED), (3, 90)):
            assert set((await wire.add(old, ("trains", [0]), version=version)).values()) == {code}
            assert await wire.end(old, commit=False, version=version) == code
            request = add_offsets_to_txn.AddOffsetsToTxnRequest(
                transactional_id=ID, producer_id=old.producer_id, producer_epoch=0, group_id="g"
            )
            assert (await wire.ask(request, version)).error_code == code
        for version, code in ((3, ErrorCode.INVALID_PRODUCER_EPOCH), (4, ErrorCode.PRODUCER_FENCED)):
            fenced = await wire.init(version, producer_id=old.producer_id, producer_epoch=7)
            assert (fenced.error_code, fenced.producer_id, fenced.producer_epoch) == (code, -1, -1)

    run(body)


def test_a_producer_goes_on_with_what_it_had() -> None:
    async def body(wire: Wire) -> None:
        first = await wire.init()
        again = await wire.init(3, producer_id=first.producer_id, producer_epoch=first.producer_epoch)
        assert (again.error_code, again.producer_id, again.producer_epoch) == (0, first.producer_id, 1)
        assert (await wire.init(3, producer_id=first.producer_id)).error_code == ErrorCode.INVALID_REQUEST
        assert (await wire.init(transaction_timeout_ms=10**6)).error_code == ErrorCode.INVALID_TRANSACTION_TIMEOUT

    run(body)


def test_all_partitions_are_added_or_none() -> None:
    async def body(wire: Wire) -> None:
        producer = await wire.init()
        assert await wire.add(producer, ("flights", [0, 9]), ("boats", [0])) == {
            ("flights", 0): ErrorCode.OPERATION_NOT_ATTEMPTED,
            ("flights", 9): ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            ("boats", 0): ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        }
        assert wire.coordinator.describe(ID).record.state.label == "Empty"
        assert await wire.end(producer, commit=True) == ErrorCode.INVALID_TXN_STATE

    run(body)


@pytest.mark.parametrize("version", [4, 5])
def test_nodes_ask_whether_partitions_are_in_open_transactions(version: int) -> None:
    async def body(wire: Wire) -> None:
        producer = await wire.init()
        await wire.add(producer, ("flights", [0]))
        topics = [add_partitions_to_txn.AddPartitionsToTxnTopic(name="flights", partitions=[0, 1])]
        asked = [
            add_partitions_to_txn.AddPartitionsToTxnTransaction(
                transactional_id=name, producer_id=1_000, producer_epoch=epoch, verify_only=True, topics=topics
            )
            for name, epoch in ((ID, 0), (ID, 1), ("unknown", 0), ("", 0))
        ]
        response = await wire.ask(add_partitions_to_txn.AddPartitionsToTxnRequest(transactions=asked), version)
        codes = [list(_errors(one.topic_results).values()) for one in response.results_by_transaction]
        outside = ErrorCode.TRANSACTION_ABORTABLE if version == 5 else ErrorCode.INVALID_TXN_STATE
        assert codes == [
            [ErrorCode.NONE, outside],
            2 * [ErrorCode.PRODUCER_FENCED],
            2 * [ErrorCode.INVALID_PRODUCER_ID_MAPPING],
            2 * [ErrorCode.INVALID_REQUEST],
        ]
        assert wire.coordinator.describe(ID).partitions == (("flights", 0),)

    run(body)


def test_offsets_of_a_group_are_a_partition_of_the_transaction() -> None:
    async def body(wire: Wire) -> None:
        producer = await wire.init()
        for version in range(5):
            request = add_offsets_to_txn.AddOffsetsToTxnRequest(
                transactional_id=ID, producer_id=producer.producer_id, producer_epoch=0, group_id="riders"
            )
            assert (await wire.ask(request, version)).error_code == 0
        number = partition_of_key("riders", wire.cluster.logs.topics["__consumer_offsets"].partitions)
        assert wire.coordinator.describe(ID).partitions == (("__consumer_offsets", number),)

    run(body)


def test_transactions_are_described() -> None:
    async def body(wire: Wire) -> None:
        producer = await wire.init()
        await wire.add(producer, ("flights", [2, 0]), ("trains", [0]))
        request = describe_transactions.DescribeTransactionsRequest(transactional_ids=[ID, "unknown", ""])
        known, unknown, unnamed = (await wire.ask(request)).transaction_states
        assert (known.error_code, known.transaction_state, known.producer_id, known.producer_epoch) == (
            *(0, "Ongoing", producer.producer_id, 0),
        )
        assert known.transaction_timeout_ms == 60_000
        assert known.transaction_start_time_ms > 0
        assert [(topic.topic, topic.partitions) for topic in known.topics] == [("flights", [0, 2]), ("trains", [0])]
        assert unknown.error_code == ErrorCode.TRANSACTIONAL_ID_NOT_FOUND
        assert unnamed.error_code == ErrorCode.INVALID_REQUEST

    run(body)


def test_transactions_are_listed() -> None:
    async def body(wire: Wire) -> None:
        await wire.init(transactional_id="idle")
        await wire.add(await wire.init(), ("trains", [0]))
        await asyncio.sleep(3)

        async def listed(version: int = 1, **filters: Any) -> list[str]:
            response = await wire.ask(list_transactions.ListTransactionsRequest(**filters), version)
            assert response.error_code == 0
            assert response.unknown_state_filters == [f for f in filters.get("state_filters", ()) if f == "Sleeping"]
            return [one.transactional_id for one in response.transaction_states]

        assert await listed(0) == ["idle", ID]
        assert await listed(state_filters=["Ongoing", "Sleeping"]) == [ID]
        assert await listed(state_filters=["Sleeping"]) == []
        assert await listed(producer_id_filters=[1_000]) == ["idle"]
        assert await listed(state_filters=["Ongoing"], duration_filter=2_000) == [ID]
        assert await listed(state_filters=["Ongoing"], duration_filter=10_000) == []

    run(body)
