"""Every API of a node has a check, and what a client without rights is told can be sent in every version."""

import asyncio
import copy
import sys
from pathlib import Path
from typing import Any

import pytest

import cauce.handlers  # noqa: F401 - makes every handler known
from cauce.access.asking import Asking
from cauce.access.table import CHECKS, table_markdown
from infra.error_code import ErrorCode
from infra.partition import PartitionId
from infra.security.authorizer import Authorizer
from infra.wire import envelope
from infra.wire.apis import request_table
from infra.wire.handler import Handler, RequestContext
from infra.wire.messages import (
    add_offsets_to_txn,
    add_partitions_to_txn,
    alter_client_quotas,
    alter_configs,
    alter_partition_reassignments,
    alter_user_scram_credentials,
    create_acls,
    create_partitions,
    create_topics,
    delete_acls,
    delete_groups,
    delete_records,
    delete_topics,
    describe_acls,
    describe_client_quotas,
    describe_configs,
    describe_groups,
    describe_log_dirs,
    describe_producers,
    describe_topic_partitions,
    describe_transactions,
    describe_user_scram_credentials,
    elect_leaders,
    end_txn,
    find_coordinator,
    heartbeat,
    incremental_alter_configs,
    init_producer_id,
    join_group,
    leave_group,
    list_config_resources,
    list_offsets,
    list_partition_reassignments,
    metadata,
    offset_commit,
    offset_delete,
    offset_fetch,
    offset_for_leader_epoch,
    produce,
    sync_group,
    txn_offset_commit,
    write_txn_markers,
)

