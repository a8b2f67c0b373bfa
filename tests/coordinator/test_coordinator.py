"""The coordinator over its log: durability, restarts, moves, a view that forgets, expiry."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from infra.error_code import ErrorCode
from infra.errors import Refused, Unavailable
from infra.partition import PartitionId, TopicPartition
from infra.ports import EpochStart
from infra.records.control import Marker, encode_marker
from infra.records.encode import encode_batch
from infra.records.record import Record
from infra.view.port import OffsetRow
from ingest.coordinator.coordinator import GroupCoordinator
from ingest.coordinator.group_effects import GroupLimits, JoinAnswer, JoinRequest, SyncRequest
from ingest.coordinator.offset_records import OffsetChange, encode_change
from ingest.coordinator.offsets import CommittedOffset, OffsetCommit, OffsetLimits
from tests.coordinator.cluster import OFFSETS_ID, Cluster, virtually
from tests.coordinator.groups import RANGE

P0 = PartitionId(OFFSETS_ID, 0)
FLIGHTS = ("flights", 0)
HOUR_MS = 3_600_000


def commit(offset: int = 5, group: str = "riders", **more: Any) -> OffsetCommit:
    names: Sequence[TopicPartition] = more.pop("names", [FLIGHTS])
    return OffsetCommit(group_id=group, offsets={name: CommittedOffset(offset=offset) for name in names}, **more)


def join_request(member_id: str = "", instance_id: str | None = None, fresh_id: str = "1") -> JoinRequest:
    return JoinRequest(
        member_id=member_id,
        instance_id=instance_id,
        client_id="client",
        client_host="/127.0.0.1",
        session_timeout_ms=10_000,
        rebalance_timeout_ms=60_000,
        protocol_type="consumer",
        protocols=RANGE,
        fresh_id=fresh_id,
        require_known_member_id=False,
    )


async def stable_group(coordinator: GroupCoordinator, group: str = "riders") -> tuple[str, str]:
    """Two members of a new group, synced; the leader first."""
    joins = [asyncio.create_task(coordinator.join(group, join_request(fresh_id=str(number)))) for number in range(2)]
    answers: list[JoinAnswer] = await asyncio.gather(*joins)
    leader, follower = sorted((answer.member_id for answer in answers), key=lambda one: one != answers[0].leader)
    waiting = asyncio.create_task(
        coordinator.sync(group, SyncRequest(member_id=follower, instance_id=None, generation=1))
    )
    assigned = ((leader, b"one"), (follower, b"two"))
    await coordinator.sync(group, SyncRequest(member_id=leader, instance_id=None, generation=1, assignments=assigned))
    assert (await waiting).assignment == b"two"
    return leader, follower


def offsets(coordinator: GroupCoordinator, group: str = "riders") -> dict[TopicPartition, int]:
    return {name: row.offset for name, row in coordinator.fetch_offsets(group).items()}


async def until_applied(cluster: Cluster) -> None:
    """Wait until the view is as far as the log."""
    for _ in range(1_000):
        known = cluster.server.state.offsets.get(P0)
        if known is not None and known.upto >= cluster.logs.logs[P0].log_end_offset:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the view stays behind")


def refused(call: Any, *arguments: Any) -> ErrorCode:
    with pytest.raises(Refused) as caught:
        call(*arguments)
    return caught.value.code


def test_a_commit_is_answered_when_it_is_durable() -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        cluster.logs.gate = asyncio.Event()
        waiting = asyncio.create_task(coordinator.commit_offsets(commit(7)))
        await asyncio.sleep(1)
        assert not waiting.done()
        assert offsets(coordinator) == {}
        cluster.logs.gate.set()
        assert await waiting == {FLIGHTS: ErrorCode.NONE}
        assert offsets(coordinator) == {FLIGHTS: 7}
        await cluster.close()

    virtually(body)


def test_commits_that_wait_together_share_a_batch() -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        await asyncio.gather(*(coordinator.commit_offsets(commit(n, f"g{n}")) for n in range(50)))
        assert cluster.logs.appends == [50]
        assert offsets(coordinator, "g49") == {FLIGHTS: 49}
        await cluster.close()

    virtually(body)


def test_appends_under_way_do_not_hold_up_the_next_and_settle_in_order() -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        cluster.logs.gate = asyncio.Event()
        waiting = []
        for n in range(10):
            waiting.append(asyncio.create_task(coordinator.commit_offsets(commit(n))))
            await asyncio.sleep(0.01)
        assert cluster.logs.appends == [1, 1, 1, 1], "four under way, the others wait together"
        cluster.logs.gate.set()
        await asyncio.gather(*waiting)
        assert cluster.logs.appends == [1, 1, 1, 1, 6]
        assert offsets(coordinator) == {FLIGHTS: 9}
        await cluster.close()

    virtually(body)


def test_a_commit_that_fails_is_not_seen() -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        cluster.logs.append_error = Unavailable("the store is down")
        assert await coordinator.commit_offsets(commit(7)) == {FLIGHTS: ErrorCode.COORDINATOR_NOT_AVAILABLE}
        assert offsets(coordinator) == {}
        cluster.logs.append_error = Refused(ErrorCode.MESSAGE_TOO_LARGE)
        assert await coordinator.commit_offsets(commit(7)) == {FLIGHTS: ErrorCode.INVALID_COMMIT_OFFSET_SIZE}
        await cluster.close()

    virtually(body)


def test_a_commit_whose_answer_was_lost_is_taken_in_before_the_next() -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        cluster.logs.append_error, cluster.logs.lose_answer = Unavailable("no answer"), True
        await coordinator.commit_offsets(commit(7))
        cluster.logs.append_error = None
        await coordinator.commit_offsets(commit(1, names=[("flights", 1)]))
        assert offsets(coordinator) == {FLIGHTS: 7, ("flights", 1): 1}
        await until_applied(cluster)
        again = await cluster.leading()
        assert offsets(again) == {FLIGHTS: 7, ("flights", 1): 1}
        await cluster.close()

    virtually(body)


def test_what_cannot_be_committed() -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        names = [FLIGHTS, ("flights", 3), ("nowhere", 0)]
        request = commit(7, names=names)
        long = CommittedOffset(offset=1, metadata="ñ" * 2_049)
        request = replace(request, offsets={**request.offsets, ("flights", 1): long})
        assert await coordinator.commit_offsets(request) == {
            FLIGHTS: ErrorCode.NONE,
            ("flights", 3): ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            ("nowhere", 0): ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            ("flights", 1): ErrorCode.OFFSET_METADATA_TOO_LARGE,
        }
        assert cluster.logs.appends == [1]
        with pytest.raises(Refused) as caught:
            await coordinator.commit_offsets(commit(1, "other", generation=3, member_id="m"))
        assert caught.value.code is ErrorCode.ILLEGAL_GENERATION
        await cluster.close()

    virtually(body)


def test_members_go_on_after_a_restart_without_a_rebalance() -> None:
    async def body() -> None:
        cluster = Cluster()
        before = await cluster.leading()
        leader, follower = await stable_group(before)
        await before.commit_offsets(commit(7, generation=1, member_id=leader))
        after = await cluster.leading()
        assert before.heartbeat("riders", leader, None, 1) is ErrorCode.NOT_COORDINATOR
        assert after.heartbeat("riders", leader, None, 1) is ErrorCode.NONE
        assert after.heartbeat("riders", follower, None, 1) is ErrorCode.NONE
        synced = await after.sync("riders", SyncRequest(member_id=follower, instance_id=None, generation=1))
        assert synced.assignment == b"two"
        assert offsets(after) == {FLIGHTS: 7}
        described = after.describe("riders")
        assert (described.state, described.protocol, len(described.members)) == ("Stable", "range", 2)
        await cluster.close()

    virtually(body)


def test_the_view_saves_replaying_and_a_wiped_one_does_not_matter() -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        for n in range(20):
            await coordinator.commit_offsets(commit(n))
        await until_applied(cluster)
        cluster.logs.reads.clear()
        coordinator = await cluster.leading()
        assert cluster.logs.reads == [20], "the view was as far as the log"
        assert offsets(coordinator) == {FLIGHTS: 19}
        cluster.server.wipe()
        coordinator = await cluster.leading()
        assert cluster.logs.reads == [20, 0], "the log alone tells it all"
        assert offsets(coordinator) == {FLIGHTS: 19}
        await until_applied(cluster)
        assert (
            cluster.server.state.offsets[P0].rows[("riders", *FLIGHTS)] == coordinator.fetch_offsets("riders")[FLIGHTS]
        )
        await cluster.close()

    virtually(body)


def test_a_view_that_forgot_the_last_moments_is_given_everything_anew() -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        await stable_group(coordinator, "others")
        await coordinator.commit_offsets(commit(1))
        await until_applied(cluster)
        stale = cluster.server.snapshot()
        await coordinator.commit_offsets(commit(2, names=[("flights", 1)]))
        await until_applied(cluster)
        cluster.server.restore(stale)
        await coordinator.commit_offsets(commit(3, names=[("flights", 2)]))
        await until_applied(cluster)
        cluster.logs.reads.clear()
        again = await cluster.leading()
        assert cluster.logs.reads == [cluster.logs.logs[P0].log_end_offset]
        assert offsets(again) == {FLIGHTS: 1, ("flights", 1): 2, ("flights", 2): 3}
        assert again.describe("others").state == "Stable"
        await cluster.close()

    virtually(body)


def test_a_view_ahead_of_the_log_is_not_believed() -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        await coordinator.commit_offsets(commit(1))
        await coordinator.commit_offsets(commit(2, "lost"))
        await until_applied(cluster)
        log = cluster.logs.logs[P0]
        log.batches.pop()  # the disk, and what only it held, is gone
        log.log_end_offset -= 1
        coordinator = await cluster.leading()
        assert offsets(coordinator) == {FLIGHTS: 1}
        assert offsets(coordinator, "lost") == {}
        for n in range(5):
            await coordinator.commit_offsets(commit(n, "new"))
        await until_applied(cluster)
        cluster.logs.reads.clear()
        again = await cluster.leading()
        assert cluster.logs.reads == [log.log_end_offset]
        assert (offsets(again, "lost"), offsets(again, "new")) == ({}, {FLIGHTS: 4})
        await cluster.close()

    virtually(body)


def test_redis_may_be_down_while_offsets_are_committed_and_loaded() -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        cluster.server.down = True
        await coordinator.commit_offsets(commit(1))
        again = await cluster.node()
        cluster.move(P0, again)
        await cluster.loaded(again)
        assert offsets(again) == {FLIGHTS: 1}
        await again.commit_offsets(commit(2))
        await asyncio.sleep(10)
        cluster.server.down = False
        await until_applied(cluster)
        await cluster.close()

    virtually(body)


def test_many_offsets_are_given_to_the_view_in_pieces() -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        await asyncio.gather(*(coordinator.commit_offsets(commit(n, f"g{n}")) for n in range(5_000)))
        await until_applied(cluster)
        assert len(cluster.server.state.offsets[P0].rows) == 5_000
        cluster.server.wipe()
        coordinator = await cluster.leading()
        await until_applied(cluster)
        assert len(cluster.server.state.offsets[P0].rows) == 5_000
        await cluster.close()

    virtually(body)


def test_while_it_is_loaded_a_group_asks_for_patience() -> None:
    async def body() -> None:
        cluster = Cluster()
        before = await cluster.leading()
        leader, _ = await stable_group(before)
        cluster.logs.read_error = Unavailable("the store is down")
        after = await cluster.node()
        cluster.move(P0, after)
        await asyncio.sleep(5)
        assert refused(after.fetch_offsets, "riders") is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        assert refused(after.list_groups) is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        assert after.heartbeat("riders", leader, None, 1) is ErrorCode.NONE
        synced = await after.sync("riders", SyncRequest(member_id=leader, instance_id=None, generation=1))
        assert synced.error is ErrorCode.REBALANCE_IN_PROGRESS
        cluster.logs.read_error = None
        await cluster.loaded(after)
        assert after.heartbeat("riders", leader, None, 1) is ErrorCode.NONE
        await cluster.close()

    virtually(body)


def test_a_move_answers_everything_that_is_parked() -> None:
    async def body() -> None:
        cluster = Cluster()
        before = await cluster.leading()
        joining = asyncio.create_task(before.join("riders", join_request()))
        cluster.logs.gate = asyncio.Event()
        committing = asyncio.create_task(before.commit_offsets(commit(1, "other")))
        await asyncio.sleep(0.01)
        after = await cluster.leading()
        with pytest.raises(Refused) as caught:
            await joining
        assert caught.value.code is ErrorCode.NOT_COORDINATOR
        assert await committing == {FLIGHTS: ErrorCode.NOT_COORDINATOR}
        assert refused(before.fetch_offsets, "riders") is ErrorCode.NOT_COORDINATOR
        cluster.logs.gate.set()
        assert offsets(after, "other") == {FLIGHTS: 1}, "it was in the log all the same"
        await cluster.close()

    virtually(body)


def test_a_session_past_its_ttl_answers_nothing() -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        leader, _ = await stable_group(coordinator)
        waiting = asyncio.create_task(coordinator.join("riders", join_request(leader)))
        await asyncio.sleep(0)
        cluster.logs.logs[P0].fenced = True
        assert coordinator.heartbeat("riders", leader, None, 1) is ErrorCode.NOT_COORDINATOR
        assert refused(coordinator.fetch_offsets, "riders") is ErrorCode.NOT_COORDINATOR
        assert refused(coordinator.list_groups) is ErrorCode.NOT_COORDINATOR
        with pytest.raises(Refused):
            await waiting  # the follower's session lapses, but nobody may be told of it
        await cluster.close()

    virtually(body)


def test_without_leader_or_topic_the_coordinator_is_not_available() -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.node()
        assert refused(coordinator.fetch_offsets, "riders") is ErrorCode.COORDINATOR_NOT_AVAILABLE
        other = await cluster.leading()
        assert refused(coordinator.fetch_offsets, "riders") is ErrorCode.NOT_COORDINATOR
        assert refused(other.leave, "", [("m", None)]) is ErrorCode.INVALID_GROUP_ID
        assert offsets(other, "") == {}
        del cluster.logs.topics["__consumer_offsets"]
        assert refused(other.fetch_offsets, "riders") is ErrorCode.COORDINATOR_NOT_AVAILABLE
        await cluster.close()

    virtually(body)


def test_groups_are_spread_over_partitions_and_listed_together() -> None:
    async def body() -> None:
        cluster = Cluster(partitions=4)
        coordinator = await cluster.leading()
        for n in range(12):
            await coordinator.commit_offsets(commit(n, f"g{n}"))
        assert len([log for log in cluster.logs.logs.values() if log.log_end_offset]) == 4
        assert {listed.group_id for listed in coordinator.list_groups()} == {f"g{n}" for n in range(12)}
        assert {group: rows[FLIGHTS].offset for group, rows in coordinator.committed().items()} == {
            f"g{n}": n for n in range(12)
        }
        await cluster.close()

    virtually(body)


def test_a_deleted_group_stays_deleted() -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        leader, follower = await stable_group(coordinator)
        await coordinator.commit_offsets(commit(1, generation=1, member_id=leader))
        assert await coordinator.delete_group("riders") is ErrorCode.NON_EMPTY_GROUP
        assert await coordinator.delete_group("nobody") is ErrorCode.GROUP_ID_NOT_FOUND
        assert coordinator.leave("riders", [(leader, None), (follower, None)]) == [ErrorCode.NONE] * 2
        await asyncio.sleep(0.1)
        cluster.logs.append_error = Unavailable("the store is down")
        assert await coordinator.delete_group("riders") is ErrorCode.COORDINATOR_NOT_AVAILABLE
        assert offsets(coordinator) == {FLIGHTS: 1}
        cluster.logs.append_error = None
        assert await coordinator.delete_group("riders") is ErrorCode.NONE
        assert coordinator.describe("riders").state == "Dead"
        assert coordinator.list_groups() == []
        await until_applied(cluster)
        assert (await cluster.leading()).list_groups() == []
        cluster.server.wipe()
        again = await cluster.leading()
        assert again.list_groups() == []
        assert offsets(again) == {}
        await cluster.close()

    virtually(body)


def test_offsets_of_subscribed_topics_cannot_be_deleted() -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        leader, _ = await stable_group(coordinator)
        names = [FLIGHTS, ("trains", 0)]
        await coordinator.commit_offsets(commit(1, generation=1, member_id=leader, names=names))
        assert await coordinator.delete_offsets("riders", [*names, ("nowhere", 0)]) == {
            FLIGHTS: ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC,
            ("trains", 0): ErrorCode.NONE,
            ("nowhere", 0): ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        }
        assert offsets(coordinator) == {FLIGHTS: 1}
        with pytest.raises(Refused, match="no group"):
            await coordinator.delete_offsets("nobody", names)
        await cluster.close()

    virtually(body)


def test_offsets_go_with_their_topic() -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        await coordinator.commit_offsets(commit(1, names=[FLIGHTS, ("flights", 2), ("trains", 0)]))
        await coordinator.commit_offsets(commit(1, "flyers"))
        coordinator.on_topics_deleted({"flights"})
        await asyncio.sleep(1)
        assert offsets(coordinator) == {("trains", 0): 1}
        assert [listed.group_id for listed in coordinator.list_groups()] == ["riders"]
        await cluster.close()

    virtually(body)


def test_a_retention_beyond_time_is_forever() -> None:
    async def body() -> None:
        cluster = Cluster(offset_limits=OffsetLimits(retention_ms=HOUR_MS))
        coordinator = await cluster.leading()
        await coordinator.commit_offsets(commit(1, "simple", retention_ms=2**63 - 1))
        cluster.clock.wall_offset_ms += 10_000 * HOUR_MS
        await coordinator.expire()
        assert offsets(coordinator, "simple") == {FLIGHTS: 1}
        await cluster.close()

    virtually(body)


def test_offsets_expire() -> None:
    async def body() -> None:
        limits = OffsetLimits(retention_ms=24 * HOUR_MS)
        cluster = Cluster(offset_limits=limits, limits=GroupLimits(max_session_timeout_ms=1_000_000_000))
        coordinator = await cluster.leading()
        leader, follower = await stable_group(coordinator)
        both = [FLIGHTS, ("trains", 0)]
        await coordinator.commit_offsets(commit(1, generation=1, member_id=leader, names=both))
        await coordinator.commit_offsets(commit(1, "simple", names=both))
        await coordinator.commit_offsets(commit(1, "short", retention_ms=HOUR_MS))
        cluster.clock.wall_offset_ms += HOUR_MS
        await coordinator.expire()
        assert {listed.group_id for listed in coordinator.list_groups()} == {"riders", "simple"}
        cluster.clock.wall_offset_ms += 22 * HOUR_MS
        await coordinator.commit_offsets(commit(2, "simple"))
        cluster.clock.wall_offset_ms += HOUR_MS
        await coordinator.expire()
        assert offsets(coordinator) == {FLIGHTS: 1}, "the members read flights, nobody reads trains"
        assert offsets(coordinator, "simple") == {FLIGHTS: 2}
        coordinator.leave("riders", [(leader, None), (follower, None)])
        cluster.clock.wall_offset_ms += 23 * HOUR_MS
        await coordinator.expire()
        assert offsets(coordinator) == {FLIGHTS: 1}, "an empty group's time counts from when it became empty"
        cluster.clock.wall_offset_ms += HOUR_MS
        await coordinator.expire()
        assert coordinator.list_groups() == []
        await until_applied(cluster)
        assert not cluster.server.state.offsets[P0].rows
        assert not cluster.server.state.offsets[P0].groups
        await cluster.close()

    virtually(body)


def test_the_expiry_runs_by_itself() -> None:
    async def body() -> None:
        cluster = Cluster(offset_limits=OffsetLimits(retention_ms=HOUR_MS))
        coordinator = await cluster.leading()
        running = asyncio.create_task(coordinator.run())
        await coordinator.commit_offsets(commit(1))
        await asyncio.sleep(3_500)
        assert offsets(coordinator) == {FLIGHTS: 1}
        await asyncio.sleep(1_000)
        assert offsets(coordinator) == {}
        running.cancel()
        await cluster.close()

    virtually(body)


def test_members_lapse_by_themselves() -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        leader, follower = await stable_group(coordinator)
        for _ in range(3):
            await asyncio.sleep(5)
            coordinator.heartbeat("riders", leader, None, 1)
        assert coordinator.heartbeat("riders", leader, None, 1) is ErrorCode.REBALANCE_IN_PROGRESS
        assert coordinator.heartbeat("riders", follower, None, 1) is ErrorCode.UNKNOWN_MEMBER_ID
        await asyncio.sleep(60)
        assert coordinator.describe("riders").state == "Empty"
        again = await cluster.leading()
        assert again.describe("riders").state == "Empty"
        await cluster.close()

    virtually(body)


def test_a_group_nobody_came_to_is_forgotten() -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        answer = await coordinator.join("riders", replace(join_request(), require_known_member_id=True))
        assert answer.error is ErrorCode.MEMBER_ID_REQUIRED
        assert len(coordinator.list_groups()) == 1
        await asyncio.sleep(11)
        assert coordinator.list_groups() == []
        refused_join = await coordinator.join("other", replace(join_request(), session_timeout_ms=1))
        assert refused_join.error is ErrorCode.INVALID_SESSION_TIMEOUT
        assert coordinator.list_groups() == []
        assert (await coordinator.join("riders", join_request("m"))).error is ErrorCode.UNKNOWN_MEMBER_ID
        await cluster.close()

    virtually(body)


def test_an_assignment_that_cannot_be_stored_is_not_given_out() -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        joined = await coordinator.join("riders", join_request())
        cluster.logs.append_error = Unavailable("the store is down")
        request = SyncRequest(
            member_id=joined.member_id, instance_id=None, generation=1, assignments=((joined.member_id, b"x"),)
        )
        assert (await coordinator.sync("riders", request)).error is ErrorCode.COORDINATOR_NOT_AVAILABLE
        assert coordinator.describe("riders").state == "PreparingRebalance"
        await cluster.close()

    virtually(body)


def transactional(cluster: Cluster, producer_id: int, offset: int) -> bytearray:
    row = OffsetRow(offset, -1, "", cluster.clock.now_ms())
    key, value = encode_change(OffsetChange("riders", *FLIGHTS, row))
    return encode_batch([Record(0, 1, key, value)], producer_id=producer_id, producer_epoch=0, transactional=True)


def test_offsets_of_transactions_count_from_their_commit() -> None:
    async def body() -> None:
        cluster = Cluster()
        log = cluster.logs.logs[P0]
        log.epochs.append(EpochStart(0, 0))
        for producer_id, offset, commits in ((1, 10, True), (2, 20, False), (3, 30, None)):
            log.append(transactional(cluster, producer_id, offset))
            if commits is not None:
                log.append(encode_marker(Marker(producer_id, 0, 0, commit=commits), 1))
        log.open_transaction_at = 4
        coordinator = await cluster.leading()
        assert offsets(coordinator) == {FLIGHTS: 10}
        await coordinator.commit_offsets(commit(1, "other"))
        await asyncio.sleep(10)
        assert cluster.server.state.offsets[P0].upto == 4, "nothing above an open transaction counts as applied"
        log.append(encode_marker(Marker(3, 0, 0, commit=True), 1))
        log.open_transaction_at = None
        again = await cluster.leading()
        assert offsets(again) == {FLIGHTS: 30}
        assert offsets(again, "other") == {FLIGHTS: 1}
        await cluster.close()

    virtually(body)


def test_offsets_of_a_partition_taken_twice_are_loaded_afresh() -> None:
    async def body() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        await coordinator.commit_offsets(commit(1, "a"))
        cluster.move(P0, coordinator)
        await cluster.loaded(coordinator)
        coordinator.on_release(P0, 0)  # late news of the lease before
        assert offsets(coordinator, "a") == {FLIGHTS: 1}
        await coordinator.commit_offsets(commit(2, "a", names=[("flights", 1)]))
        await cluster.close()

    virtually(body)
