"""CreateTopics, CreatePartitions, DeleteTopics, Metadata and DescribeTopicPartitions, asked in their own words."""

from typing import Any
from uuid import UUID

import pytest

from infra.error_code import ErrorCode
from infra.wire.messages import create_partitions, create_topics, delete_topics, metadata
from infra.wire.messages import describe_topic_partitions as pages
from tests.cauce.wire import ask, make_topic

_NO_ID = UUID(int=0)


def _create(
    bootstrap: str, *topics: create_topics.CreatableTopic, validate_only: bool = False, version: int = 7
) -> Any:
    request = create_topics.CreateTopicsRequest(topics=list(topics), timeout_ms=10_000, validate_only=validate_only)
    return {row.name: row for row in ask(bootstrap, request, version).topics}


def _topic(name: str, partitions: int = -1, factor: int = -1, **more: Any) -> create_topics.CreatableTopic:
    return create_topics.CreatableTopic(name=name, num_partitions=partitions, replication_factor=factor, **more)


def _assigned(*nodes: list[int]) -> list[create_topics.CreatableReplicaAssignment]:
    return [
        create_topics.CreatableReplicaAssignment(partition_index=number, broker_ids=ids)
        for number, ids in enumerate(nodes)
    ]


def _names(bootstrap: str) -> set[str]:
    return {topic.name for topic in ask(bootstrap, metadata.MetadataRequest(topics=None)).topics}


def test_topics_with_assignments(cauce_bootstrap: str) -> None:
    found = _create(
        cauce_bootstrap,
        _topic("api-assigned", assignments=_assigned([1], [1])),
        _topic("api-nobody", assignments=_assigned([7])),
        _topic("api-both", 2, assignments=_assigned([1], [1])),
    )
    assert (found["api-assigned"].error_code, found["api-assigned"].num_partitions) == (ErrorCode.NONE, 2)
    assert found["api-nobody"].error_code == ErrorCode.INVALID_REPLICA_ASSIGNMENT
    assert found["api-nobody"].error_message == "only the nodes [1] are there"
    assert found["api-both"].error_code == ErrorCode.INVALID_REQUEST
    assert _names(cauce_bootstrap) & {"api-assigned", "api-nobody", "api-both"} == {"api-assigned"}


def test_validating_creates_nothing(cauce_bootstrap: str) -> None:
    config = create_topics.CreatableTopicConfig(name="retention.ms", value="5")
    found = _create(
        cauce_bootstrap,
        _topic("api-draft", 4, 3, configs=[config]),
        _topic("api/draft"),
        validate_only=True,
    )
    good = found["api-draft"]
    assert (good.error_code, good.num_partitions, good.replication_factor, good.topic_id) == (0, 4, 3, _NO_ID)
    configs = {row.name: (row.value, row.config_source) for row in good.configs}
    assert configs["retention.ms"] == ("5", 1)
    assert configs["retention.bytes"] == ("-1", 5)
    assert found["api/draft"].error_code == ErrorCode.INVALID_TOPIC_EXCEPTION
    assert "api-draft" not in _names(cauce_bootstrap)


def test_a_name_that_stands_twice_is_created_by_nobody(cauce_bootstrap: str) -> None:
    found = _create(cauce_bootstrap, _topic("api-twice"), _topic("api-twice", 2), _topic("api-once"))
    assert found["api-twice"].error_code == ErrorCode.INVALID_REQUEST
    assert found["api-once"].error_code == ErrorCode.NONE
    assert _names(cauce_bootstrap) & {"api-twice", "api-once"} == {"api-once"}


@pytest.mark.parametrize("version", range(2, 8))
def test_creating_in_every_version(cauce_bootstrap: str, version: int) -> None:
    name = f"api-created-{version}"
    row = _create(cauce_bootstrap, _topic(name, 2, 1), version=version)[name]
    assert row.error_code == ErrorCode.NONE
    assert (row.num_partitions == 2) == (version >= 5)
    assert (row.topic_id != _NO_ID) == (version >= 7)


