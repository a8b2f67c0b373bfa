"""Checks where some of a request is allowed: the handler answers that, the rest is refused or not told."""

import asyncio
import json
import logging
import sys
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from cauce.access.asking import Asking
from cauce.access.table import CHECKS
from infra.clock import Clock
from infra.cluster.state import Topic
from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.security.acl import CLUSTER_NAME, Acl, Operation, Pattern, Permission, ResourceType, Rule
from infra.security.audit import REPEAT_SECONDS, Audit
from infra.security.authorizer import Authorizer
from infra.wire.handler import RequestContext
from infra.wire.messages import (
    add_partitions_to_txn,
    create_topics,
    delete_topics,
    describe_cluster,
    describe_groups,
    describe_topic_partitions,
    init_producer_id,
    list_groups,
    metadata,
    offset_fetch,
    produce,
    write_txn_markers,
)

_ID = UUID(int=7)
_TOPIC, _GROUP, _CLUSTER = ResourceType.TOPIC, ResourceType.GROUP, ResourceType.CLUSTER
_O = Operation


class _Topics:
    """The topics `seen` and `hidden`."""

    def __init__(self) -> None:
        self._topics = [Topic(UUID(int=1), "seen", 1, {}, 0), Topic(_ID, "hidden", 1, {}, 0)]

    def topic_by_name(self, name: str) -> Topic | None:
        return next((topic for topic in self._topics if topic.name == name), None)

    def topic_by_id(self, topic_id: UUID) -> Topic | None:
        return next((topic for topic in self._topics if topic.topic_id == topic_id), None)

    def topics(self) -> list[Topic]:
        return self._topics


def _may(*rights: tuple[ResourceType, str, Operation]) -> Authorizer:
    return Authorizer(
        Acl(Pattern(kind, name), Rule("User:a", "*", operation, Permission.ALLOW)) for kind, name, operation in rights
    )


def _ask(
    authorizer: Authorizer, request: Any, answer: Callable[[Any], Any], version: int = 7, audit: Audit | None = None
) -> Any:
    key = int(sys.modules[type(request).__module__].API_KEY)
    context = RequestContext(key, version, "client", "PLAINTEXT", "10.0.0.1", 1, principal="User:a")
    asking = Asking(authorizer, context, _Topics(), audit=audit, creates_topics=True)

    async def handler(left: Any) -> Any:
        return answer(left)

    return asyncio.run(CHECKS[key].guard(asking, request, handler))


def _not_asked(_: Any) -> Any:
    raise AssertionError("the handler was asked")


def _produce(acks: int) -> produce.ProduceRequest:
    data = [produce.PartitionProduceData(index=0, records=b"")]
    topics = [produce.TopicProduceData(name=name, partition_data=data) for name in ("seen", "hidden")]
    return produce.ProduceRequest(acks=acks, topic_data=topics)


def test_of_a_produce_the_allowed_topics_are_appended_to() -> None:
    authorizer = _may((_TOPIC, "seen", _O.WRITE))

    def answer(left: produce.ProduceRequest) -> produce.ProduceResponse:
        assert [topic.name for topic in left.topic_data] == ["seen"]
        return produce.ProduceResponse(responses=[produce.TopicProduceResponse(name="seen")])

    response = _ask(authorizer, _produce(-1), answer)
    assert [topic.name for topic in response.responses] == ["seen", "hidden"]
    [refused] = response.responses[1].partition_responses
    assert (refused.error_code, refused.base_offset) == (ErrorCode.TOPIC_AUTHORIZATION_FAILED, -1)


def test_with_acks_0_a_refusal_closes_the_connection_once_the_rest_is_appended() -> None:
    appended = []

    def answer(left: produce.ProduceRequest) -> None:
        appended.extend(topic.name for topic in left.topic_data)

    with pytest.raises(Refused):
        _ask(_may((_TOPIC, "seen", _O.WRITE)), _produce(0), answer)
    assert appended == ["seen"]


def test_transactional_records_need_the_right_to_their_id() -> None:
    batch = bytearray(61)
    batch[22] = 0x10
    data = [produce.PartitionProduceData(index=0, records=bytes(batch))]
    request = produce.ProduceRequest(
        acks=-1, transactional_id="x", topic_data=[produce.TopicProduceData(name="seen", partition_data=data)]
    )
    response = _ask(_may((_TOPIC, "seen", _O.WRITE)), request, _not_asked)
    [refused] = response.responses[0].partition_responses
    assert refused.error_code == ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED


