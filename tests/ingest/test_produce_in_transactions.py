"""Produce in transactions: verified once, in order while that takes time, and refused by Kafka's codes."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import pytest

from infra.error_code import ErrorCode
from infra.errors import Unavailable
from infra.partition import TopicPartition
from infra.records.batch import TRANSACTIONAL
from infra.records.control import Marker
from infra.wire.messages import produce as message
from infra.wire.messages import write_txn_markers as markers_message
from ingest.api.produce import ProduceHandler
from ingest.api.write_txn_markers import WriteTxnMarkersHandler
from ingest.leaders import IngestLimits
from ingest.markers import MarkerWriter
from ingest.verification import Verifier
from tests.ingest.logs import partition_id
from tests.ingest.node import WriteSide, run, until
from tests.ingest.test_produce import StillClock, context, find_topic, fresh, request_of

PRODUCER = 7


class Coordinator:
    """What a transaction coordinator knows, in a set; it answers when the gate is open."""

    def __init__(self) -> None:
        self.open: set[tuple[str, int, int, TopicPartition]] = set()
        self.says: ErrorCode | Exception | None = None  # in place of what it knows
        self.asked: list[list[TopicPartition]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def add(self, *numbers: int, epoch: int = 0) -> None:
        self.open.update(("mine", PRODUCER, epoch, ("flights", number)) for number in numbers)

    async def verify(
        self, transactional_id: str, producer_id: int, producer_epoch: int, partitions: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, ErrorCode]:
        self.asked.append(list(partitions))
        known = set(self.open)
        await self.gate.wait()
        if isinstance(self.says, Exception):
            raise self.says
        return {
            one: self.says
            or (
                ErrorCode.NONE
                if (transactional_id, producer_id, producer_epoch, one) in known
                else ErrorCode.INVALID_TXN_STATE
            )
            for one in partitions
        }


class Transactional:
    """A write side, its coordinator, and what a client sends."""

    def __init__(self, side: WriteSide, behind: Callable[[], Sequence[int]] = tuple) -> None:
        self.side = side
        self.coordinator = Coordinator()
        self.verifier = Verifier(self.coordinator, behind)
        self.handler = ProduceHandler(side.leaders, find_topic, verifier=self.verifier, clock=StillClock())
        self.markers = MarkerWriter(side.leaders, clock=StillClock())
        self.ends = WriteTxnMarkersHandler(self.markers, find_topic)

    async def produce(
        self, sequence: int, *, partitions: int = 1, epoch: int = 0, timeout_ms: int = 20_000
    ) -> list[int]:
        """One batch a partition; the error codes."""
        batches = [
            fresh(attributes=TRANSACTIONAL, producer_id=PRODUCER, epoch=epoch, sequence=sequence)
            for _ in range(partitions)
        ]
        request = request_of(*batches, timeout_ms=timeout_ms)
        request.transactional_id = "mine"
        return await self.send(request)

    async def send(self, request: message.ProduceRequest) -> list[int]:
        response = await self.handler.handle(context(), request)
        assert response is not None
        return [answer.error_code for topic in response.responses for answer in topic.partition_responses]

    async def end(self, commit: bool, *numbers: int, epoch: int = 0, coordinator: int = 0) -> list[int]:
        topics = [
            markers_message.WritableTxnMarkerTopic(name="flights", partition_indexes=list(numbers)),
            markers_message.WritableTxnMarkerTopic(name="nowhere", partition_indexes=[0]),
        ]
        marker = markers_message.WritableTxnMarker(
            producer_id=PRODUCER,
            producer_epoch=epoch,
            transaction_result=commit,
            topics=topics,
            coordinator_epoch=coordinator,
        )
        request = markers_message.WriteTxnMarkersRequest(markers=[marker])
        [written] = (await self.ends.handle(context(), request)).markers
        flights, nowhere = written.topics
        assert [one.error_code for one in nowhere.partitions] == [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]
        assert written.producer_id == PRODUCER
        return [one.error_code for one in flights.partitions]


def test_a_partition_is_verified_once_in_a_transaction() -> None:
    async def body(side: WriteSide) -> None:
        logs = [side.open(0), side.open(1)]
        client = Transactional(side)
        client.coordinator.add(0, 1)
        assert await client.produce(0) == [0]
        assert await client.produce(1) == [0]
        assert client.coordinator.asked == [[("flights", 0)]]
        assert [log.last_stable_offset for log in logs] == [0, 0]
        assert await client.end(True, 0, 1, 3) == [0, 0, ErrorCode.NOT_LEADER_OR_FOLLOWER]
        assert [log.last_stable_offset for log in logs] == [3, 1]
        client.coordinator.open.clear()
        assert await client.produce(2) == [ErrorCode.INVALID_TXN_STATE]
        assert logs[0].log_end_offset == 3
        client.coordinator.add(0, 1)
        assert await client.produce(2) == [0]
        assert await client.end(False, 0, 1) == [0, 0]
        assert logs[0].last_stable_offset == 5

    run(body)


def test_a_request_may_have_some_partitions_in_the_transaction() -> None:
    async def body(side: WriteSide) -> None:
        logs = [side.open(0), side.open(1)]
        client = Transactional(side)
        client.coordinator.add(1)
        assert await client.produce(0, partitions=3) == [
            ErrorCode.INVALID_TXN_STATE,
            ErrorCode.NONE,
            ErrorCode.NOT_LEADER_OR_FOLLOWER,
        ]
        assert [log.log_end_offset for log in logs] == [0, 1]

    run(body)


def test_what_a_producer_sends_keeps_its_order_while_the_first_is_verified() -> None:
    async def body(side: WriteSide) -> None:
        log = side.open()
        client = Transactional(side)
        client.coordinator.add(0)
        client.coordinator.gate.clear()
        sent = [asyncio.create_task(client.produce(sequence)) for sequence in range(5)]
        await until(lambda: bool(client.coordinator.asked))
        assert log.log_end_offset == 0
        client.coordinator.gate.set()
        assert await asyncio.gather(*sent) == [[0]] * 5
        assert client.coordinator.asked == [[("flights", 0)]]
        assert [one[0][1] for one in [log.producers()[0].batches]] == [0]
        assert client.verifier.is_free(PRODUCER)

    run(body)


@pytest.mark.parametrize(
    ("says", "code"),
    [
        (ErrorCode.CONCURRENT_TRANSACTIONS, ErrorCode.NOT_ENOUGH_REPLICAS),
        (ErrorCode.NOT_COORDINATOR, ErrorCode.NOT_ENOUGH_REPLICAS),
        (ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, ErrorCode.NOT_ENOUGH_REPLICAS),
        (ErrorCode.COORDINATOR_NOT_AVAILABLE, ErrorCode.NOT_ENOUGH_REPLICAS),
        (Unavailable("away"), ErrorCode.NOT_ENOUGH_REPLICAS),
        (ErrorCode.PRODUCER_FENCED, ErrorCode.INVALID_PRODUCER_EPOCH),
        (ErrorCode.INVALID_PRODUCER_ID_MAPPING, ErrorCode.INVALID_PRODUCER_ID_MAPPING),
        (ErrorCode.TRANSACTION_ABORTABLE, ErrorCode.INVALID_TXN_STATE),
    ],
)
def test_what_coordinators_say_is_told_as_producers_know_it(says: ErrorCode | Exception, code: ErrorCode) -> None:
    async def body(side: WriteSide) -> None:
        log = side.open()
        client = Transactional(side)
        client.coordinator.says = says
        assert await client.produce(0) == [code]
        assert log.log_end_offset == 0

    run(body)


def test_nothing_goes_before_a_batch_whose_coordinator_could_not_be_asked() -> None:
    async def body(side: WriteSide) -> None:
        log = side.open()
        client = Transactional(side)
        client.coordinator.add(0)
        client.coordinator.gate.clear()
        sent = [asyncio.create_task(client.produce(sequence, timeout_ms=20)) for sequence in range(3)]
        codes = [code for [code] in await asyncio.gather(*sent)]
        assert codes == [ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.REQUEST_TIMED_OUT, ErrorCode.REQUEST_TIMED_OUT]
        client.coordinator.gate.set()
        assert await client.produce(1) == [ErrorCode.REQUEST_TIMED_OUT]
        assert await client.produce(0) == [0]
        assert await client.produce(1) == [0]
        assert log.log_end_offset == 2

    run(body)


def test_no_transaction_begins_while_a_node_of_an_earlier_release_is_there() -> None:
    async def body(side: WriteSide) -> None:
        log = side.open()
        client = Transactional(side, lambda: behind)
        client.coordinator.add(0)
        assert await client.produce(0) == [ErrorCode.NOT_ENOUGH_REPLICAS]
        assert log.log_end_offset == 0
        behind.clear()
        assert await client.produce(0) == [0]
        behind.append(3)
        assert await client.produce(1) == [0], "it is open already"
        assert await client.end(True, 0) == [0]

    behind = [3]
    run(body)


def test_a_transaction_that_ends_while_it_is_verified_is_not_opened_again() -> None:
    async def body(side: WriteSide) -> None:
        log = side.open()
        client = Transactional(side)
        client.coordinator.add(0)
        client.coordinator.gate.clear()
        late = asyncio.create_task(client.produce(0))
        await until(lambda: bool(client.coordinator.asked))
        assert await client.end(False, 0) == [0]
        client.coordinator.gate.set()
        assert await late == [ErrorCode.INVALID_TXN_STATE]
        assert log.last_stable_offset == log.high_watermark == 1

    run(body)


def test_a_verified_batch_that_waits_for_room_is_still_verified() -> None:
    async def body(side: WriteSide) -> None:
        log = side.open()
        client = Transactional(side)
        client.coordinator.add(0)
        side.store.down = True
        side.append(fresh(payload=bytes(3_000)))
        sent = [asyncio.create_task(client.produce(sequence)) for sequence in range(3)]
        await until(lambda: len(client.coordinator.asked) == 3)
        assert log.log_end_offset == 1
        side.store.down = False
        assert await asyncio.gather(*sent) == [[0]] * 3

    run(body, lambda: WriteSide(limits=IngestLimits(unpublished_bytes=3_000)))


def test_older_producers_and_coordinators_are_told_so() -> None:
    async def body(side: WriteSide) -> None:
        side.open()
        client = Transactional(side)
        client.coordinator.add(0)
        assert await client.produce(0) == [0]
        assert await client.end(False, 0, epoch=1, coordinator=4) == [0]
        assert await client.end(False, 0, epoch=0, coordinator=4) == [ErrorCode.INVALID_PRODUCER_EPOCH]
        assert await client.end(False, 0, epoch=1, coordinator=3) == [ErrorCode.TRANSACTION_COORDINATOR_FENCED]
        assert await client.produce(1) == [ErrorCode.INVALID_PRODUCER_EPOCH]
        assert client.coordinator.asked == [[("flights", 0)]], "an older epoch needs no asking"

    run(body)


def test_a_marker_is_of_a_producer() -> None:
    async def body(side: WriteSide) -> None:
        log = side.open()
        client = Transactional(side)
        assert await client.end(False, 0, epoch=-1) == [ErrorCode.INVALID_REQUEST]
        assert log.log_end_offset == 0

    run(body)


def test_one_request_is_of_one_producer() -> None:
    async def body(side: WriteSide) -> None:
        side.open(0)
        side.open(1)
        client = Transactional(side)
        client.coordinator.add(0, 1)
        batches = [
            fresh(attributes=TRANSACTIONAL, producer_id=producer, epoch=0, sequence=0) for producer in (PRODUCER, 8)
        ]
        request = request_of(*batches)
        request.transactional_id = "mine"
        assert await client.send(request) == [0, ErrorCode.INVALID_PRODUCER_ID_MAPPING]

    run(body)


def test_a_marker_is_durable_before_it_is_answered() -> None:
    async def body(side: WriteSide) -> None:
        log = side.open()
        client = Transactional(side)
        side.store.down = True
        marker = Marker(PRODUCER, 0, 0, commit=True)
        writing = asyncio.create_task(client.markers.write(marker, [partition_id()]))
        await until(lambda: log.log_end_offset == 1 and log.synced_offset == 1)
        assert not writing.done()
        writing.cancel()  # whoever asked is gone: the marker comes all the same
        side.store.down = False
        await until(lambda: log.high_watermark == 1)

    run(body)