@pytest.mark.parametrize("version", range(4))
def test_growing_in_every_version(cauce_bootstrap: str, version: int) -> None:
    name = f"api-grown-{version}"
    make_topic(cauce_bootstrap, name)

    def grow(count: int, assigned: list[list[int]] | None = None, validate_only: bool = False, times: int = 1) -> Any:
        rows = (
            None if assigned is None else [create_partitions.CreatePartitionsAssignment(broker_ids=a) for a in assigned]
        )
        wanted = create_partitions.CreatePartitionsTopic(name=name, count=count, assignments=rows)
        request = create_partitions.CreatePartitionsRequest(
            topics=[wanted] * times, timeout_ms=10_000, validate_only=validate_only
        )
        [result] = ask(cauce_bootstrap, request, version).results
        return result.error_code

    assert grow(3, validate_only=True) == ErrorCode.NONE
    assert grow(2, [[1]], times=2) == ErrorCode.INVALID_REQUEST
    assert grow(3, [[1]]) == ErrorCode.INVALID_REPLICA_ASSIGNMENT
    assert grow(3, [[1], [1]]) == ErrorCode.NONE
    assert grow(3) == ErrorCode.INVALID_PARTITIONS
    asked = metadata.MetadataRequest(topics=[metadata.MetadataRequestTopic(name=name)])
    [topic] = ask(cauce_bootstrap, asked).topics
    assert sorted(row.partition_index for row in topic.partitions) == [0, 1, 2]


