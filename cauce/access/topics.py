"""Checks of topics: what exists is seen by those who may describe it."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from cauce.access.asking import REFUSED, Answer, Asking
from cauce.access.check import Check
from cauce.access.shapes import each, split
from infra.error_code import ErrorCode
from infra.security.acl import CLUSTER_NAME, Operation, ResourceType
from infra.wire.messages import create_partitions, create_topics, delete_topics, describe_topic_partitions, metadata

_TOPIC = ResourceType.TOPIC
_NO_TOPIC = UUID(int=0)
_WHY = "not allowed"
_FIRST_DELETE_WITH_IDS = 6
_FIRST_METADATA_WITH_NULL_NAME = 12
_FIRST_METADATA_WITH_OPERATIONS = 8


async def _metadata(asking: Asking, request: metadata.MetadataRequest, answer: Answer) -> Any:
    wanted = request.topics
    if wanted is None or (asking.version == 0 and not wanted):
        response = await answer(request)
        response.topics = [topic for topic in response.topics if _sees(asking, topic.name, quietly=True)]
    else:
        request.topics, refused = split(wanted, lambda topic: _may_ask_for(asking, request, topic))
        response = await answer(request)
        if not request.topics:
            response.topics = []  # v0 knows no other way to ask for none than to ask for all
        response.topics.extend(_unknown(asking, topic) for topic in refused)
    if request.include_cluster_authorized_operations and asking.version >= _FIRST_METADATA_WITH_OPERATIONS:
        response.cluster_authorized_operations = cluster_operations(asking)
    if request.include_topic_authorized_operations:
        for topic in response.topics:
            if topic.error_code == ErrorCode.NONE:
                topic.topic_authorized_operations = asking.operations(_TOPIC, topic.name)
    return response


def cluster_operations(asking: Asking) -> int:
    """What may be done to the cluster, as bits; none of it is told to who may not describe it."""
    if not asking.may_cluster(Operation.DESCRIBE, quietly=True):
        return 0
    return asking.operations(ResourceType.CLUSTER, CLUSTER_NAME)


def _sees(asking: Asking, name: str | None, *, quietly: bool = False) -> bool:
    return asking.may(Operation.DESCRIBE, _TOPIC, name or "", quietly=quietly)


def _may_ask_for(asking: Asking, request: metadata.MetadataRequest, wanted: metadata.MetadataRequestTopic) -> bool:
    """A topic that would be created by asking needs the right to create it as well."""
    if wanted.topic_id != _NO_TOPIC:
        topic = asking.topics.topic_by_id(wanted.topic_id)
        return topic is None or _sees(asking, topic.name)
    name = wanted.name or ""
    if not _sees(asking, name):
        return False
    creates = asking.creates_topics and request.allow_auto_topic_creation
    return not creates or asking.topics.topic_by_name(name) is not None or _may_create(asking, name)


def _may_create(asking: Asking, name: str) -> bool:
    return asking.may_cluster(Operation.CREATE, quietly=True) or asking.may(Operation.CREATE, _TOPIC, name)


def _unknown(asking: Asking, wanted: metadata.MetadataRequestTopic) -> metadata.MetadataResponseTopic:
    by_id = wanted.topic_id != _NO_TOPIC
    nameless = None if asking.version >= _FIRST_METADATA_WITH_NULL_NAME else ""
    return metadata.MetadataResponseTopic(
        error_code=REFUSED[_TOPIC], name=nameless if by_id else wanted.name, topic_id=wanted.topic_id
    )


async def _describe_partitions(
    asking: Asking, request: describe_topic_partitions.DescribeTopicPartitionsRequest, answer: Answer
) -> Any:
    """All topics are those that the client sees: a page must not end with the name of another one."""
    if request.topics:
        response = await _describe_each(asking, request, answer)
    else:
        seen = [topic.name for topic in asking.topics.topics() if _sees(asking, topic.name, quietly=True)]
        request.topics = [describe_topic_partitions.TopicRequest(name=name) for name in seen]
        response = await answer(request) if seen else describe_topic_partitions.DescribeTopicPartitionsResponse()
    for topic in response.topics:
        if topic.error_code == ErrorCode.NONE:
            topic.topic_authorized_operations = asking.operations(_TOPIC, topic.name)
    return response


_describe_each = each(
    Operation.DESCRIBE,
    _TOPIC,
    "topics",
    "topics",
    describe_topic_partitions.DescribeTopicPartitionsResponse,
    lambda topic, code: describe_topic_partitions.DescribeTopicPartitionsResponseTopic(
        name=topic.name, error_code=code
    ),
)


async def _create(asking: Asking, request: create_topics.CreateTopicsRequest, answer: Answer) -> Any:
    """The configs of what was created are told to those who may describe them."""
    request.topics, refused = split(request.topics, lambda topic: _may_create(asking, topic.name))
    response = await answer(request) if request.topics else create_topics.CreateTopicsResponse()
    for result in response.topics:
        if result.error_code == ErrorCode.NONE and not asking.may(
            Operation.DESCRIBE_CONFIGS, _TOPIC, result.name, quietly=True
        ):
            result.topic_config_error_code = REFUSED[_TOPIC]
            result.num_partitions = result.replication_factor = -1
            result.configs = []
    response.topics.extend(
        create_topics.CreatableTopicResult(name=topic.name, error_code=REFUSED[_TOPIC], error_message=_WHY, configs=[])
        for topic in refused
    )
    return response


async def _delete(asking: Asking, request: delete_topics.DeleteTopicsRequest, answer: Answer) -> Any:
    """Who names a topic by its id and may not describe it is not told its name."""
    if asking.version < _FIRST_DELETE_WITH_IDS:
        request.topic_names, refused_names = split(
            request.topic_names, lambda name: asking.may(Operation.DELETE, _TOPIC, name)
        )
        refused = [_undeleted(name, _NO_TOPIC) for name in refused_names]
        left = bool(request.topic_names)
    else:
        request.topics, refused_topics = split(request.topics, lambda topic: _may_delete(asking, topic))
        refused = [_undeleted(_seen_name(asking, topic), topic.topic_id) for topic in refused_topics]
        left = bool(request.topics)
    response = await answer(request) if left else delete_topics.DeleteTopicsResponse()
    response.responses.extend(refused)
    return response


def _may_delete(asking: Asking, wanted: delete_topics.DeleteTopicState) -> bool:
    if wanted.name is not None:
        return asking.may(Operation.DELETE, _TOPIC, wanted.name)
    topic = asking.topics.topic_by_id(wanted.topic_id)
    return topic is None or asking.may(Operation.DELETE, _TOPIC, topic.name)


def _seen_name(asking: Asking, wanted: delete_topics.DeleteTopicState) -> str | None:
    if wanted.name is not None:
        return wanted.name
    topic = asking.topics.topic_by_id(wanted.topic_id)
    return topic.name if topic is not None and _sees(asking, topic.name, quietly=True) else None


def _undeleted(name: str | None, topic_id: UUID) -> delete_topics.DeletableTopicResult:
    return delete_topics.DeletableTopicResult(
        name=name, topic_id=topic_id, error_code=REFUSED[_TOPIC], error_message=_WHY
    )


CHECKS: Sequence[Check] = (
    Check(metadata, "DESCRIBE on each topic; CREATE on it or the cluster where asking creates it", _metadata),
    Check(describe_topic_partitions, "DESCRIBE on each topic", _describe_partitions),
    Check(create_topics, "CREATE on the cluster or each topic; DESCRIBE_CONFIGS to be told its configs", _create),
    Check(delete_topics, "DELETE on each topic", _delete),
    Check(
        create_partitions,
        "ALTER on each topic",
        each(
            Operation.ALTER,
            _TOPIC,
            "topics",
            "results",
            create_partitions.CreatePartitionsResponse,
            lambda topic, code: create_partitions.CreatePartitionsTopicResult(
                name=topic.name, error_code=code, error_message=_WHY
            ),
        ),
    ),
)
