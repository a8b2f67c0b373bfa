"""Checks of consumer groups: membership, committed offsets, and administration."""

from collections.abc import Sequence
from typing import Any

from cauce.access.asking import REFUSED, Answer, Asking
from cauce.access.check import Check
from cauce.access.shapes import all_or_nothing, each, split, topic_refusal
from infra.error_code import ErrorCode
from infra.security.acl import Operation, ResourceType
from infra.wire.messages import (
    delete_groups,
    describe_groups,
    find_coordinator,
    heartbeat,
    join_group,
    leave_group,
    list_groups,
    offset_commit,
    offset_delete,
    offset_fetch,
    sync_group,
)

_GROUP, _TOPIC = ResourceType.GROUP, ResourceType.TOPIC
_COORDINATED = {0: _GROUP, 1: ResourceType.TRANSACTIONAL_ID}  # key types of FindCoordinator
_FIRST_FIND_WITH_KEYS = 4
_FIRST_OFFSET_FETCH_WITH_ERROR = 2
_FIRST_OFFSET_FETCH_OF_GROUPS = 8


def _group_id(request: Any) -> str:
    return str(request.group_id)


def _member(response: Any) -> Any:
    """The check of a call of a group's member; `response`: the class of its answer."""
    return all_or_nothing(Operation.READ, _GROUP, _group_id, lambda _, code: response(error_code=code))


def _not_joined(_: Any, code: ErrorCode) -> join_group.JoinGroupResponse:
    return join_group.JoinGroupResponse(error_code=code, protocol_name="")


async def _find_coordinator(asking: Asking, request: find_coordinator.FindCoordinatorRequest, answer: Answer) -> Any:
    kind = _COORDINATED.get(request.key_type)
    if kind is None:
        return await answer(request)  # refused for another reason
    if asking.version < _FIRST_FIND_WITH_KEYS:
        if asking.may(Operation.DESCRIBE, kind, request.key):
            return await answer(request)
        return find_coordinator.FindCoordinatorResponse(
            error_code=REFUSED[kind], error_message=None, node_id=-1, host="", port=-1
        )
    return await _find_each[kind](asking, request, answer)


_find_each = {
    kind: each(
        Operation.DESCRIBE,
        kind,
        "coordinator_keys",
        "coordinators",
        find_coordinator.FindCoordinatorResponse,
        lambda key, code: find_coordinator.Coordinator(
            key=key, node_id=-1, host="", port=-1, error_code=code, error_message=None
        ),
        name="",
    )
    for kind in _COORDINATED.values()
}


async def _describe_groups(asking: Asking, request: describe_groups.DescribeGroupsRequest, answer: Answer) -> Any:
    response = await _describe_each(asking, request, answer)
    if request.include_authorized_operations:
        for group in response.groups:
            if group.error_code == ErrorCode.NONE:
                group.authorized_operations = asking.operations(_GROUP, group.group_id)
    return response


_describe_each = each(
    Operation.DESCRIBE,
    _GROUP,
    "groups",
    "groups",
    describe_groups.DescribeGroupsResponse,
    lambda group, code: describe_groups.DescribedGroup(group_id=group, error_code=code),
    name="",
)


async def _list_groups(asking: Asking, request: list_groups.ListGroupsRequest, answer: Answer) -> Any:
    """Who may describe the cluster sees all."""
    response = await answer(request)
    if not asking.may_cluster(Operation.DESCRIBE, quietly=True):
        response.groups = [
            group for group in response.groups if asking.may(Operation.DESCRIBE, _GROUP, group.group_id, quietly=True)
        ]
    return response


_uncommitted = topic_refusal(offset_commit.OffsetCommitResponseTopic, offset_commit.OffsetCommitResponsePartition)


async def _offset_commit(asking: Asking, request: offset_commit.OffsetCommitRequest, answer: Answer) -> Any:
    if not asking.may(Operation.READ, _GROUP, request.group_id):
        return offset_commit.OffsetCommitResponse(
            topics=[_uncommitted(topic, REFUSED[_GROUP]) for topic in request.topics]
        )
    return await _commit_topics(asking, request, answer)


_commit_topics = each(Operation.READ, _TOPIC, "topics", "topics", offset_commit.OffsetCommitResponse, _uncommitted)


async def _offset_delete(asking: Asking, request: offset_delete.OffsetDeleteRequest, answer: Answer) -> Any:
    if not asking.may(Operation.DELETE, _GROUP, request.group_id):
        return offset_delete.OffsetDeleteResponse(error_code=REFUSED[_GROUP])
    return await _delete_offsets(asking, request, answer)


_delete_offsets = each(
    Operation.READ,
    _TOPIC,
    "topics",
    "topics",
    offset_delete.OffsetDeleteResponse,
    topic_refusal(offset_delete.OffsetDeleteResponseTopic, offset_delete.OffsetDeleteResponsePartition),
)