def test_deleting_by_id_and_by_name(cauce_bootstrap: str) -> None:
    one, two = make_topic(cauce_bootstrap, "api-gone-1"), make_topic(cauce_bootstrap, "api-gone-2")
    state = delete_topics.DeleteTopicState
    states = [
        state(name=None, topic_id=one.topic_id),
        state(name="api-gone-2"),
        state(name="api-gone-2", topic_id=two.topic_id),
        state(name="api-never"),
        state(name=None, topic_id=UUID(int=5)),
    ]
    rows = ask(cauce_bootstrap, delete_topics.DeleteTopicsRequest(topics=states, timeout_ms=10_000), 6).responses
    assert [(row.name, row.topic_id, row.error_code) for row in rows] == [
        ("api-gone-1", one.topic_id, ErrorCode.NONE),
        ("api-gone-2", two.topic_id, ErrorCode.NONE),
        ("api-gone-2", two.topic_id, ErrorCode.INVALID_REQUEST),
        ("api-never", _NO_ID, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (None, UUID(int=5), ErrorCode.UNKNOWN_TOPIC_ID),
    ]
    assert not _names(cauce_bootstrap) & {"api-gone-1", "api-gone-2"}


def test_metadata_by_topic_id(cauce_bootstrap: str) -> None:
    made = make_topic(cauce_bootstrap, "api-by-id", 2)
    wanted = metadata.MetadataRequestTopic
    asked = metadata.MetadataRequest(topics=[wanted(topic_id=made.topic_id, name=None), wanted(topic_id=UUID(int=9))])
    known, unknown = ask(cauce_bootstrap, asked, 12).topics
    assert (known.name, known.topic_id, known.error_code, len(known.partitions)) == ("api-by-id", made.topic_id, 0, 2)
    assert (unknown.name, unknown.topic_id, unknown.error_code) == (None, UUID(int=9), ErrorCode.UNKNOWN_TOPIC_ID)


@pytest.mark.parametrize("version", range(13))
def test_metadata_in_every_version(cauce_bootstrap: str, version: int) -> None:
    make_topic(cauce_bootstrap, f"api-meta-{version}")
    names = [f"api-meta-{version}", "api meta", "", "." * 2, "x" * 250, "api-meta-none"]
    wanted = [metadata.MetadataRequestTopic(name=name) for name in names]
    # Before v4 a request cannot say that nothing is to be created, and Kafka creates then.
    request = metadata.MetadataRequest(
        topics=wanted if version >= 4 else wanted[:-1], allow_auto_topic_creation=version < 4
    )
    response = ask(cauce_bootstrap, request, version)
    good, *bad = response.topics
    [partition] = good.partitions
    assert (good.error_code, partition.error_code, partition.leader_id) == (0, 0, 1)
    assert (partition.replica_nodes, partition.isr_nodes) == ([1], [1])
    assert partition.leader_epoch == (0 if version >= 7 else -1)
    codes = [row.error_code for row in bad]
    assert codes[:4] == [ErrorCode.INVALID_TOPIC_EXCEPTION] * 4
    assert codes[4:] == ([ErrorCode.UNKNOWN_TOPIC_OR_PARTITION] if version >= 4 else [])
    [broker] = response.brokers
    assert (broker.node_id, f"{broker.host}:{broker.port}") == (1, cauce_bootstrap)
    assert response.controller_id == (1 if version >= 1 else -1)
    assert (response.cluster_id is not None) == (version >= 2)
    everything = ask(cauce_bootstrap, metadata.MetadataRequest(topics=[] if version == 0 else None), version)
    assert f"api-meta-{version}" in {topic.name for topic in everything.topics}
    if version:
        assert ask(cauce_bootstrap, metadata.MetadataRequest(topics=[]), version).topics == []


def test_asking_creates_a_topic_when_it_may(cauce_bootstrap: str) -> None:
    wanted = [metadata.MetadataRequestTopic(name="api-asked-for")]
    [topic] = ask(cauce_bootstrap, metadata.MetadataRequest(topics=wanted, allow_auto_topic_creation=True)).topics
    assert (topic.error_code, len(topic.partitions), topic.partitions[0].leader_id) == (0, 1, 1)
    assert topic.topic_id != _NO_ID


def _page(bootstrap: str, limit: int, cursor: pages.Cursor | None = None, names: tuple[str, ...] = ()) -> Any:
    request = pages.DescribeTopicPartitionsRequest(
        topics=[pages.TopicRequest(name=name) for name in names], response_partition_limit=limit, cursor=cursor
    )
    return ask(bootstrap, request)


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 2000])
def test_paging_through_partitions(cauce_bootstrap: str, limit: int) -> None:
    names = tuple(f"api-pages-{letter}-{limit}" for letter in "abc")
    for name, partitions in zip(names, (3, 1, 4), strict=True):
        make_topic(cauce_bootstrap, name, partitions)
    found: list[tuple[str, int]] = []
    cursor = None
    while True:
        page = _page(cauce_bootstrap, limit, cursor, names[::-1])
        rows = [(topic.name, row.partition_index) for topic in page.topics for row in topic.partitions]
        assert 0 < len(rows) <= limit
        assert all(row.leader_id == 1 and row.leader_epoch == 0 for topic in page.topics for row in topic.partitions)
        found += rows
        cursor = page.next_cursor
        if cursor is None:
            break
    assert found == [(name, number) for name, many in zip(names, (3, 1, 4), strict=True) for number in range(many)]


def test_a_cursor_at_what_is_gone(cauce_bootstrap: str) -> None:
    make_topic(cauce_bootstrap, "api-cursor-b", 2)
    names = ("api-cursor-a", "api-cursor-b")
    page = _page(cauce_bootstrap, 10, pages.Cursor(topic_name="api-cursor-a", partition_index=1), names)
    gone, there = page.topics
    assert (gone.name, gone.error_code) == ("api-cursor-a", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    assert [row.partition_index for row in there.partitions] == [0, 1]
    beyond = _page(cauce_bootstrap, 1, pages.Cursor(topic_name="api-cursor-b", partition_index=9), names)
    assert [row.partition_index for topic in beyond.topics for row in topic.partitions] == []
    assert beyond.next_cursor is None
    everything = _page(cauce_bootstrap, 2000)
    assert "api-cursor-b" in {topic.name for topic in everything.topics}
