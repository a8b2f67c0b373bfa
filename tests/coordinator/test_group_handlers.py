"""The group APIs end to end: requests as they come over the wire, in every version offered, and back."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from infra.error_code import ErrorCode
from infra.errors import Unavailable
from infra.wire.codec import decode_whole, encode
from infra.wire.handler import Handler, Registry, RequestContext
from infra.wire.messages import (
    delete_groups,
    describe_groups,
    heartbeat,
    join_group,
    leave_group,
    list_groups,
    offset_commit,
    offset_delete,
    offset_fetch,
    sync_group,
)
from ingest.api.delete_groups import DeleteGroupsHandler
from ingest.api.describe_groups import DescribeGroupsHandler
from ingest.api.heartbeat import HeartbeatHandler
from ingest.api.join_group import JoinGroupHandler
from ingest.api.leave_group import LeaveGroupHandler
from ingest.api.list_groups import ListGroupsHandler
from ingest.api.offset_commit import OffsetCommitHandler
from ingest.api.offset_delete import OffsetDeleteHandler
from ingest.api.offset_fetch import OffsetFetchHandler
from ingest.api.sync_group import SyncGroupHandler
from tests.coordinator.cluster import Cluster, virtually
from tests.coordinator.groups import subscription

HANDLERS = (
    JoinGroupHandler,
    SyncGroupHandler,
    HeartbeatHandler,
    LeaveGroupHandler,
    OffsetCommitHandler,
    OffsetFetchHandler,
    OffsetDeleteHandler,
    DeleteGroupsHandler,
    DescribeGroupsHandler,
    ListGroupsHandler,
)


class Wire:
    """Sends messages as a client would: each is encoded and decoded in its version, both ways."""

    def __init__(self, cluster: Cluster, registry: Registry) -> None:
        self.cluster = cluster
        self._registry = registry

    def top(self, module: Any) -> int:
        return self.find(module).max_version

    def find(self, module: Any) -> Handler:
        handler = self._registry.find(module.API_KEY)
        assert handler is not None
        return handler

    async def ask(self, module: Any, version: int | None = None, **fields: Any) -> Any:
        handler = self.find(module)
        version = handler.max_version if version is None else version
        name = handler.__class__.__name__.removesuffix("Handler")
        request_class, response_class = getattr(module, f"{name}Request"), getattr(module, f"{name}Response")
        request = decode_whole(request_class, version, encode(request_class(**fields), version))
        context = RequestContext(module.API_KEY, version, "rdk", "PLAINTEXT", "127.0.0.1", 1)
        response = await handler.handle(context, request)
        return decode_whole(response_class, version, encode(response, version))

    async def join(self, version: int | None = None, group_id: str = "riders", **fields: Any) -> Any:
        protocol = join_group.JoinGroupRequestProtocol(name="range", metadata=subscription("flights"))
        whole = {
            "session_timeout_ms": 10_000,
            "rebalance_timeout_ms": 60_000,
            "protocol_type": "consumer",
            "protocols": [protocol],
            **fields,
        }
        return await self.ask(join_group, version, group_id=group_id, **whole)

    async def commit(self, version: int | None = None, **fields: Any) -> list[int]:
        names = fields.pop("names", [("flights", 0)])
        metadata = fields.pop("metadata", "here")
        topics = [
            offset_commit.OffsetCommitRequestTopic(
                name=name,
                partitions=[
                    offset_commit.OffsetCommitRequestPartition(
                        partition_index=partition,
                        committed_offset=7,
                        committed_leader_epoch=3,
                        committed_metadata=metadata,
                    )
                ],
            )
            for name, partition in names
        ]
        response = await self.ask(offset_commit, version, **{"group_id": "riders", "topics": topics, **fields})
        return [partition.error_code for topic in response.topics for partition in topic.partitions]


def over_the_wire(body: Callable[[Wire], Awaitable[None]]) -> None:
    async def run() -> None:
        cluster = Cluster()
        coordinator = await cluster.leading()
        registry = Registry(handler(coordinator) for handler in HANDLERS)
        await body(Wire(cluster, registry))
        await cluster.close()

    virtually(run)


@pytest.mark.parametrize("version", range(10))
def test_a_member_joins_syncs_and_leaves_in_every_version(version: int) -> None:
    async def body(wire: Wire) -> None:
        joined = await wire.join(version)
        if version >= 4:
            assert joined.error_code == ErrorCode.MEMBER_ID_REQUIRED
            assert joined.generation_id == -1
            assert joined.protocol_name == (None if version >= 7 else "")
            joined = await wire.join(version, member_id=joined.member_id)
        assert (joined.error_code, joined.generation_id, joined.leader) == (0, 1, joined.member_id)
        assert joined.protocol_name == "range"
        assert joined.member_id.startswith("rdk-")
        assert [member.metadata for member in joined.members] == [subscription("flights")]
        sync_version = min(version, wire.top(sync_group))
        given = sync_group.SyncGroupRequestAssignment(member_id=joined.member_id, assignment=b"\0\0all")
        identity = {"group_id": "riders", "member_id": joined.member_id, "generation_id": 1}
        synced = await wire.ask(
            sync_group, sync_version, **identity, protocol_type="consumer", protocol_name="range", assignments=[given]
        )
        assert (synced.error_code, synced.assignment) == (0, b"\0\0all")
        assert synced.protocol_name == ("range" if sync_version >= 5 else None)
        beat = await wire.ask(heartbeat, min(version, wire.top(heartbeat)), **identity)
        assert beat.error_code == 0
        leave_version = min(version, wire.top(leave_group))
        member = leave_group.MemberIdentity(member_id=joined.member_id)
        left = await wire.ask(
            leave_group, leave_version, group_id="riders", member_id=joined.member_id, members=[member]
        )
        assert left.error_code == 0
        assert [one.error_code for one in left.members] == ([0] if leave_version >= 3 else [])
        again = await wire.ask(
            leave_group, leave_version, group_id="riders", member_id=joined.member_id, members=[member]
        )
        unknown = again.members[0].error_code if leave_version >= 3 else again.error_code
        assert unknown == ErrorCode.UNKNOWN_MEMBER_ID

    over_the_wire(body)


def test_version_0_waits_as_long_as_a_session() -> None:
    async def body(wire: Wire) -> None:
        await wire.join(0)
        assert wire.cluster.coordinators[0].describe("riders").members[0].rebalance_timeout_ms == 10_000

    over_the_wire(body)


def test_sync_version_5_must_name_its_protocol() -> None:
    async def body(wire: Wire) -> None:
        synced = await wire.ask(sync_group, group_id="riders", member_id="m", generation_id=1)
        assert synced.error_code == ErrorCode.INCONSISTENT_GROUP_PROTOCOL

    over_the_wire(body)


def test_several_members_leave_at_once_static_ones_by_their_instance() -> None:
    async def body(wire: Wire) -> None:
        joined = await wire.join(group_instance_id="one")
        identity = leave_group.MemberIdentity
        members = [identity(group_instance_id="one"), identity(member_id="nobody"), identity(group_instance_id="two")]
        left = await wire.ask(leave_group, group_id="riders", members=members)
        assert [(member.group_instance_id, member.error_code) for member in left.members] == [
            ("one", 0),
            (None, ErrorCode.UNKNOWN_MEMBER_ID),
            ("two", ErrorCode.UNKNOWN_MEMBER_ID),
        ]
        assert joined.member_id.startswith("one-")

    over_the_wire(body)


@pytest.mark.parametrize("version", range(2, 10))
def test_offsets_are_committed_in_every_version(version: int) -> None:
    async def body(wire: Wire) -> None:
        names = [("flights", 0), ("nowhere", 0)]
        assert await wire.commit(version, names=names) == [0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]
        (row,) = wire.cluster.coordinators[0].fetch_offsets("riders").values()
        assert (row.offset, row.metadata, row.leader_epoch) == (7, "here", 3 if version >= 6 else -1)
        assert await wire.commit(version, metadata=None) == [0]
        assert await wire.commit(version, generation_id_or_member_epoch=1, member_id="m") == [
            ErrorCode.UNKNOWN_MEMBER_ID
        ]

    over_the_wire(body)


@pytest.mark.parametrize("version", range(1, 8))
def test_offsets_of_one_group_are_fetched(version: int) -> None:
    async def body(wire: Wire) -> None:
        await wire.commit(names=[("flights", 2), ("trains", 0)])
        wanted = [offset_fetch.OffsetFetchRequestTopic(name="flights", partition_indexes=[2, 1])]
        found = await wire.ask(offset_fetch, version, group_id="riders", topics=wanted, require_stable=version >= 7)
        assert found.error_code == 0
        assert [(one.partition_index, one.committed_offset, one.metadata) for one in found.topics[0].partitions] == [
            (2, 7, "here"),
            (1, -1, ""),
        ]
        assert [one.committed_leader_epoch for one in found.topics[0].partitions] == [3 if version >= 5 else -1, -1]
        if version >= 2:
            every = await wire.ask(offset_fetch, version, group_id="riders", topics=None)
            assert [topic.name for topic in every.topics] == ["flights", "trains"]
        none = await wire.ask(offset_fetch, version, group_id="nobody", topics=wanted)
        assert [one.committed_offset for one in none.topics[0].partitions] == [-1, -1]
        wire.cluster.logs.topics.pop("__consumer_offsets")
        failed = await wire.ask(offset_fetch, version, group_id="riders", topics=wanted)
        if version >= 2:
            assert failed.error_code == ErrorCode.COORDINATOR_NOT_AVAILABLE
        else:
            errors = {one.error_code for one in failed.topics[0].partitions}
            assert errors == {ErrorCode.COORDINATOR_NOT_AVAILABLE}

    over_the_wire(body)


@pytest.mark.parametrize("version", [8, 9])
def test_offsets_of_several_groups_are_fetched_at_once(version: int) -> None:
    async def body(wire: Wire) -> None:
        await wire.commit(group_id="a")
        await wire.commit(group_id="b", names=[("trains", 0)])
        group, topics = offset_fetch.OffsetFetchRequestGroup, offset_fetch.OffsetFetchRequestTopics
        found = await wire.ask(
            offset_fetch,
            version,
            groups=[
                group(group_id="a", topics=[topics(name="flights", partition_indexes=[0, 1])]),
                group(group_id="b", topics=None),
            ],
        )
        shown = {
            one.group_id: [
                (topic.name, partition.partition_index, partition.committed_offset, partition.committed_leader_epoch)
                for topic in one.topics
                for partition in topic.partitions
            ]
            for one in found.groups
        }
        assert shown == {"a": [("flights", 0, 7, 3), ("flights", 1, -1, -1)], "b": [("trains", 0, 7, 3)]}
        wire.cluster.logs.topics.pop("__consumer_offsets")
        failed = await wire.ask(offset_fetch, version, groups=[group(group_id="a", topics=None)])
        assert [one.error_code for one in failed.groups] == [ErrorCode.COORDINATOR_NOT_AVAILABLE]

    over_the_wire(body)


def test_offsets_are_deleted() -> None:
    async def body(wire: Wire) -> None:
        await wire.commit(names=[("flights", 0), ("trains", 0)])
        partition = offset_delete.OffsetDeleteRequestPartition(partition_index=0)
        topics = [
            offset_delete.OffsetDeleteRequestTopic(name=name, partitions=[partition]) for name in ("flights", "nowhere")
        ]
        deleted = await wire.ask(offset_delete, group_id="riders", topics=topics)
        errors = [one.error_code for topic in deleted.topics for one in topic.partitions]
        assert (deleted.error_code, errors) == (0, [0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION])
        assert list(wire.cluster.coordinators[0].fetch_offsets("riders")) == [("trains", 0)]
        none = await wire.ask(offset_delete, group_id="nobody", topics=topics)
        assert (none.error_code, none.topics) == (ErrorCode.GROUP_ID_NOT_FOUND, [])

    over_the_wire(body)


@pytest.mark.parametrize("version", range(3))
def test_groups_are_deleted(version: int) -> None:
    async def body(wire: Wire) -> None:
        await wire.commit()
        await wire.join(group_id="busy", group_instance_id="one")
        deleted = await wire.ask(delete_groups, version, groups_names=["riders", "nobody", "busy", "riders"])
        assert {result.group_id: result.error_code for result in deleted.results} == {
            "riders": 0,
            "nobody": ErrorCode.GROUP_ID_NOT_FOUND,
            "busy": ErrorCode.NON_EMPTY_GROUP,
        }

    over_the_wire(body)


@pytest.mark.parametrize("version", range(6))
def test_groups_are_described(version: int) -> None:
    async def body(wire: Wire) -> None:
        joined = await wire.join(group_instance_id="one")
        found = await wire.ask(describe_groups, version, groups=["riders", "nobody"])
        riders, nobody = found.groups
        assert (riders.group_state, riders.protocol_type, riders.protocol_data) == (
            "CompletingRebalance",
            "consumer",
            "",
        )
        assert (nobody.error_code, nobody.group_state, nobody.members) == (0, "Dead", [])
        given = sync_group.SyncGroupRequestAssignment(member_id=joined.member_id, assignment=b"\0\0all")
        identity = {"group_id": "riders", "member_id": joined.member_id, "generation_id": 1}
        names = {"group_instance_id": "one", "protocol_type": "consumer", "protocol_name": "range"}
        await wire.ask(sync_group, **identity, **names, assignments=[given])
        (riders,) = (await wire.ask(describe_groups, version, groups=["riders"])).groups
        (member,) = riders.members
        assert (riders.group_state, riders.protocol_data) == ("Stable", "range")
        assert (member.client_id, member.client_host, member.group_instance_id) == (
            "rdk",
            "/127.0.0.1",
            "one" if version >= 4 else None,
        )
        assert (member.member_metadata, member.member_assignment) == (subscription("flights"), b"\0\0all")
        assert riders.authorized_operations == -(2**31)

    over_the_wire(body)


@pytest.mark.parametrize("version", range(6))
def test_groups_are_listed(version: int) -> None:
    async def body(wire: Wire) -> None:
        await wire.commit(group_id="simple")
        await wire.join(group_instance_id="one")
        listed = await wire.ask(list_groups, version)
        assert {(group.group_id, group.protocol_type) for group in listed.groups} == {
            ("simple", ""),
            ("riders", "consumer"),
        }
        if version >= 4:
            empty = await wire.ask(list_groups, version, states_filter=["empty", "Stable"])
            assert [(group.group_id, group.group_state) for group in empty.groups] == [("simple", "Empty")]
        if version >= 5:
            classic = await wire.ask(list_groups, version, types_filter=["Classic"])
            assert {group.group_type for group in classic.groups} == {"classic"}
            assert not (await wire.ask(list_groups, version, types_filter=["consumer"])).groups

    over_the_wire(body)


def test_errors_of_the_coordinator_reach_every_answer() -> None:
    async def body(wire: Wire) -> None:
        (partition,) = wire.cluster.logs.logs
        other = await wire.cluster.node()
        wire.cluster.move(partition, other)
        moved = ErrorCode.NOT_COORDINATOR
        identity = {"group_id": "riders", "member_id": "m", "generation_id": 1}
        assert (await wire.join()).error_code == moved
        names = {"protocol_type": "consumer", "protocol_name": "range"}
        assert (await wire.ask(sync_group, **identity, **names)).error_code == moved
        assert (await wire.ask(heartbeat, **identity)).error_code == moved
        assert (await wire.ask(leave_group, group_id="riders")).error_code == moved
        assert await wire.commit() == [moved]
        assert (await wire.ask(offset_delete, group_id="riders")).error_code == moved
        assert [one.error_code for one in (await wire.ask(delete_groups, groups_names=["riders"])).results] == [moved]
        assert [one.error_code for one in (await wire.ask(describe_groups, groups=["riders"])).groups] == [moved]
        assert (await wire.join(group_id="")).error_code == ErrorCode.INVALID_GROUP_ID

    over_the_wire(body)


def test_listing_waits_for_groups_that_are_loaded() -> None:
    async def body(wire: Wire) -> None:
        (partition,) = wire.cluster.logs.logs
        wire.cluster.logs.read_error = Unavailable("the store is down")
        wire.cluster.move(partition, wire.cluster.coordinators[0])
        await asyncio.sleep(1)
        assert (await wire.ask(list_groups)).error_code == ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        described = await wire.ask(describe_groups, groups=["riders"])
        assert described.groups[0].error_code == ErrorCode.COORDINATOR_LOAD_IN_PROGRESS

    over_the_wire(body)
