"""Transaction coordinators over logs in memory: decisions, markers, changes of coordinator, writes that go wrong."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from uuid import UUID

import pytest

from infra.error_code import ErrorCode
from infra.errors import Fenced, Refused, Unavailable
from infra.partition import Lease, PartitionId, SessionId
from ingest.coordinator.transaction import Producer
from ingest.coordinator.transaction_coordinator import TransactionCoordinator
from ingest.coordinator.transaction_state import TransactionState
from ingest.coordinator.transactions import TransactionFilter, TransactionLimits
from tests.coordinator.cluster import FakeTopic, virtually
from tests.transactions.cluster import TRANSACTIONS_ID, A, B, Cluster, settled

ID = "transfers"
PARTITION = PartitionId(TRANSACTIONS_ID, 0)
Body = Callable[[Cluster, TransactionCoordinator], Awaitable[None]]


def run(body: Body, **options: Any) -> None:
    async def whole() -> None:
        cluster = Cluster(**options)
        try:
            await body(cluster, await cluster.leading())
        finally:
            await cluster.close()

    virtually(whole)


async def code_of(request: Coroutine[Any, Any, Any]) -> ErrorCode:
    try:
        await request
    except Refused as refused:
        return refused.code
    return ErrorCode.NONE


async def begun(coordinator: TransactionCoordinator, *, timeout_ms: int = 60_000) -> Producer:
    producer = await coordinator.init(ID, timeout_ms, None)
    await coordinator.add_partitions(ID, producer, [A, B])
    return producer


@pytest.mark.parametrize("commit", [True, False])
def test_a_transaction_ends_in_every_partition_alike(commit: bool) -> None:
    async def body(cluster: Cluster, coordinator: TransactionCoordinator) -> None:
        producer = await begun(coordinator)
        assert producer == Producer(1_000, 0)
        await coordinator.end(ID, producer, commit=commit)
        await settled(coordinator, ID, "CompleteCommit" if commit else "CompleteAbort")
        assert cluster.data.outcomes(A) == cluster.data.outcomes(B) == [(0, commit)]
        await coordinator.add_partitions(ID, producer, [A])

    run(body)


def test_no_marker_comes_before_its_decision_is_durable() -> None:
    async def body(cluster: Cluster, coordinator: TransactionCoordinator) -> None:
        producer = await begun(coordinator)
        cluster.logs.gate = asyncio.Event()
        ending = asyncio.create_task(coordinator.end(ID, producer, commit=True))
        await asyncio.sleep(5)
        assert not ending.done()
        assert cluster.data.requests == []
        assert await code_of(coordinator.end(ID, producer, commit=True)) is ErrorCode.CONCURRENT_TRANSACTIONS
        assert await code_of(coordinator.add_partitions(ID, producer, [A])) is ErrorCode.CONCURRENT_TRANSACTIONS
        cluster.logs.gate.set()
        await ending
        await settled(coordinator, ID, "CompleteCommit")

    run(body)


def test_a_request_does_not_wait_for_the_log_for_ever_and_what_it_began_goes_on() -> None:
    async def body(cluster: Cluster, coordinator: TransactionCoordinator) -> None:
        producer = await begun(coordinator)
        cluster.logs.gate = asyncio.Event()
        assert await code_of(coordinator.end(ID, producer, commit=True)) is ErrorCode.COORDINATOR_NOT_AVAILABLE
        assert await code_of(coordinator.end(ID, producer, commit=True)) is ErrorCode.CONCURRENT_TRANSACTIONS
        cluster.logs.gate.set()
        await settled(coordinator, ID, "CompleteCommit")
        assert await code_of(coordinator.end(ID, producer, commit=True)) is ErrorCode.NONE

    run(body)


def test_a_new_instance_waits_for_the_abort_of_the_old_one() -> None:
    async def body(cluster: Cluster, coordinator: TransactionCoordinator) -> None:
        old = await begun(coordinator)
        cluster.data.gate = asyncio.Event()
        for _ in range(2):
            assert await code_of(coordinator.init(ID, 60_000, None)) is ErrorCode.CONCURRENT_TRANSACTIONS
        assert await code_of(coordinator.end(ID, old, commit=True)) is ErrorCode.PRODUCER_FENCED
        cluster.data.gate.set()
        await settled(coordinator, ID, "CompleteAbort")
        assert await coordinator.init(ID, 60_000, None) == Producer(old.producer_id, 2)
        assert cluster.data.outcomes(A) == [(1, False)]
        assert await code_of(coordinator.add_partitions(ID, old, [A])) is ErrorCode.PRODUCER_FENCED

    run(body)


def test_the_next_coordinator_finishes_what_was_decided() -> None:
    async def body(cluster: Cluster, first: TransactionCoordinator) -> None:
        producer = await begun(first)
        cluster.data.errors = {B: ErrorCode.NOT_LEADER_OR_FOLLOWER}
        await first.end(ID, producer, commit=True)
        await asyncio.sleep(1)
        assert cluster.data.outcomes(A) == [(0, True)]
        assert first.describe(ID).partitions == (B,)
        second = await cluster.leading()
        assert await code_of(first.end(ID, producer, commit=True)) is ErrorCode.NOT_COORDINATOR
        assert second.describe(ID).record.state is TransactionState.PREPARE_COMMIT
        assert await code_of(second.end(ID, producer, commit=True)) is ErrorCode.CONCURRENT_TRANSACTIONS
        cluster.data.errors = {}
        await settled(second, ID, "CompleteCommit")
        assert cluster.data.outcomes(A) == cluster.data.outcomes(B) == [(0, True)]
        assert await code_of(second.end(ID, producer, commit=True)) is ErrorCode.NONE

    run(body)


def test_a_coordinator_that_does_not_notice_the_next_one_changes_nothing() -> None:
    async def body(cluster: Cluster, first: TransactionCoordinator) -> None:
        producer = await begun(first)
        second = cluster.node()
        cluster.take(PARTITION, second)
        await cluster.loaded(second)
        await second.end(ID, producer, commit=True)
        await settled(second, ID, "CompleteCommit")
        assert await code_of(first.end(ID, producer, commit=False)) is not ErrorCode.NONE
        await asyncio.sleep(5)
        assert cluster.data.outcomes(A) == cluster.data.outcomes(B) == [(0, True)]

    run(body)


def test_outside_of_its_ttl_a_coordinator_answers_nothing() -> None:
    async def body(cluster: Cluster, coordinator: TransactionCoordinator) -> None:
        producer = await begun(coordinator)
        cluster.logs.logs[PARTITION].fenced = True
        for request in (
            coordinator.add_partitions(ID, producer, [A]),
            coordinator.end(ID, producer, commit=True),
            coordinator.init(ID, 60_000, None),
        ):
            assert await code_of(request) is ErrorCode.NOT_COORDINATOR
        with pytest.raises(Refused) as refused:
            coordinator.verify(ID, producer, [A])
        assert refused.value.code is ErrorCode.NOT_COORDINATOR

    run(body)


@pytest.mark.parametrize("landed", [True, False])
@pytest.mark.parametrize("error", [Unavailable("no answer"), Fenced("the TTL had run out")])
def test_a_write_of_unknown_outcome_is_looked_up_in_the_log(landed: bool, error: Exception) -> None:
    async def body(cluster: Cluster, coordinator: TransactionCoordinator) -> None:
        producer = await begun(coordinator)
        cluster.logs.append_error, cluster.logs.lose_answer = error, landed  # type: ignore[assignment]
        moved = isinstance(error, Fenced)
        expected = ErrorCode.NOT_COORDINATOR if moved else ErrorCode.COORDINATOR_NOT_AVAILABLE
        assert await code_of(coordinator.end(ID, producer, commit=True)) is expected
        cluster.logs.append_error = None
        await cluster.loaded(coordinator)
        state = coordinator.describe(ID).record.state
        assert state is not TransactionState.ONGOING if landed else state is TransactionState.ONGOING
        await asyncio.sleep(1)
        assert cluster.data.outcomes(A) == ([(0, True)] if landed else [])
        assert await code_of(coordinator.end(ID, producer, commit=True)) is ErrorCode.NONE
        await settled(coordinator, ID, "CompleteCommit")
        assert cluster.data.outcomes(A) == cluster.data.outcomes(B) == [(0, True)]

    run(body)


def test_a_refused_write_leaves_things_as_they_were() -> None:
    async def body(cluster: Cluster, coordinator: TransactionCoordinator) -> None:
        cluster.logs.append_error = Refused(ErrorCode.MESSAGE_TOO_LARGE, "too large")
        assert await code_of(coordinator.init(ID, 60_000, None)) is ErrorCode.UNKNOWN_SERVER_ERROR
        with pytest.raises(Refused) as refused:
            coordinator.describe(ID)
        assert refused.value.code is ErrorCode.TRANSACTIONAL_ID_NOT_FOUND
        cluster.logs.append_error = None
        producer = await begun(coordinator)
        cluster.logs.append_error = Refused(ErrorCode.MESSAGE_TOO_LARGE, "too large")
        assert await code_of(coordinator.end(ID, producer, commit=True)) is ErrorCode.UNKNOWN_SERVER_ERROR
        cluster.logs.append_error = None
        await coordinator.end(ID, producer, commit=False)
        await settled(coordinator, ID, "CompleteAbort")

    run(body)


def test_markers_are_sent_again_until_every_partition_has_its_own() -> None:
    async def body(cluster: Cluster, coordinator: TransactionCoordinator) -> None:
        producer = await begun(coordinator)
        cluster.data.lose_answers = True
        await coordinator.end(ID, producer, commit=True)
        await asyncio.sleep(10)
        assert len(cluster.data.written[A]) > 1, "written again, as its answer was lost"
        cluster.data.lose_answers, cluster.data.away = False, True
        await asyncio.sleep(10)
        cluster.data.away = False
        cluster.data.errors = {A: ErrorCode.NOT_LEADER_OR_FOLLOWER, B: ErrorCode.TRANSACTION_COORDINATOR_FENCED}
        await asyncio.sleep(10)
        assert coordinator.describe(ID).record.state is TransactionState.PREPARE_COMMIT
        cluster.data.errors = {B: ErrorCode.INVALID_PRODUCER_EPOCH}
        await settled(coordinator, ID, "CompleteCommit")

    run(body)


def test_a_partition_without_a_leader_is_waited_for_and_a_deleted_one_is_not() -> None:
    async def body(cluster: Cluster, coordinator: TransactionCoordinator) -> None:
        producer = await begun(coordinator)
        topic = cluster.logs.topics.pop("flights")
        cluster.bucket_away = True
        await coordinator.end(ID, producer, commit=True)
        await asyncio.sleep(10)
        cluster.bucket_away = False
        await asyncio.sleep(10)
        assert coordinator.describe(ID).partitions == (A, B), "this node does not see it, but the bucket has it"
        cluster.logs.topics["flights"] = topic
        led = cluster.logs.leaders.pop(PartitionId(topic.topic_id, 1))
        await asyncio.sleep(10)
        assert coordinator.describe(ID).partitions == (B,)
        assert led is not None
        del cluster.logs.topics["flights"]
        del cluster.topics_of_bucket["flights"]
        await settled(coordinator, ID, "CompleteCommit")
        assert cluster.data.outcomes(B) == []

    run(body)


def test_a_partition_that_a_topic_created_again_lacks_is_not_waited_for() -> None:
    async def body(cluster: Cluster, coordinator: TransactionCoordinator) -> None:
        producer = await begun(coordinator)
        cluster.data.errors = {A: ErrorCode.NOT_LEADER_OR_FOLLOWER}
        smaller = FakeTopic(UUID(int=9), "flights", 1)
        cluster.logs.topics["flights"] = smaller
        cluster.logs.leaders[PartitionId(smaller.topic_id, 0)] = Lease(
            PartitionId(smaller.topic_id, 0), SessionId(0, 0), 0
        )
        await coordinator.end(ID, producer, commit=True)
        await asyncio.sleep(10)
        assert coordinator.describe(ID).partitions == (A, B), "this node sees one partition, the bucket has more"
        cluster.topics_of_bucket["flights"] = 1
        await asyncio.sleep(10)
        assert coordinator.describe(ID).partitions == (A,)
        cluster.data.errors = {}
        await settled(coordinator, ID, "CompleteCommit")

    run(body)


def test_a_node_that_does_not_answer_is_not_waited_for_once_another_leads() -> None:
    async def body(cluster: Cluster, coordinator: TransactionCoordinator) -> None:
        producer = await begun(coordinator)
        place = PartitionId(cluster.logs.topics["flights"].topic_id, 1)
        cluster.logs.leaders[place] = Lease(place, SessionId(7, 0), 1)
        cluster.data.stuck = {7}
        await coordinator.end(ID, producer, commit=True)
        await asyncio.sleep(10)
        assert coordinator.describe(ID).partitions == (B,)
        cluster.logs.leaders[place] = Lease(place, SessionId(8, 0), 2)
        await asyncio.sleep(10)
        assert coordinator.describe(ID).record.state is TransactionState.COMPLETE_COMMIT

    run(body)


def test_what_waits_for_one_node_goes_together() -> None:
    async def body(cluster: Cluster, coordinator: TransactionCoordinator) -> None:
        ids = [f"{ID}-{number}" for number in range(200)]
        producers = await asyncio.gather(*(coordinator.init(one, 60_000, None) for one in ids))
        both = list(zip(ids, producers, strict=True))
        await asyncio.gather(*(coordinator.add_partitions(one, producer, [A]) for one, producer in both))
        await asyncio.gather(*(coordinator.end(one, producer, commit=True) for one, producer in both))
        for one in ids:
            await settled(coordinator, one, "CompleteCommit")
        assert len(cluster.data.requests) < 50
        assert max(cluster.logs.appends) > 10

    run(body)


def test_late_transactions_are_aborted_and_their_producer_fenced() -> None:
    async def body(cluster: Cluster, coordinator: TransactionCoordinator) -> None:
        running = asyncio.create_task(coordinator.run())
        producer = await begun(coordinator, timeout_ms=30_000)
        await asyncio.sleep(25)
        assert coordinator.describe(ID).record.state is TransactionState.ONGOING
        await asyncio.sleep(20)
        assert coordinator.describe(ID).record.state is TransactionState.COMPLETE_ABORT
        assert cluster.data.outcomes(A) == [(1, False)]
        assert await code_of(coordinator.end(ID, producer, commit=True)) is ErrorCode.PRODUCER_FENCED
        running.cancel()

    run(body)


def test_what_is_under_way_is_counted_and_how_it_ended() -> None:
    async def body(cluster: Cluster, coordinator: TransactionCoordinator) -> None:
        producer = await begun(coordinator, timeout_ms=30_000)
        assert coordinator.under_way() == (1, 0)
        cluster.data.errors = {B: ErrorCode.NOT_LEADER_OR_FOLLOWER}
        await coordinator.end(ID, producer, commit=True)
        await asyncio.sleep(1)
        assert coordinator.under_way() == (0, 1)
        second = await cluster.leading()  # finishes it, which decides nothing
        cluster.data.errors = {}
        await settled(second, ID, "CompleteCommit")
        assert (second.under_way(), cluster.observer.decisions) == ((0, 0), [True])

        await second.add_partitions(ID, producer, [A])
        ticking = asyncio.create_task(second.run())
        await settled(second, ID, "CompleteAbort")
        ticking.cancel()
        assert (cluster.observer.decisions, cluster.observer.time_outs) == ([True, False], 1)

    run(body)


def test_ids_that_nobody_uses_are_forgotten_by_the_log_too() -> None:
    async def body(cluster: Cluster, coordinator: TransactionCoordinator) -> None:
        running = asyncio.create_task(coordinator.run())
        await coordinator.init("idle", 60_000, None)
        producer = await begun(coordinator, timeout_ms=900_000)
        await asyncio.sleep(600)
        await coordinator.end(ID, producer, commit=True)
        await asyncio.sleep(3_300)
        assert await code_of(_async(lambda: coordinator.describe("idle"))) is ErrorCode.TRANSACTIONAL_ID_NOT_FOUND
        assert coordinator.describe(ID).record.state is TransactionState.COMPLETE_COMMIT
        second = await cluster.leading()
        assert [one.transactional_id for one in second.list_transactions(TransactionFilter())] == [ID]
        assert await second.init("idle", 60_000, None) == Producer(1_002, 0), "another producer id"
        running.cancel()

    run(body, limits=TransactionLimits(id_expiration_ms=3_500_000))


def test_many_ids_are_forgotten_in_batches() -> None:
    async def body(cluster: Cluster, coordinator: TransactionCoordinator) -> None:
        await asyncio.gather(*(coordinator.init(f"idle-{number}", 60_000, None) for number in range(1_200)))
        await asyncio.sleep(10)
        cluster.logs.appends.clear()
        for shard in coordinator._shards.values():
            await shard.expire()
        assert cluster.logs.appends == [500, 500, 200]
        assert coordinator.list_transactions(TransactionFilter()) == []

    run(body, limits=TransactionLimits(id_expiration_ms=5_000))


async def _async(call: Callable[[], Any]) -> None:
    call()


def test_ids_are_listed_by_what_is_asked() -> None:
    async def body(cluster: Cluster, coordinator: TransactionCoordinator) -> None:
        await coordinator.init("idle", 60_000, None)
        await asyncio.sleep(5)
        producer = await begun(coordinator)
        await asyncio.sleep(5)

        def listed(**wanted: Any) -> list[str]:
            return [one.transactional_id for one in coordinator.list_transactions(TransactionFilter(**wanted))]

        assert listed() == ["idle", ID]
        assert listed(states={TransactionState.ONGOING}) == [ID]
        assert listed(states=set()) == []
        assert listed(producer_ids=[producer.producer_id]) == [ID]
        assert listed(states={TransactionState.ONGOING}, longer_than_ms=4_000) == [ID]
        assert listed(states={TransactionState.ONGOING}, longer_than_ms=60_000) == []

    run(body)


def test_refusals_that_need_no_state() -> None:
    async def body(cluster: Cluster, coordinator: TransactionCoordinator) -> None:
        assert await code_of(coordinator.init("", 60_000, None)) is ErrorCode.INVALID_REQUEST
        for timeout_ms in (0, -1, 900_001):
            code = await code_of(coordinator.init(ID, timeout_ms, None))
            assert code is ErrorCode.INVALID_TRANSACTION_TIMEOUT
        unknown = coordinator.end(ID, Producer(1, 0), commit=True)
        assert await code_of(unknown) is ErrorCode.INVALID_PRODUCER_ID_MAPPING
        cluster.ids.fails = True
        assert await code_of(coordinator.init(ID, 60_000, None)) is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        other = cluster.node()
        assert await code_of(other.init(ID, 60_000, None)) is ErrorCode.NOT_COORDINATOR
        cluster.logs.leaders.clear()
        assert await code_of(other.init(ID, 60_000, None)) is ErrorCode.COORDINATOR_NOT_AVAILABLE
        del cluster.logs.topics["__transaction_state"]
        assert await code_of(other.init(ID, 60_000, None)) is ErrorCode.COORDINATOR_NOT_AVAILABLE

    run(body)


def test_while_it_loads_a_coordinator_says_so() -> None:
    async def body(cluster: Cluster, coordinator: TransactionCoordinator) -> None:
        cluster.logs.read_error = Unavailable("the store is down")
        second = cluster.node()
        cluster.move(PARTITION, second)
        await asyncio.sleep(3)
        assert await code_of(second.init(ID, 60_000, None)) is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        with pytest.raises(Refused):
            second.list_transactions(TransactionFilter())
        cluster.logs.read_error = None
        await cluster.loaded(second)
        assert await second.init(ID, 60_000, None) == Producer(1_000, 0)

    run(body)