_TOPIC = int(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
_GROUP = int(ErrorCode.GROUP_AUTHORIZATION_FAILED)
_CLUSTER = int(ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
_ID = int(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)


def _all_handlers(base: type[Handler] = Handler) -> set[type[Handler]]:
    found = {cls for cls in base.__subclasses__() if hasattr(cls, "api_key") and ".api." in cls.__module__}
    return found.union(*(_all_handlers(cls) for cls in base.__subclasses__()))


def test_every_handler_is_in_the_table() -> None:
    handlers = _all_handlers()
    assert len(handlers) > 40
    assert {handler.api_key for handler in handlers} <= CHECKS.keys()


def test_the_page_for_users_has_the_table_as_it_is() -> None:
    page = Path(__file__).parents[2] / "docs" / "authorization.md"
    assert table_markdown() in page.read_text(encoding="utf-8")


class _NoTopics:
    def topic_by_name(self, name: str) -> None:
        return None

    def topic_by_id(self, topic_id: Any) -> None:
        return None

    def topics(self) -> list[Any]:
        return []

    def leader(self, partition: PartitionId) -> None:
        return None


_ADDED = add_partitions_to_txn.AddPartitionsToTxnTopic(name="t", partitions=[0, 1])

# request, the codes that its answer must hold (and no others), and the first version that holds them
_REFUSED: list[tuple[Any, set[int], int]] = [
    (
        produce.ProduceRequest(
            acks=-1,
            topic_data=[
                produce.TopicProduceData(name="t", partition_data=[produce.PartitionProduceData(index=0, records=b"")])
            ],
        ),
        {_TOPIC},
        3,
    ),
    (
        list_offsets.ListOffsetsRequest(
            topics=[
                list_offsets.ListOffsetsTopic(
                    name="t", partitions=[list_offsets.ListOffsetsPartition(partition_index=0, timestamp=-1)]
                )
            ]
        ),
        {_TOPIC},
        1,
    ),
    (
        offset_for_leader_epoch.OffsetForLeaderEpochRequest(
            topics=[
                offset_for_leader_epoch.OffsetForLeaderTopic(
                    topic="t", partitions=[offset_for_leader_epoch.OffsetForLeaderPartition(partition=0)]
                )
            ]
        ),
        {_TOPIC},
        2,
    ),
    (
        delete_records.DeleteRecordsRequest(
            topics=[
                delete_records.DeleteRecordsTopic(
                    name="t", partitions=[delete_records.DeleteRecordsPartition(partition_index=0, offset=1)]
                )
            ]
        ),
        {_TOPIC},
        0,
    ),
    (
        describe_producers.DescribeProducersRequest(
            topics=[describe_producers.TopicRequest(name="t", partition_indexes=[0])]
        ),
        {_TOPIC},
        0,
    ),
    (metadata.MetadataRequest(topics=[metadata.MetadataRequestTopic(name="t")]), {_TOPIC}, 0),
    (
        describe_topic_partitions.DescribeTopicPartitionsRequest(
            topics=[describe_topic_partitions.TopicRequest(name="t")]
        ),
        {_TOPIC},
        0,
    ),
    (create_topics.CreateTopicsRequest(topics=[create_topics.CreatableTopic(name="t")]), {_TOPIC}, 2),
    (
        delete_topics.DeleteTopicsRequest(topics=[delete_topics.DeleteTopicState(name="t")], topic_names=["t"]),
        {_TOPIC},
        1,
    ),
    (
        create_partitions.CreatePartitionsRequest(topics=[create_partitions.CreatePartitionsTopic(name="t")]),
        {_TOPIC},
        0,
    ),
    (find_coordinator.FindCoordinatorRequest(key="g", coordinator_keys=["g"]), {_GROUP}, 0),
    (find_coordinator.FindCoordinatorRequest(key="x", key_type=1, coordinator_keys=["x"]), {_ID}, 1),
    (join_group.JoinGroupRequest(group_id="g"), {_GROUP}, 0),
    (sync_group.SyncGroupRequest(group_id="g"), {_GROUP}, 0),
    (heartbeat.HeartbeatRequest(group_id="g"), {_GROUP}, 0),
    (leave_group.LeaveGroupRequest(group_id="g"), {_GROUP}, 0),
    (
        offset_commit.OffsetCommitRequest(
            group_id="g",
            topics=[
                offset_commit.OffsetCommitRequestTopic(
                    name="t", partitions=[offset_commit.OffsetCommitRequestPartition(partition_index=0)]
                )
            ],
        ),
        {_GROUP},
        2,
    ),
    (
        offset_fetch.OffsetFetchRequest(
            group_id="g",
            topics=[offset_fetch.OffsetFetchRequestTopic(name="t", partition_indexes=[0])],
            groups=[offset_fetch.OffsetFetchRequestGroup(group_id="g", topics=None)],
        ),
        {_GROUP},
        1,
    ),
    (
        offset_delete.OffsetDeleteRequest(
            group_id="g",
            topics=[
                offset_delete.OffsetDeleteRequestTopic(
                    name="t", partitions=[offset_delete.OffsetDeleteRequestPartition(partition_index=0)]
                )
            ],
        ),
        {_GROUP},
        0,
    ),
    (describe_groups.DescribeGroupsRequest(groups=["g"]), {_GROUP}, 0),
    (delete_groups.DeleteGroupsRequest(groups_names=["g"]), {_GROUP}, 0),
    (init_producer_id.InitProducerIdRequest(transactional_id=None), {_CLUSTER}, 0),
    (init_producer_id.InitProducerIdRequest(transactional_id="x"), {_ID}, 0),
    (
        add_partitions_to_txn.AddPartitionsToTxnRequest(
            v3_and_below_transactional_id="x",
            v3_and_below_topics=[_ADDED],
            transactions=[add_partitions_to_txn.AddPartitionsToTxnTransaction(transactional_id="x", topics=[_ADDED])],
        ),
        {_ID, _CLUSTER},
        0,
    ),
    (add_offsets_to_txn.AddOffsetsToTxnRequest(transactional_id="x", group_id="g"), {_ID}, 0),
    (end_txn.EndTxnRequest(transactional_id="x"), {_ID}, 0),
    (
        txn_offset_commit.TxnOffsetCommitRequest(
            transactional_id="x",
            group_id="g",
            topics=[
                txn_offset_commit.TxnOffsetCommitRequestTopic(
                    name="t", partitions=[txn_offset_commit.TxnOffsetCommitRequestPartition(partition_index=0)]
                )
            ],
        ),
        {_ID},
        0,
    ),
    (
        write_txn_markers.WriteTxnMarkersRequest(
            markers=[
                write_txn_markers.WritableTxnMarker(
                    topics=[write_txn_markers.WritableTxnMarkerTopic(name="t", partition_indexes=[0])]
                )
            ]
        ),
        {_CLUSTER},
        0,
    ),
    (describe_transactions.DescribeTransactionsRequest(transactional_ids=["x"]), {_ID}, 0),
    (
        describe_configs.DescribeConfigsRequest(
            resources=[
                describe_configs.DescribeConfigsResource(resource_type=2, resource_name="t"),
                describe_configs.DescribeConfigsResource(resource_type=4, resource_name=""),
                describe_configs.DescribeConfigsResource(resource_type=32, resource_name="g"),
            ]
        ),
        {_TOPIC, _CLUSTER, _GROUP},
        1,
    ),
    (
        alter_configs.AlterConfigsRequest(
            resources=[alter_configs.AlterConfigsResource(resource_type=2, resource_name="t")]
        ),
        {_TOPIC},
        0,
    ),
    (
        incremental_alter_configs.IncrementalAlterConfigsRequest(
            resources=[incremental_alter_configs.AlterConfigsResource(resource_type=4, resource_name="")]
        ),
        {_CLUSTER},
        0,
    ),
    (list_config_resources.ListConfigResourcesRequest(), {_CLUSTER}, 0),
    (describe_log_dirs.DescribeLogDirsRequest(topics=None), {_CLUSTER}, 3),
    (elect_leaders.ElectLeadersRequest(topic_partitions=None), {_CLUSTER}, 1),
    (alter_partition_reassignments.AlterPartitionReassignmentsRequest(), {_CLUSTER}, 0),
    (list_partition_reassignments.ListPartitionReassignmentsRequest(), {_CLUSTER}, 0),
    (describe_acls.DescribeAclsRequest(), {_CLUSTER}, 1),
    (create_acls.CreateAclsRequest(creations=[create_acls.AclCreation()]), {_CLUSTER}, 1),
    (delete_acls.DeleteAclsRequest(filters=[delete_acls.DeleteAclsFilter()]), {_CLUSTER}, 1),
    (describe_client_quotas.DescribeClientQuotasRequest(), {_CLUSTER}, 0),
    (
        alter_client_quotas.AlterClientQuotasRequest(
            entries=[
                alter_client_quotas.EntryData(
                    entity=[alter_client_quotas.EntityData(entity_type="user", entity_name="alice")]
                )
            ]
        ),
        {_CLUSTER},
        0,
    ),
    (describe_user_scram_credentials.DescribeUserScramCredentialsRequest(users=None), {_CLUSTER}, 0),
    (
        alter_user_scram_credentials.AlterUserScramCredentialsRequest(
            deletions=[alter_user_scram_credentials.ScramCredentialDeletion(name="alice", mechanism=1)]
        ),
        {_CLUSTER},
        0,
    ),
]
_OPEN = {1, 16, 17, 18, 36, 60, 66}  # Fetch asks in its handler; listings are empty, the others tell nothing secret


def _codes(value: Any) -> set[int]:
    """Every error code in a message."""
    if isinstance(value, list):
        return set().union(*map(_codes, value))
    table = getattr(value, "__table__", None)
    if table is None:
        return set()
    found: set[int] = set()
    for field in table.fields:
        inner = getattr(value, field.name)
        if field.name.endswith("error_code"):
            found.add(int(inner))
        else:
            found |= _codes(inner)
    return found - {0}


def test_the_cases_below_are_all_there_are() -> None:
    tried = {_key(request) for request, _, _ in _REFUSED}
    assert tried | _OPEN == CHECKS.keys()
    assert not tried & _OPEN


def _key(request: Any) -> int:
    return int(sys.modules[type(request).__module__].API_KEY)


@pytest.mark.parametrize("place", range(len(_REFUSED)), ids=[type(row[0]).__name__ for row in _REFUSED])
def test_without_rights_the_handler_is_not_asked_and_the_refusal_can_be_sent(place: int) -> None:
    request, codes, first = _REFUSED[place]
    key = _key(request)
    versions = request_table(key).versions.numbers()
    seen: set[int] = set()
    for version in versions:
        context = RequestContext(key, version, "client", "PLAINTEXT", "10.0.0.1", 1)
        asking = Asking(Authorizer(), context, _NoTopics(), audit=None, creates_topics=True)

        async def answer(left: Any) -> Any:
            assert key == metadata.API_KEY, "the handler was asked"
            assert not left.topics
            return metadata.MetadataResponse(topics=[metadata.MetadataResponseTopic(name="a-secret")])

        response = asyncio.run(CHECKS[key].guard(asking, copy.deepcopy(request), answer))
        envelope.encode_response(response, key, version, 7)
        if version >= first:
            assert _codes(response) <= codes
            assert _codes(response)
            assert "a-secret" not in repr(response)
            seen |= _codes(response)
    assert seen == codes