def test_a_topic_is_created_by_asking_only_with_the_right_to_create_it() -> None:
    wanted = [metadata.MetadataRequestTopic(name=name) for name in ("seen", "new")]

    def told(authorizer: Authorizer, create: bool) -> dict[str, int]:
        request = metadata.MetadataRequest(topics=list(wanted), allow_auto_topic_creation=create)

        def answer(left: metadata.MetadataRequest) -> metadata.MetadataResponse:
            topics = [metadata.MetadataResponseTopic(name=topic.name) for topic in left.topics or ()]
            return metadata.MetadataResponse(topics=topics)

        return {topic.name: topic.error_code for topic in _ask(authorizer, request, answer).topics}

    refused = ErrorCode.TOPIC_AUTHORIZATION_FAILED
    rights = [(_TOPIC, "*", _O.DESCRIBE)]
    assert told(_may(*rights), create=True) == {"seen": 0, "new": refused}
    assert told(_may(*rights), create=False) == {"seen": 0, "new": 0}
    assert told(_may(*rights, (_TOPIC, "new", _O.CREATE)), create=True) == {"seen": 0, "new": 0}
    assert told(_may(*rights, (_CLUSTER, CLUSTER_NAME, _O.CREATE)), create=True) == {"seen": 0, "new": 0}


def test_pages_of_topics_are_made_of_those_that_are_seen() -> None:
    def answer(
        left: describe_topic_partitions.DescribeTopicPartitionsRequest,
    ) -> describe_topic_partitions.DescribeTopicPartitionsResponse:
        assert [topic.name for topic in left.topics] == ["seen"]
        rows = [describe_topic_partitions.DescribeTopicPartitionsResponseTopic(name="seen")]
        return describe_topic_partitions.DescribeTopicPartitionsResponse(topics=rows)

    request = describe_topic_partitions.DescribeTopicPartitionsRequest()
    [topic] = _ask(_may((_TOPIC, "seen", _O.READ)), request, answer, 0).topics
    assert topic.topic_authorized_operations == 1 << _O.READ | 1 << _O.DESCRIBE
    request = describe_topic_partitions.DescribeTopicPartitionsRequest()
    assert _ask(_may(), request, _not_asked, 0).topics == []


def test_the_configs_of_a_new_topic_are_told_to_those_who_may_see_them() -> None:
    def answer(left: create_topics.CreateTopicsRequest) -> create_topics.CreateTopicsResponse:
        config = create_topics.CreatableTopicConfigs(name="retention.ms", value="5")
        result = create_topics.CreatableTopicResult(name="new", num_partitions=3, configs=[config])
        return create_topics.CreateTopicsResponse(topics=[result])

    def result(*rights: tuple[ResourceType, str, Operation]) -> Any:
        request = create_topics.CreateTopicsRequest(topics=[create_topics.CreatableTopic(name="new")])
        return _ask(_may(*rights), request, answer).topics[0]

    create = (_TOPIC, "new", _O.CREATE)
    hidden = result(create)
    assert (hidden.topic_config_error_code, hidden.num_partitions) == (ErrorCode.TOPIC_AUTHORIZATION_FAILED, -1)
    assert (hidden.error_code, hidden.configs) == (0, [])
    assert len(result(create, (_TOPIC, "new", _O.ALTER_CONFIGS)).configs) == 1


