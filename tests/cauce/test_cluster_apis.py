"""Elections, reassignments, log dirs, the cluster itself, and what this node does not offer."""

import socket
import struct
from typing import Any

import pytest
from confluent_kafka import Producer

from infra.error_code import ErrorCode
from infra.wire.messages import (
    alter_partition_reassignments,
    api_versions,
    describe_cluster,
    describe_log_dirs,
    elect_leaders,
    list_partition_reassignments,
)
from tests.cauce.wire import ask, make_topic

_PREFERRED, _UNCLEAN = 0, 1


def _elect(bootstrap: str, kind: int, wanted: dict[str, list[int]] | None, version: int = 2) -> Any:
    rows = None
    if wanted is not None:
        rows = [elect_leaders.TopicPartitions(topic=name, partitions=numbers) for name, numbers in wanted.items()]
    return ask(bootstrap, elect_leaders.ElectLeadersRequest(election_type=kind, topic_partitions=rows), version)


@pytest.mark.parametrize("version", range(3))
def test_there_is_nothing_to_elect(cauce_bootstrap: str, version: int) -> None:
    name = f"api-elected-{version}"
    make_topic(cauce_bootstrap, name)
    kind = _UNCLEAN if version else _PREFERRED
    response = _elect(cauce_bootstrap, kind, {name: [0, 1], "api-none": [0]}, version)
    found = {
        (topic.topic, row.partition_id): row.error_code
        for topic in response.replica_election_results
        for row in topic.partition_result
    }
    assert found == {
        (name, 0): ErrorCode.ELECTION_NOT_NEEDED,
        (name, 1): ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ("api-none", 0): ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    }
    everything = _elect(cauce_bootstrap, kind, None, version)
    assert (everything.error_code, everything.replica_election_results) == (0, [])


def test_an_election_of_another_kind(cauce_bootstrap: str) -> None:
    assert _elect(cauce_bootstrap, 9, None).error_code == ErrorCode.INVALID_REQUEST


def test_replicas_cannot_be_moved(cauce_bootstrap: str) -> None:
    make_topic(cauce_bootstrap, "api-moved", 2)
    message = alter_partition_reassignments
    wanted: dict[str, list[tuple[int, list[int] | None]]] = {
        "api-moved": [(0, [1]), (1, [1, 2]), (0, None), (5, [1])],
        "api-none": [(0, [1])],
    }
    topics = [
        message.ReassignableTopic(
            name=name,
            partitions=[message.ReassignablePartition(partition_index=n, replicas=ids) for n, ids in rows],
        )
        for name, rows in wanted.items()
    ]
    response = ask(cauce_bootstrap, message.AlterPartitionReassignmentsRequest(topics=topics))
    found = [(topic.name, row.error_code) for topic in response.responses for row in topic.partitions]
    assert found == [
        ("api-moved", ErrorCode.NONE),
        ("api-moved", ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        ("api-moved", ErrorCode.NO_REASSIGNMENT_IN_PROGRESS),
        ("api-moved", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ("api-none", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
    ]
    assert "add or remove nodes instead" in response.responses[0].partitions[1].error_message
    listed = ask(cauce_bootstrap, list_partition_reassignments.ListPartitionReassignmentsRequest(topics=None))
    assert (listed.error_code, listed.topics) == (ErrorCode.NONE, [])


@pytest.mark.parametrize("version", range(1, 5))
def test_log_dirs_tell_what_partitions_weigh(cauce_bootstrap: str, version: int) -> None:
    name = f"api-weighed-{version}"
    make_topic(cauce_bootstrap, name, 2)
    producer = Producer({"bootstrap.servers": cauce_bootstrap})
    producer.produce(name, b"x" * 1000, partition=1)
    assert producer.flush(30) == 0
    message = describe_log_dirs
    wanted = [
        message.DescribableLogDirTopic(topic=name, partitions=[0, 1, 7]),
        message.DescribableLogDirTopic(topic="api-none", partitions=[0]),
    ]
    [folder] = ask(cauce_bootstrap, message.DescribeLogDirsRequest(topics=wanted), version).results
    assert folder.error_code == 0
    assert folder.log_dir.startswith("file:///")
    assert (folder.total_bytes, folder.usable_bytes) == (-1, -1)
    [topic] = folder.topics
    sizes = {row.partition_index: row.partition_size for row in topic.partitions}
    assert sizes.keys() == {0, 1}
    assert sizes[0] == 0
    assert 1000 < sizes[1] < 1200
    [everything] = ask(cauce_bootstrap, message.DescribeLogDirsRequest(topics=None), version).results
    assert name in {row.name for row in everything.topics}


@pytest.mark.parametrize("version", range(2))
def test_the_cluster(cauce_bootstrap: str, version: int) -> None:
    response = ask(cauce_bootstrap, describe_cluster.DescribeClusterRequest(), version)
    assert (response.error_code, response.controller_id, len(response.cluster_id)) == (0, 1, 22)
    [broker] = response.brokers
    assert (broker.broker_id, f"{broker.host}:{broker.port}", broker.rack) == (1, cauce_bootstrap, None)


def test_there_are_no_controllers_to_list(cauce_bootstrap: str) -> None:
    response = ask(cauce_bootstrap, describe_cluster.DescribeClusterRequest(endpoint_type=2), 1)
    assert response.error_code == ErrorCode.UNSUPPORTED_VERSION
    assert "ask for brokers" in response.error_message


def _exchange(bootstrap: str, key: int, version: int, body: bytes = b"") -> bytes:
    """What comes back for one raw frame until the node closes or has answered; nothing when it closes."""
    host, _, port = bootstrap.rpartition(":")
    frame = struct.pack(">hhih", key, version, 7, -1) + body
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(struct.pack(">i", len(frame)) + frame)
        return connection.recv(4096)


def test_what_is_not_offered_costs_the_connection(cauce_bootstrap: str) -> None:
    offered = {row.api_key: row for row in ask(cauce_bootstrap, api_versions.ApiVersionsRequest(), 0).api_keys}
    assert 71 not in offered
    assert _exchange(cauce_bootstrap, 71, 0) == b""
    assert _exchange(cauce_bootstrap, 999, 0) == b""
    for key, row in offered.items():
        if key != 18:
            assert _exchange(cauce_bootstrap, key, row.max_version + 1) == b"", key


def test_api_versions_of_the_future_are_answered_in_the_oldest_form(cauce_bootstrap: str) -> None:
    answer = _exchange(cauce_bootstrap, 18, 77)
    length, correlation_id, code, count, key, low, high = struct.unpack_from(">iihihhh", answer)
    assert (length, correlation_id, code) == (len(answer) - 4, 7, ErrorCode.UNSUPPORTED_VERSION)
    assert (count, key, low, high) == (1, 18, 0, 4)
