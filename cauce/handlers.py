"""Every API of a node: the handlers with what they need. What is not in this list is not offered."""

from collections.abc import Iterator, Sequence

from cauce.api.alter_configs import AlterConfigsHandler
from cauce.api.alter_partition_reassignments import AlterPartitionReassignmentsHandler
from cauce.api.api_versions import ApiVersionsHandler
from cauce.api.config_entries import DEFAULT_SOURCE, STATIC_SOURCE, ConfigRow
from cauce.api.create_partitions import CreatePartitionsHandler
from cauce.api.create_topics import CreateTopicsHandler
from cauce.api.delete_topics import DeleteTopicsHandler
from cauce.api.describe_cluster import DescribeClusterHandler
from cauce.api.describe_configs import DescribeConfigsHandler
from cauce.api.describe_log_dirs import DescribeLogDirsHandler
from cauce.api.describe_topic_partitions import DescribeTopicPartitionsHandler
from cauce.api.elect_leaders import ElectLeadersHandler
from cauce.api.find_coordinator import FindCoordinatorHandler
from cauce.api.incremental_alter_configs import IncrementalAlterConfigsHandler
from cauce.api.list_config_resources import ListConfigResourcesHandler
from cauce.api.list_partition_reassignments import ListPartitionReassignmentsHandler
from cauce.api.metadata import MetadataHandler
from cauce.config_admin import ConfigAdmin
from cauce.node_parts import NodeParts
from infra.settings import Settings
from infra.settings_table import SETTINGS
from infra.wire.handler import Handler, Registry
from ingest.api.delete_groups import DeleteGroupsHandler
from ingest.api.delete_records import DeleteRecordsHandler
from ingest.api.describe_groups import DescribeGroupsHandler
from ingest.api.heartbeat import HeartbeatHandler
from ingest.api.init_producer_id import InitProducerIdHandler
from ingest.api.join_group import JoinGroupHandler
from ingest.api.leave_group import LeaveGroupHandler
from ingest.api.list_groups import ListGroupsHandler
from ingest.api.offset_commit import OffsetCommitHandler
from ingest.api.offset_delete import OffsetDeleteHandler
from ingest.api.offset_fetch import OffsetFetchHandler
from ingest.api.produce import ProduceHandler
from ingest.api.sync_group import SyncGroupHandler
from reader.api.fetch import FetchHandler
from reader.api.list_offsets import ListOffsetsHandler
from reader.api.offset_for_leader_epoch import OffsetForLeaderEpochHandler
from reader.fetch import Fetcher
from reader.fetch_session import FetchSessionCache
from reader.offset_lookup import OffsetLookup


def registry_of(parts: NodeParts) -> Registry:
    """All handlers of a node."""
    registry = Registry(
        [*_cluster_handlers(parts), *_write_handlers(parts), *_group_handlers(parts), *_read_handlers(parts)]
    )
    registry.add(ApiVersionsHandler(registry))
    return registry


def static_configs(settings: Settings) -> Sequence[ConfigRow]:
    """A node's own settings as rows of DescribeConfigs: read-only over the wire.

    The bucket is shown also when none was named: replays learn from it where the records are.
    """
    texts = {**settings.texts, "cauce.bucket": settings.bucket}
    return [
        ConfigRow(
            definition,
            texts[name],
            STATIC_SOURCE if name in settings.origin else DEFAULT_SOURCE,
            read_only=True,
        )
        for name, definition in SETTINGS.items()
    ]


def _cluster_handlers(parts: NodeParts) -> Iterator[Handler]:
    state, topics, settings = parts.state, parts.topic_admin, parts.settings
    configs = ConfigAdmin(state, topics, parts.broker_configs, parts.manifest_ledger)
    yield MetadataHandler(state, topics, auto_create=settings["auto.create.topics.enable"])
    yield CreateTopicsHandler(state, topics)
    yield DeleteTopicsHandler(state, topics)
    yield CreatePartitionsHandler(state, topics)
    yield DescribeConfigsHandler(state, static_configs(settings))
    yield AlterConfigsHandler(configs)
    yield IncrementalAlterConfigsHandler(configs)
    yield DescribeClusterHandler(state)
    yield DescribeLogDirsHandler(state, parts.leaders, settings.bucket)
    yield ListConfigResourcesHandler(state)
    yield DescribeTopicPartitionsHandler(state)
    yield ElectLeadersHandler(state)
    yield AlterPartitionReassignmentsHandler(state)
    yield ListPartitionReassignmentsHandler()
    yield FindCoordinatorHandler(state, topics.ensure)


def _write_handlers(parts: NodeParts) -> Iterator[Handler]:
    yield ProduceHandler(
        parts.leaders, parts.find_topic, leader=parts.state.leader, clock=parts.clock, observer=parts.ingest_metrics
    )
    yield InitProducerIdHandler(parts.producer_ids)
    yield DeleteRecordsHandler(parts.leaders, parts.find_topic, parts.manifests.raise_log_start)


def _group_handlers(parts: NodeParts) -> Iterator[Handler]:
    coordinator = parts.coordinator
    yield JoinGroupHandler(coordinator, parts.clock)
    yield SyncGroupHandler(coordinator)
    yield HeartbeatHandler(coordinator)
    yield LeaveGroupHandler(coordinator)
    yield OffsetCommitHandler(coordinator)
    yield OffsetFetchHandler(coordinator)
    yield OffsetDeleteHandler(coordinator)
    yield DeleteGroupsHandler(coordinator)
    yield DescribeGroupsHandler(coordinator)
    yield ListGroupsHandler(coordinator)


def _read_handlers(parts: NodeParts) -> Iterator[Handler]:
    state, leaders = parts.state, parts.leaders
    sessions = FetchSessionCache(parts.clock, parts.settings["max.incremental.fetch.session.cache.slots"])
    yield FetchHandler(
        state,
        Fetcher(leaders, parts.catch_up),
        sessions,
        nodes=state.nodes,
        clock=parts.clock,
        observer=parts.read_metrics,
    )
    yield ListOffsetsHandler(state, leaders, OffsetLookup(parts.catch_up))
    yield OffsetForLeaderEpochHandler(state, leaders)