def test_who_names_a_hidden_topic_by_its_id_does_not_learn_its_name() -> None:
    def refused(*rights: tuple[ResourceType, str, Operation]) -> tuple[str | None, int]:
        request = delete_topics.DeleteTopicsRequest(topics=[delete_topics.DeleteTopicState(name=None, topic_id=_ID)])
        [result] = _ask(_may(*rights), request, _not_asked, 6).responses
        return result.name, result.error_code

    assert refused() == (None, ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    assert refused((_TOPIC, "hidden", _O.READ)) == ("hidden", ErrorCode.TOPIC_AUTHORIZATION_FAILED)


@pytest.mark.parametrize("version", [7, 9])
def test_of_all_committed_offsets_those_of_seen_topics_are_told(version: int) -> None:
    group = offset_fetch.OffsetFetchRequestGroup(group_id="g", topics=None)
    request = offset_fetch.OffsetFetchRequest(group_id="g", topics=None, groups=[group] if version >= 8 else [])

    def answer(_: offset_fetch.OffsetFetchRequest) -> offset_fetch.OffsetFetchResponse:
        names = ("seen", "hidden")
        if version < 8:
            return offset_fetch.OffsetFetchResponse(
                topics=[offset_fetch.OffsetFetchResponseTopic(name=name) for name in names]
            )
        topics = [offset_fetch.OffsetFetchResponseTopics(name=name) for name in names]
        return offset_fetch.OffsetFetchResponse(
            groups=[offset_fetch.OffsetFetchResponseGroup(group_id="g", topics=topics)]
        )

    authorizer = _may((_GROUP, "g", _O.DESCRIBE), (_TOPIC, "seen", _O.READ))
    response = _ask(authorizer, request, answer, version)
    told = response.topics if version < 8 else response.groups[0].topics
    assert [topic.name for topic in told] == ["seen"]


def test_beside_a_refused_partition_the_others_are_not_added_to_the_transaction() -> None:
    topics = [add_partitions_to_txn.AddPartitionsToTxnTopic(name=name, partitions=[0]) for name in ("seen", "hidden")]
    request = add_partitions_to_txn.AddPartitionsToTxnRequest(
        v3_and_below_transactional_id="x", v3_and_below_topics=topics
    )
    authorizer = _may((ResourceType.TRANSACTIONAL_ID, "x", _O.WRITE), (_TOPIC, "seen", _O.WRITE))
    results = _ask(authorizer, request, _not_asked, 3).results_by_topic_v3_and_below
    codes = {topic.name: topic.results_by_partition[0].partition_error_code for topic in results}
    assert codes == {"seen": ErrorCode.OPERATION_NOT_ATTEMPTED, "hidden": ErrorCode.TOPIC_AUTHORIZATION_FAILED}


def test_a_right_to_write_anywhere_is_a_right_to_a_producer_id() -> None:
    answered = init_producer_id.InitProducerIdResponse(producer_id=5)
    for right in ((_TOPIC, "seen", _O.WRITE), (_CLUSTER, CLUSTER_NAME, _O.IDEMPOTENT_WRITE)):
        request = init_producer_id.InitProducerIdRequest(transactional_id=None)
        assert _ask(_may(right), request, lambda _: answered) is answered


def test_who_alters_the_cluster_may_end_a_transaction_that_hangs() -> None:
    answered = write_txn_markers.WriteTxnMarkersResponse()
    for operation in (_O.ALTER, _O.CLUSTER_ACTION):
        authorizer = _may((_CLUSTER, CLUSTER_NAME, operation))
        assert _ask(authorizer, write_txn_markers.WriteTxnMarkersRequest(), lambda _: answered) is answered


def test_groups_that_are_not_seen_are_not_listed() -> None:
    def listed(*rights: tuple[ResourceType, str, Operation]) -> list[str]:
        rows = [list_groups.ListedGroup(group_id=name) for name in ("g", "h")]
        answer = list_groups.ListGroupsResponse(groups=rows)
        response = _ask(_may(*rights), list_groups.ListGroupsRequest(), lambda _: answer)
        return [group.group_id for group in response.groups]

    assert listed() == []
    assert listed((_GROUP, "h", _O.DELETE)) == ["h"]
    assert listed((_CLUSTER, CLUSTER_NAME, _O.DESCRIBE)) == ["g", "h"]


def test_what_one_may_do_is_told_to_who_asks() -> None:
    group = describe_groups.DescribedGroup(group_id="g")
    described = describe_groups.DescribeGroupsRequest(groups=["g"], include_authorized_operations=True)
    _ask(_may((_GROUP, "g", _O.READ)), described, lambda _: describe_groups.DescribeGroupsResponse(groups=[group]), 5)
    assert group.authorized_operations == 1 << _O.READ | 1 << _O.DESCRIBE

    def cluster(operation: Operation) -> int:
        request = describe_cluster.DescribeClusterRequest(include_cluster_authorized_operations=True)
        authorizer = _may((_CLUSTER, CLUSTER_NAME, operation))
        response = _ask(authorizer, request, lambda _: describe_cluster.DescribeClusterResponse(), 1)
        return int(response.cluster_authorized_operations)

    assert cluster(_O.ALTER) == 1 << _O.ALTER | 1 << _O.DESCRIBE
    assert cluster(_O.CREATE) == 0


class _StillClock(Clock):
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def now_ms(self) -> int:
        return 0


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.rows.append(json.loads(record.getMessage()))


@pytest.mark.parametrize("changes", [False, True])
def test_the_audit_log_tells_refusals_once_a_minute_and_changes_if_wanted(changes: bool) -> None:
    lines, clock, logger = _Lines(), _StillClock(), logging.Logger("audit-of-a-test")
    logger.addHandler(lines)
    audit = Audit(changes=changes, clock=clock, logger=logger)
    authorizer = _may((_TOPIC, "new", _O.CREATE), (_TOPIC, "seen", _O.WRITE))

    def refused_three_times() -> None:
        for _ in range(3):
            response = _ask(authorizer, _produce(-1), lambda _: produce.ProduceResponse(), audit=audit)
            assert response.responses

    refused_three_times()
    assert [(row["resource"], row["allowed"], row["times"]) for row in lines.rows] == [("hidden", False, 1)]
    clock.now = REPEAT_SECONDS
    refused_three_times()
    assert [row["times"] for row in lines.rows] == [1, 3]
    assert lines.rows[0] == {
        "time": "1970-01-01T00:00:00.000+00:00",
        "principal": "User:a",
        "host": "10.0.0.1",
        "client_id": "client",
        "listener": "PLAINTEXT",
        "api": "produce",
        "operation": "WRITE",
        "resource_type": "TOPIC",
        "resource": "hidden",
        "allowed": False,
        "times": 1,
    }
    lines.rows.clear()
    request = create_topics.CreateTopicsRequest(topics=[create_topics.CreatableTopic(name="new")])
    _ask(authorizer, request, lambda _: create_topics.CreateTopicsResponse(), audit=audit)
    assert [(row["operation"], row["allowed"]) for row in lines.rows] == ([("CREATE", True)] if changes else [])
