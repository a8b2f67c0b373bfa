"""Offsets committed in transactions: pending until the marker, then as their place in the log says; in memory, in the
view, and read back by whoever takes the partition."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.error_code import ErrorCode
from infra.errors import Unavailable
from infra.partition import PartitionId, TopicPartition
from infra.records.batch import stamp
from infra.records.control import Marker, encode_marker
from infra.records.encode import encode_batch
from infra.records.record import Record
from infra.view.port import OffsetRow
from infra.wire.handler import RequestContext
from infra.wire.messages import offset_fetch
from ingest.api.offset_fetch import OffsetFetchHandler
from ingest.coordinator.coordinator import GroupCoordinator
from ingest.coordinator.offset_records import Change, OffsetChange, encode_change
from ingest.coordinator.offsets import CommittedOffset, CommitTransaction, OffsetCommit, OffsetLimits
from ingest.coordinator.replay import Replay
from tests.coordinator.cluster import OFFSETS_ID, Cluster, virtually

P0 = PartitionId(OFFSETS_ID, 0)
FLIGHTS, OTHERS = ("flights", 0), ("flights", 1)


def commit(offset: int, *names: TopicPartition, group: str = "riders") -> OffsetCommit:
    return OffsetCommit(group_id=group, offsets={name: CommittedOffset(offset=offset) for name in names or (FLIGHTS,)})


def within(producer_id: int) -> CommitTransaction:
    return CommitTransaction(transactional_id=f"txn-{producer_id}", producer_id=producer_id, producer_epoch=0)


def offsets(coordinator: GroupCoordinator, group: str = "riders") -> dict[TopicPartition, int]:
    return {name: row.offset for name, row in coordinator.fetch_offsets(group).items()}


async def end(cluster: Cluster, coordinator: GroupCoordinator | None, producer_id: int, commits: bool) -> None:
    """Append a marker; `coordinator` is told of it."""
    marker = Marker(producer_id, 0, 0, commits)
    offset = cluster.logs.logs[P0].append(encode_marker(marker, 1))
    if coordinator is not None:
        await coordinator.on_marker(P0, marker, offset)


def test_offsets_are_pending_until_their_transaction_ends() -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        await coordinator.commit_offsets(commit(1))
        assert await coordinator.commit_offsets(commit(7, FLIGHTS, OTHERS), within(3)) == {FLIGHTS: 0, OTHERS: 0}
        assert offsets(coordinator) == {FLIGHTS: 1}
        assert set(coordinator.pending_offsets("riders")) == {FLIGHTS, OTHERS}
        await end(cluster, coordinator, 3, True)
        assert offsets(coordinator) == {FLIGHTS: 7, OTHERS: 7}
        assert not coordinator.pending_offsets("riders")
        await coordinator.commit_offsets(commit(8), within(3))
        await end(cluster, coordinator, 3, False)
        assert offsets(coordinator) == {FLIGHTS: 7, OTHERS: 7}
        assert not coordinator.pending_offsets("riders")
        await cluster.close()

    virtually(body)


def test_of_two_commits_the_one_further_on_in_the_log_counts() -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        await coordinator.commit_offsets(commit(5, FLIGHTS, OTHERS), within(3))
        await coordinator.commit_offsets(commit(2))
        await end(cluster, coordinator, 3, True)
        assert offsets(coordinator) == {FLIGHTS: 2, OTHERS: 5}
        assert offsets(await cluster.leading()) == {FLIGHTS: 2, OTHERS: 5}
        await cluster.close()

    virtually(body)


def test_a_marker_that_nobody_told_of_is_read_in_the_log() -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        await coordinator.commit_offsets(commit(5), within(3))
        await end(cluster, None, 3, True)
        await coordinator.commit_offsets(commit(1, group="other"))
        assert offsets(coordinator) == {FLIGHTS: 5}
        await coordinator.commit_offsets(commit(6), within(3))
        cluster.logs.append_error, cluster.logs.lose_answer = Unavailable("the answer was lost"), True
        errors = await coordinator.commit_offsets(commit(7, OTHERS), within(3))
        assert errors == {OTHERS: ErrorCode.COORDINATOR_NOT_AVAILABLE}
        cluster.logs.append_error = None
        await end(cluster, coordinator, 3, True)
        assert offsets(coordinator) == {FLIGHTS: 6, OTHERS: 7}
        await cluster.close()

    virtually(body)


def test_the_next_coordinator_knows_what_is_pending() -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        await coordinator.commit_offsets(commit(1, group="other"))
        await coordinator.commit_offsets(commit(5), within(3))
        await coordinator.commit_offsets(commit(2, group="other"))
        await asyncio.sleep(1)
        assert cluster.server.state.offsets[P0].upto == 1, "a replay must begin at the open transaction"
        successor = await cluster.leading()
        assert set(successor.pending_offsets("riders")) == {FLIGHTS}
        assert offsets(successor, "other") == {FLIGHTS: 2}
        await end(cluster, successor, 3, True)
        assert offsets(successor) == {FLIGHTS: 5}
        await asyncio.sleep(1)
        assert cluster.server.state.offsets[P0].upto == cluster.logs.logs[P0].log_end_offset
        assert offsets(await cluster.leading()) == {FLIGHTS: 5}
        await cluster.close()

    virtually(body)


def test_a_marker_that_comes_while_a_partition_is_loaded_is_followed() -> None:
    async def body() -> None:
        cluster = Cluster()
        await (await cluster.leading()).commit_offsets(commit(5), within(3))
        successor = await cluster.node()
        cluster.logs.read_error = Unavailable("not yet")
        cluster.move(P0, successor)
        await asyncio.sleep(0.1)
        await end(cluster, successor, 3, True)
        cluster.logs.read_error = None
        await cluster.loaded(successor)
        await asyncio.sleep(0.1)
        assert offsets(successor) == {FLIGHTS: 5}
        await cluster.close()

    virtually(body)


def test_a_group_with_pending_offsets_stays() -> None:
    async def body() -> None:
        cluster = Cluster(offset_limits=OffsetLimits(retention_ms=1, retention_check_interval_ms=10**9))
        coordinator = await cluster.leading()
        await coordinator.commit_offsets(commit(1))
        await coordinator.commit_offsets(commit(5, FLIGHTS), within(3))
        await asyncio.sleep(1)
        await coordinator.expire()
        assert offsets(coordinator) == {FLIGHTS: 1}
        await end(cluster, coordinator, 3, False)
        await coordinator.expire()
        assert coordinator.list_groups() == []
        await coordinator.commit_offsets(commit(5), within(3))
        assert len(coordinator.list_groups()) == 1
        await end(cluster, coordinator, 3, False)
        assert coordinator.list_groups() == []
        await cluster.close()

    virtually(body)


@pytest.mark.parametrize(
    ("says", "code"),
    [
        (ErrorCode.INVALID_TXN_STATE, ErrorCode.INVALID_TXN_STATE),
        (ErrorCode.PRODUCER_FENCED, ErrorCode.INVALID_PRODUCER_EPOCH),
        (ErrorCode.CONCURRENT_TRANSACTIONS, ErrorCode.CONCURRENT_TRANSACTIONS),
        (ErrorCode.NETWORK_EXCEPTION, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS),
    ],
)
def test_a_partition_that_is_not_in_the_transaction_takes_no_offsets(says: ErrorCode, code: ErrorCode) -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        cluster.transactions.says = says
        assert await coordinator.commit_offsets(commit(5), within(3)) == {FLIGHTS: code}
        assert cluster.logs.logs[P0].log_end_offset == 0
        await cluster.close()

    virtually(body)


@pytest.mark.parametrize("version", [7, 8])
def test_who_requires_stable_offsets_is_told_what_is_pending(version: int) -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        await coordinator.commit_offsets(commit(1, FLIGHTS, OTHERS))
        await coordinator.commit_offsets(commit(5, FLIGHTS), within(3))
        handler = OffsetFetchHandler(coordinator)

        async def ask(require_stable: bool) -> dict[int, tuple[int, int]]:
            request = offset_fetch.OffsetFetchRequest(
                group_id="riders",
                topics=None,
                groups=[offset_fetch.OffsetFetchRequestGroup(group_id="riders", topics=None)],
                require_stable=require_stable,
            )
            response = await handler.handle(RequestContext(9, version, "test", "main", "127.0.0.1", 1), request)
            [topic] = response.topics if version == 7 else response.groups[0].topics
            return {one.partition_index: (one.committed_offset, one.error_code) for one in topic.partitions}

        assert await ask(False) == {0: (1, 0), 1: (1, 0)}
        assert await ask(True) == {0: (-1, ErrorCode.UNSTABLE_OFFSET_COMMIT), 1: (1, 0)}
        await end(cluster, coordinator, 3, True)
        assert await ask(True) == {0: (5, 0), 1: (1, 0)}
        await cluster.close()

    virtually(body)


STEPS = st.lists(
    st.tuples(st.sampled_from(["plain", "data", "data", "commit", "abort"]), st.integers(1, 3), st.integers(0, 2)),
    max_size=40,
)


def _expected(steps: Sequence[tuple[str, int, int]]) -> tuple[Mapping[int, int], set[int]]:
    """Partition → step of the record that counts, and what is pending: by the whole history at once."""
    valid: dict[int, int] = {}
    pending: set[int] = set()
    for at, (kind, producer, partition) in enumerate(steps):
        if kind not in ("plain", "data"):
            continue
        ends = [step[0] for step in steps[at:] if step[0] in ("commit", "abort") and step[1] == producer]
        if kind == "plain" or ends[:1] == ["commit"]:
            valid[partition] = at
        elif not ends:
            pending.add(partition)
    return valid, pending


@settings(max_examples=200, deadline=None)
@given(steps=STEPS, cut=st.integers(0, 40))
def test_a_replay_agrees_with_the_whole_history(steps: list[tuple[str, int, int]], cut: int) -> None:
    """Also one that begins where nothing is open, on the changes of the one before."""
    replay, rows, stable = Replay(), {}, 0

    def apply(changes: Sequence[Change]) -> None:
        for change in changes:
            assert isinstance(change, OffsetChange)
            assert change.row is not None
            rows[change.partition] = change.row.offset

    for at, (kind, producer, partition) in enumerate(steps):
        if at == cut and replay.stable_below(at) == at:
            replay = Replay()
        if kind in ("commit", "abort"):
            batch = encode_marker(Marker(producer, 0, 0, kind == "commit"), 1)
        else:
            key, value = encode_change(OffsetChange("riders", "flights", partition, OffsetRow(at, -1, "", 1)))
            options = {"producer_id": producer, "producer_epoch": 0, "transactional": True} if kind == "data" else {}
            batch = encode_batch([Record(0, 1, key, value)], **options)
        stamp(memoryview(batch), at, 0)
        apply(replay.feed(batch))
        assert replay.stable_below(at + 1) >= stable
        stable = replay.stable_below(at + 1)
    valid, pending = _expected(steps)
    assert rows == valid
    assert replay.pending("riders") == {("flights", partition) for partition in pending}
