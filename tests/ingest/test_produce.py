"""The Produce handler over a real write side: refusals by Kafka's codes, acknowledgements, order, and its cost."""

import asyncio
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from infra.clock import Clock
from infra.error_code import ErrorCode
from infra.errors import CauceError, Fenced
from infra.partition import Lease, PartitionId, SessionId
from infra.records.batch import LOG_APPEND_TIME, TRANSACTIONAL, stamp_max_timestamp
from infra.records.encode import batch_of
from infra.topic_config import topic_settings
from infra.wire.handler import RequestContext
from infra.wire.messages import produce as message
from ingest.api.produce import ProduceHandler
from ingest.flush_plan import FlushPolicy
from ingest.leaders import IngestLimits
from ingest.produced import TopicTarget
from tests.ingest.batches import header_of, make_batch
from tests.ingest.logs import SESSION, TOPIC_ID
from tests.ingest.node import NEVER, FakeWal, WriteSide, run, until

NOW = 1_700_000_000_000
CONFIGS: dict[str, dict[str, str]] = {
    "flights": {},
    "keyed": {"cleanup.policy": "compact"},
    "stamped": {"message.timestamp.type": "LogAppendTime"},
    "small": {"max.message.bytes": "100"},
}


class StillClock(Clock):
    def now_ms(self) -> int:
        return NOW


def find_topic(name: str) -> TopicTarget | None:
    if name not in CONFIGS:
        return None
    return TopicTarget(TOPIC_ID, 4, topic_settings(CONFIGS[name], {}, "object"))


def other_leader(partition: PartitionId) -> Lease | None:
    return Lease(partition, SessionId(2, 1), 9) if partition.partition == 3 else None


def context(version: int = 11) -> RequestContext:
    return RequestContext(0, version, "test", "PLAIN", "127.0.0.1", 1)


def request_of(
    *batches: bytes | memoryview | None,
    topic: str = "flights",
    acks: int = -1,
    timeout_ms: int = 20_000,
    first: int = 0,
) -> message.ProduceRequest:
    """One batch a partition, from partition `first` on."""
    data = [message.PartitionProduceData(index=first + i, records=batch) for i, batch in enumerate(batches)]
    return message.ProduceRequest(
        acks=acks, timeout_ms=timeout_ms, topic_data=[message.TopicProduceData(name=topic, partition_data=data)]
    )


def fresh(count: int = 1, **fields: Any) -> memoryview:
    return make_batch(count, **{"timestamp": NOW, **fields})


def handler_of(side: WriteSide) -> ProduceHandler:
    return ProduceHandler(side.leaders, find_topic, leader=other_leader, clock=StillClock())


async def produce(side: WriteSide, request: message.ProduceRequest, version: int = 11) -> list[Any]:
    response = await handler_of(side).handle(context(version), request)
    assert response is not None
    return [answer for topic in response.responses for answer in topic.partition_responses]


def refusal(request: message.ProduceRequest, version: int = 11) -> Any:
    """The answer of the one partition."""
    answers: list[Any] = []

    async def body(side: WriteSide) -> None:
        log = side.open()
        answers.extend(await produce(side, request, version))
        assert log.log_end_offset == 0

    run(body)
    assert len(answers) == 1
    assert (answers[0].base_offset, answers[0].log_append_time_ms, answers[0].log_start_offset) == (-1, -1, -1)
    assert answers[0].error_message
    return answers[0]


def test_batches_are_appended_and_acknowledged() -> None:
    async def body(side: WriteSide) -> None:
        side.open(0, end_offset=7)
        side.open(1)
        answers = await produce(side, request_of(fresh(3), fresh(2)))
        assert [(a.index, a.error_code, a.base_offset, a.log_append_time_ms) for a in answers] == [
            (0, 0, 7, -1),
            (1, 0, 0, -1),
        ]
        assert [log.high_watermark for log in side.leaders.logs()] == [10, 2]
        (again,) = await produce(side, request_of(bytes(fresh(1))))
        assert again.base_offset == 10

    run(body)


def test_one_bad_partition_does_not_cost_the_others() -> None:
    async def body(side: WriteSide) -> None:
        side.open(0)
        side.open(2)
        answers = await produce(side, request_of(fresh(), fresh(), fresh()[:-1], fresh(), fresh()))
        assert [a.error_code for a in answers] == [
            ErrorCode.NONE,
            ErrorCode.NOT_LEADER_OR_FOLLOWER,
            ErrorCode.CORRUPT_MESSAGE,
            ErrorCode.NOT_LEADER_OR_FOLLOWER,
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ]
        assert [a.current_leader.leader_id for a in answers] == [-1, -1, -1, 2, -1]

    run(body)