async def _offset_fetch(asking: Asking, request: offset_fetch.OffsetFetchRequest, answer: Answer) -> Any:
    if asking.version >= _FIRST_OFFSET_FETCH_OF_GROUPS:
        return await _offset_fetch_groups(asking, request, answer)
    if not asking.may(Operation.DESCRIBE, _GROUP, request.group_id):
        return _offsets_refused(asking.version, request)
    everything = request.topics is None
    refused: list[Any] = []
    if request.topics is not None:
        request.topics, refused = split(request.topics, lambda topic: _sees(asking, topic.name))
        if refused and not request.topics:
            return offset_fetch.OffsetFetchResponse(topics=[_unfetched(topic) for topic in refused])
    response = await answer(request)
    if everything:
        response.topics = [topic for topic in response.topics if _sees(asking, topic.name, quietly=True)]
    response.topics.extend(_unfetched(topic) for topic in refused)
    return response


async def _offset_fetch_groups(asking: Asking, request: offset_fetch.OffsetFetchRequest, answer: Answer) -> Any:
    request.groups, refused_groups = split(
        request.groups, lambda group: asking.may(Operation.DESCRIBE, _GROUP, group.group_id)
    )
    refused: dict[str, list[Any]] = {}
    everything = {group.group_id for group in request.groups if group.topics is None}
    for group in request.groups:
        if group.topics is not None:
            group.topics, refused[group.group_id] = split(group.topics, lambda topic: _sees(asking, topic.name))
    response = await answer(request) if request.groups else offset_fetch.OffsetFetchResponse()
    for told in response.groups:
        if told.group_id in everything:
            told.topics = [topic for topic in told.topics if _sees(asking, topic.name, quietly=True)]
        told.topics.extend(_unfetched_of_group(topic) for topic in refused.get(told.group_id, ()))
    response.groups.extend(
        offset_fetch.OffsetFetchResponseGroup(group_id=group.group_id, error_code=REFUSED[_GROUP])
        for group in refused_groups
    )
    return response


def _sees(asking: Asking, topic: str, *, quietly: bool = False) -> bool:
    return asking.may(Operation.DESCRIBE, _TOPIC, topic, quietly=quietly)


def _offsets_refused(version: int, request: offset_fetch.OffsetFetchRequest) -> offset_fetch.OffsetFetchResponse:
    if version >= _FIRST_OFFSET_FETCH_WITH_ERROR:
        return offset_fetch.OffsetFetchResponse(error_code=REFUSED[_GROUP])
    return offset_fetch.OffsetFetchResponse(
        topics=[_unfetched(topic, REFUSED[_GROUP]) for topic in request.topics or ()]
    )


def _unfetched(topic: Any, code: ErrorCode = REFUSED[_TOPIC]) -> offset_fetch.OffsetFetchResponseTopic:
    return offset_fetch.OffsetFetchResponseTopic(
        name=topic.name,
        partitions=[
            offset_fetch.OffsetFetchResponsePartition(
                partition_index=number, committed_offset=-1, metadata="", error_code=code
            )
            for number in topic.partition_indexes
        ],
    )


def _unfetched_of_group(topic: Any) -> offset_fetch.OffsetFetchResponseTopics:
    return offset_fetch.OffsetFetchResponseTopics(
        name=topic.name,
        partitions=[
            offset_fetch.OffsetFetchResponsePartitions(
                partition_index=number, committed_offset=-1, metadata="", error_code=REFUSED[_TOPIC]
            )
            for number in topic.partition_indexes
        ],
    )


CHECKS: Sequence[Check] = (
    Check(find_coordinator, "DESCRIBE on the group or transactional id", _find_coordinator),
    Check(join_group, "READ on the group", all_or_nothing(Operation.READ, _GROUP, _group_id, _not_joined)),
    Check(sync_group, "READ on the group", _member(sync_group.SyncGroupResponse)),
    Check(heartbeat, "READ on the group", _member(heartbeat.HeartbeatResponse)),
    Check(leave_group, "READ on the group", _member(leave_group.LeaveGroupResponse)),
    Check(offset_commit, "READ on the group and each topic", _offset_commit),
    Check(offset_fetch, "DESCRIBE on the group and each topic", _offset_fetch),
    Check(offset_delete, "DELETE on the group, READ on each topic", _offset_delete),
    Check(describe_groups, "DESCRIBE on each group", _describe_groups),
    Check(list_groups, "DESCRIBE on the cluster, or on the groups that are seen", _list_groups),
    Check(
        delete_groups,
        "DELETE on each group",
        each(
            Operation.DELETE,
            _GROUP,
            "groups_names",
            "results",
            delete_groups.DeleteGroupsResponse,
            lambda group, code: delete_groups.DeletableGroupResult(group_id=group, error_code=code),
            name="",
        ),
    ),
)