@pytest.mark.parametrize(
    ("request_made", "code"),
    [
        (partial(request_of, None), ErrorCode.INVALID_RECORD),
        (partial(request_of, b""), ErrorCode.INVALID_RECORD),
        (lambda: request_of(fresh(), acks=2), ErrorCode.INVALID_REQUIRED_ACKS),
        (lambda: request_of(fresh(), topic="nowhere"), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (lambda: request_of(fresh(), topic="__consumer_offsets"), ErrorCode.INVALID_TOPIC_EXCEPTION),
        (lambda: request_of(fresh(), first=-1), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (lambda: request_of(bytes(fresh()) * 2), ErrorCode.INVALID_RECORD),
        (lambda: request_of(fresh(payload=bytes(100)), topic="small"), ErrorCode.MESSAGE_TOO_LARGE),
        (lambda: request_of(fresh(timestamp=NOW + 4_000_000)), ErrorCode.INVALID_TIMESTAMP),
        (lambda: request_of(fresh(attributes=LOG_APPEND_TIME)), ErrorCode.INVALID_TIMESTAMP),
        (
            lambda: request_of(fresh(attributes=TRANSACTIONAL, producer_id=1, epoch=0, sequence=0)),
            ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,  # without a transactional id, as Kafka says it
        ),
        (lambda: request_of(fresh(max_timestamp=-1)), ErrorCode.INVALID_RECORD),  # and its records are no records
        (lambda: request_of(fresh(), topic="keyed"), ErrorCode.INVALID_RECORD),
    ],
)
def test_refusals(request_made: Callable[[], message.ProduceRequest], code: ErrorCode) -> None:
    assert refusal(request_made()).error_code == code


def test_a_node_that_coordinates_none_knows_no_transaction() -> None:
    request = request_of(fresh(attributes=TRANSACTIONAL, producer_id=1, epoch=0, sequence=0))
    request.transactional_id = "mine"
    assert refusal(request).error_code == ErrorCode.INVALID_TXN_STATE


def test_zstd_needs_version_7() -> None:
    assert refusal(request_of(fresh(attributes=4)), version=6).error_code == ErrorCode.UNSUPPORTED_COMPRESSION_TYPE

    async def body(side: WriteSide) -> None:
        side.open()
        (answer,) = await produce(side, request_of(fresh(attributes=4)), version=7)
        assert answer.error_code == 0

    run(body)


def test_a_compacted_topic_needs_keys() -> None:
    answer = refusal(request_of(memoryview(batch_of([(b"k", b"v"), (None, b"v"), (None, b"w")], NOW)), topic="keyed"))
    assert answer.error_code == ErrorCode.INVALID_RECORD
    assert [error.batch_index for error in answer.record_errors] == [1, 2]

    async def body(side: WriteSide) -> None:
        side.open()
        (told,) = await produce(side, request_of(memoryview(batch_of([(b"k", None)], NOW)), topic="keyed"))
        assert (told.error_code, told.base_offset) == (0, 0)

    run(body)


def test_a_missing_max_timestamp_is_found_in_the_records() -> None:
    async def body(side: WriteSide) -> None:
        log = side.open()
        batch = memoryview(batch_of([(b"k", b"v"), (None, b"v")], NOW))
        stamp_max_timestamp(batch, -1)
        (answer,) = await produce(side, request_of(batch))
        assert answer.error_code == 0
        assert header_of(log.read_tail(0, 1000, 2, True)[0]).max_timestamp == NOW

    run(body)


def test_log_append_time_is_told() -> None:
    async def body(side: WriteSide) -> None:
        taken = side.open()
        taken.settings = topic_settings(CONFIGS["stamped"], {}, "object")
        sent = partial(fresh, 2, timestamp=5, producer_id=3, epoch=0, sequence=0)
        for _ in range(2):
            (answer,) = await produce(side, request_of(sent(), topic="stamped"))
            assert (answer.error_code, answer.base_offset, answer.log_append_time_ms) == (0, 0, NOW)
        assert taken.log_end_offset == 2

    run(body)


def test_a_leader_of_the_past_judges_no_sequences() -> None:
    async def body(side: WriteSide) -> None:
        side.open()
        sent = partial(fresh, producer_id=3, epoch=1)
        assert (await produce(side, request_of(sent(sequence=0))))[0].error_code == 0
        side.guard.lapsed = True
        (gap,) = await produce(side, request_of(sent(sequence=2)))
        assert gap.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER

    run(body)


def test_sequences_are_judged() -> None:
    async def body(side: WriteSide) -> None:
        side.open()
        sent = partial(fresh, producer_id=3, epoch=1)
        assert (await produce(side, request_of(sent(sequence=0))))[0].error_code == 0
        (gap,) = await produce(side, request_of(sent(sequence=2)))
        assert gap.error_code == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
        (old,) = await produce(side, request_of(fresh(producer_id=3, epoch=0, sequence=1)))
        assert old.error_code == ErrorCode.INVALID_PRODUCER_EPOCH

    run(body)


def test_acks_1_waits_for_the_wal_only() -> None:
    async def body(side: WriteSide) -> None:
        side.open()
        side.store.down = True
        (answer,) = await produce(side, request_of(fresh(2), acks=1))
        assert (answer.error_code, answer.base_offset) == (0, 0)

    run(body)


def test_a_timeout_is_retriable_and_the_record_still_becomes_durable() -> None:
    async def body(side: WriteSide) -> None:
        log = side.open()
        side.store.down = True
        sent = partial(fresh, 2, producer_id=3, epoch=1, sequence=0)
        (answer,) = await produce(side, request_of(sent(), timeout_ms=1))
        assert (answer.error_code, answer.base_offset) == (ErrorCode.REQUEST_TIMED_OUT, -1)
        side.store.down = False
        (again,) = await produce(side, request_of(sent()))
        assert (again.error_code, again.base_offset, log.log_end_offset) == (0, 0, 2)

    run(body)


def test_acks_0_is_not_answered_and_an_error_closes_the_connection() -> None:
    async def body(side: WriteSide) -> None:
        log = side.open()
        handler = handler_of(side)
        assert await handler.handle(context(), request_of(fresh(), acks=0)) is None
        assert log.log_end_offset == 1
        with pytest.raises(CauceError):
            await handler.handle(context(), request_of(fresh(), fresh(), acks=0))
        assert log.log_end_offset == 2

    run(body, partial(WriteSide, policy=FlushPolicy(object=NEVER, wal=NEVER)))


def test_pipelined_requests_append_in_order_also_when_they_have_to_wait() -> None:
    async def body(side: WriteSide) -> None:
        log = side.open()
        handler = handler_of(side)
        side.store.down = True
        tasks = []
        for sequence in range(12):
            batch = fresh(producer_id=3, epoch=0, sequence=sequence)
            tasks.append(asyncio.create_task(handler.handle(context(), request_of(batch))))
        await until(lambda: len(side.leaders.admission) > 0)
        assert log.log_end_offset < 12
        side.store.down = False
        responses = await asyncio.gather(*tasks)
        answers = [r.responses[0].partition_responses[0] for r in responses if r is not None]
        assert [(a.error_code, a.base_offset) for a in answers] == [(0, offset) for offset in range(12)]

    run(body, partial(WriteSide, limits=IngestLimits(unpublished_bytes=3_000)))


def test_nothing_goes_before_a_batch_that_gave_up_waiting() -> None:
    """Told of a gap, clients would begin a new epoch and send what is under way as new records."""

    async def body(side: WriteSide) -> None:
        log = side.open()
        handler = handler_of(side)
        sent = partial(fresh, producer_id=3, epoch=1)
        assert (await produce(side, request_of(sent(sequence=0))))[0].error_code == 0
        budget, side.wal.budget = side.wal.budget, 0
        given_up = asyncio.create_task(produce(side, request_of(sent(sequence=1), timeout_ms=100)))
        await until(lambda: len(side.leaders.admission) == 1)
        behind = asyncio.create_task(handler.handle(context(), request_of(sent(sequence=2))))
        assert (await given_up)[0].error_code == ErrorCode.REQUEST_TIMED_OUT
        side.wal.budget = budget
        response = await behind
        assert response is not None
        assert response.responses[0].partition_responses[0].error_code == ErrorCode.REQUEST_TIMED_OUT
        assert log.log_end_offset == 1
        for sequence in (1, 2):
            (again,) = await produce(side, request_of(sent(sequence=sequence)))
            assert (again.error_code, again.base_offset) == (0, sequence)
        (gap,) = await produce(side, request_of(sent(sequence=4)))
        assert gap.error_code == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER

    run(body)


def test_nothing_goes_before_a_batch_that_a_leader_of_the_past_refused() -> None:
    async def body(side: WriteSide) -> None:
        log = side.open(durability="wal")
        sent = partial(fresh, producer_id=3, epoch=1)
        side.guard.lapsed = True
        (refused,) = await produce(side, request_of(sent(sequence=0)))
        assert refused.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
        side.guard.lapsed = False
        (behind,) = await produce(side, request_of(sent(sequence=1)))
        assert behind.error_code == ErrorCode.REQUEST_TIMED_OUT
        assert log.log_end_offset == 0

    run(body)


def test_nothing_goes_before_a_batch_that_came_before_the_lease() -> None:
    """The producer is not known, and may begin with any sequence: it must not begin with its second batch."""

    async def body(side: WriteSide) -> None:
        sent = partial(fresh, producer_id=3, epoch=1)
        (early,) = await produce(side, request_of(sent(sequence=0)))
        assert early.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
        side.open()
        (behind,) = await produce(side, request_of(sent(sequence=1)))
        assert behind.error_code == ErrorCode.REQUEST_TIMED_OUT
        for sequence in (0, 1):
            (again,) = await produce(side, request_of(sent(sequence=sequence)))
            assert (again.error_code, again.base_offset) == (0, sequence)

    run(body)


def test_a_request_that_gives_up_waiting_appends_nothing() -> None:
    async def body(side: WriteSide) -> None:
        log = side.open()
        side.wal.budget = 0
        (answer,) = await produce(side, request_of(fresh(), timeout_ms=1))
        assert answer.error_code == ErrorCode.REQUEST_TIMED_OUT
        with pytest.raises(CauceError):
            await handler_of(side).handle(context(), request_of(fresh(), acks=0, timeout_ms=1))
        side.wal.budget = 1 << 30
        await until(lambda: not len(side.leaders.admission))
        assert log.log_end_offset == 0

    run(body)


def test_a_fence_while_waiting_is_not_leader() -> None:
    async def body(side: WriteSide) -> None:
        side.open()
        side.store.down = True
        task = asyncio.create_task(produce(side, request_of(fresh())))
        await until(lambda: bool(side.store.bodies))
        side.leaders.lose(SESSION, Fenced("test"))
        (answer,) = await task
        assert (answer.error_code, answer.base_offset) == (ErrorCode.NOT_LEADER_OR_FOLLOWER, -1)
        (later,) = await produce(side, request_of(fresh()))
        assert later.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER

    run(body)


def test_a_deleted_topic_is_unknown_to_those_who_wait() -> None:
    async def body(side: WriteSide) -> None:
        side.open()
        side.store.down = True
        task = asyncio.create_task(produce(side, request_of(fresh())))
        await until(lambda: bool(side.store.bodies))
        side.leaders.close(PartitionId(TOPIC_ID, 0), "deleted")
        (answer,) = await task
        assert answer.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION

    run(body)


def test_a_wal_that_fails_is_not_leader() -> None:
    async def body(side: WriteSide) -> None:
        side.open()
        side.wal.refuses = Fenced("closed")
        (answer,) = await produce(side, request_of(fresh()))
        assert (answer.error_code, answer.base_offset) == (ErrorCode.NOT_LEADER_OR_FOLLOWER, -1)

    run(body)


def count_calls(records: int) -> int:
    """Python calls from the request to its acknowledgement by the WAL, whatever they are called."""
    calls = 0

    async def body(side: WriteSide) -> None:
        side.open(durability="wal")
        handler = handler_of(side)
        await handler.handle(context(), request_of(fresh()))
        batch = memoryview(batch_of([(b"key", b"value")] * records, NOW))
        request = request_of(batch, acks=-1)

        def note(frame: object, event: str, argument: object) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        sys.setprofile(note)
        try:
            task = asyncio.ensure_future(handler.handle(context(), request))
            await asyncio.sleep(0)
            side.wal.sync()
            response = await task
        finally:
            sys.setprofile(None)
        assert response is not None
        assert response.responses[0].partition_responses[0].error_code == 0
        assert header_of(batch).record_count == records

    def make() -> WriteSide:
        return WriteSide(policy=FlushPolicy(object=NEVER, wal=NEVER), wal=FakeWal())

    run(body, make)
    return calls


def test_no_python_runs_per_record() -> None:
    assert count_calls(10) == count_calls(10_000)
