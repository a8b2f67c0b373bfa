"""Every API of a node, by its role: the handlers with what they need. What is not in these lists is not offered."""

from collections.abc import Iterator, Sequence

from cauce.access.access import Access
from cauce.api.alter_client_quotas import AlterClientQuotasHandler
from cauce.api.alter_configs import AlterConfigsHandler
from cauce.api.alter_partition_reassignments import AlterPartitionReassignmentsHandler
from cauce.api.alter_user_scram_credentials import AlterUserScramCredentialsHandler
from cauce.api.api_versions import ApiVersionsHandler
from cauce.api.config_entries import DEFAULT_SOURCE, STATIC_SOURCE, ConfigRow
from cauce.api.create_acls import CreateAclsHandler
from cauce.api.create_partitions import CreatePartitionsHandler
from cauce.api.create_topics import CreateTopicsHandler
from cauce.api.delete_acls import DeleteAclsHandler
from cauce.api.delete_topics import DeleteTopicsHandler
from cauce.api.describe_acls import DescribeAclsHandler
from cauce.api.describe_client_quotas import DescribeClientQuotasHandler
from cauce.api.describe_cluster import DescribeClusterHandler
from cauce.api.describe_configs import DescribeConfigsHandler
from cauce.api.describe_log_dirs import DescribeLogDirsHandler
from cauce.api.describe_topic_partitions import DescribeTopicPartitionsHandler
from cauce.api.describe_user_scram_credentials import DescribeUserScramCredentialsHandler
from cauce.api.elect_leaders import ElectLeadersHandler
from cauce.api.find_coordinator import FindCoordinatorHandler
from cauce.api.incremental_alter_configs import IncrementalAlterConfigsHandler
from cauce.api.list_config_resources import ListConfigResourcesHandler
from cauce.api.list_partition_reassignments import ListPartitionReassignmentsHandler
from cauce.api.metadata import MetadataHandler
from cauce.api.produce_elsewhere import ProduceElsewhereHandler
from cauce.api.sasl_authenticate import SaslAuthenticateHandler
from cauce.api.sasl_handshake import SaslHandshakeHandler
from cauce.config_admin import ConfigAdmin
from cauce.ingest_parts import IngestParts
from cauce.reader_parts import ReaderParts
from cauce.shared_parts import SharedParts
from infra.ports import TailSource
from infra.security.users import SCRAM_USERS
from infra.settings import Settings
from infra.settings_table import SETTINGS
from infra.wire.handler import Handler, Registry
from ingest.api.add_offsets_to_txn import AddOffsetsToTxnHandler
from ingest.api.add_partitions_to_txn import AddPartitionsToTxnHandler
from ingest.api.delete_groups import DeleteGroupsHandler
from ingest.api.delete_records import DeleteRecordsHandler
from ingest.api.describe_groups import DescribeGroupsHandler
from ingest.api.describe_producers import DescribeProducersHandler
from ingest.api.describe_transactions import DescribeTransactionsHandler
from ingest.api.end_txn import EndTxnHandler
from ingest.api.heartbeat import HeartbeatHandler
from ingest.api.init_producer_id import InitProducerIdHandler, NoTransactionalIds, TransactionalIds
from ingest.api.join_group import JoinGroupHandler
from ingest.api.leave_group import LeaveGroupHandler
from ingest.api.list_groups import ListGroupsHandler
from ingest.api.list_transactions import ListTransactionsHandler
from ingest.api.offset_commit import OffsetCommitHandler
from ingest.api.offset_delete import OffsetDeleteHandler
from ingest.api.offset_fetch import OffsetFetchHandler
from ingest.api.produce import ProduceHandler
from ingest.api.sync_group import SyncGroupHandler
from ingest.api.txn_offset_commit import TxnOffsetCommitHandler
from ingest.api.write_txn_markers import WriteTxnMarkersHandler
from ingest.coordinator.coordinator import GroupListing
from ingest.coordinator.transaction_coordinator import TransactionListing
from ingest.coordinator.transactions import TransactionFilter
from reader.api.fetch import FetchHandler
from reader.api.list_offsets import ListOffsetsHandler
from reader.api.offset_for_leader_epoch import OffsetForLeaderEpochHandler
from reader.fetch import Fetcher
from reader.fetch_session import FetchSessionCache
from reader.offset_lookup import OffsetLookup
from reader.referrals import Referrals


class NothingCoordinated(NoTransactionalIds):
    """What a node coordinates that is no coordinator: clients that list groups or transactions ask every node."""

    def list_groups(self) -> Sequence[GroupListing]:
        """None."""
        return ()

    def list_transactions(self, wanted: TransactionFilter) -> Sequence[TransactionListing]:
        """None."""
        return ()


def ingest_registry(parts: IngestParts) -> Registry:
    """All handlers of a node that leads partitions."""
    return _registry(
        [
            *_cluster_handlers(parts.shared, parts.leaders, parts.transactions.coordinator),
            *_write_handlers(parts),
            *_group_handlers(parts),
            *_transaction_handlers(parts),
            *_read_handlers(parts),
        ],
        parts.shared.access,
    )


def reader_registry(parts: ReaderParts) -> Registry:
    """All handlers of a reader node. What only leaders may answer is NOT_LEADER_OR_FOLLOWER, as Kafka's followers say;
    coordinators' calls are not offered, as FindCoordinator never names this node."""
    shared, state, nothing = parts.shared, parts.shared.state, NothingCoordinated()
    fetcher = Fetcher(parts.followers, shared.catch_up, stand=parts.followers.stand)
    return _registry(
        [
            *_cluster_handlers(shared, parts.led, nothing),
            ProduceElsewhereHandler(state),
            ListGroupsHandler(nothing),
            ListTransactionsHandler(nothing),
            _fetch_handler(shared, fetcher),
            ListOffsetsHandler(state, parts.led, OffsetLookup(shared.catch_up)),
            OffsetForLeaderEpochHandler(state, parts.led),
        ],
        shared.access,
    )


def _registry(handlers: Sequence[Handler], access: Access | None) -> Registry:
    registry = Registry(handlers if access is None else map(access.guard, handlers))
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


def _cluster_handlers(shared: SharedParts, led: TailSource, transactional_ids: TransactionalIds) -> Iterator[Handler]:
    """What any node answers, by the ledgers and the view."""
    state, topics, settings = shared.state, shared.topic_admin, shared.settings
    configs = ConfigAdmin(state, topics, shared.broker_configs, shared.manifest_ledger)
    yield SaslHandshakeHandler()
    yield SaslAuthenticateHandler(
        shared.clock, failed_delay_seconds=settings["connection.failed.authentication.delay.ms"] / 1000
    )
    yield DescribeUserScramCredentialsHandler(lambda: state.settings(SCRAM_USERS))
    yield AlterUserScramCredentialsHandler(shared.user_admin, state.refresh)
    yield MetadataHandler(state, topics, auto_create=settings["auto.create.topics.enable"])
    yield CreateTopicsHandler(state, topics, settings.durability)
    yield DeleteTopicsHandler(state, topics)
    yield CreatePartitionsHandler(state, topics)
    yield DescribeConfigsHandler(state, static_configs(settings), settings.durability)
    yield AlterConfigsHandler(configs)
    yield IncrementalAlterConfigsHandler(configs)
    yield DescribeClusterHandler(state)
    yield DescribeLogDirsHandler(state, led, settings.bucket)
    yield ListConfigResourcesHandler(state)
    yield DescribeTopicPartitionsHandler(state)
    yield ElectLeadersHandler(state)
    yield AlterPartitionReassignmentsHandler(state)
    yield ListPartitionReassignmentsHandler()
    yield from _security_handlers(shared)
    yield FindCoordinatorHandler(state, topics.ensure)
    yield InitProducerIdHandler(shared.producer_ids, transactional_ids)


def _security_handlers(shared: SharedParts) -> Iterator[Handler]:
    acls = None if shared.access is None else shared.acl_admin
    yield DescribeAclsHandler(acls)
    yield CreateAclsHandler(acls)
    yield DeleteAclsHandler(acls)
    yield DescribeClientQuotasHandler(shared.quota_admin)
    yield AlterClientQuotasHandler(shared.quota_admin)


def _write_handlers(parts: IngestParts) -> Iterator[Handler]:
    shared = parts.shared
    yield ProduceHandler(
        parts.leaders,
        parts.find_topic,
        leader=shared.state.leader,
        verifier=parts.verifier,
        clock=shared.clock,
        observer=parts.ingest_metrics,
    )
    yield WriteTxnMarkersHandler(parts.markers, parts.find_topic)
    yield DescribeProducersHandler(parts.leaders, parts.find_topic)
    yield DeleteRecordsHandler(parts.leaders, parts.find_topic, parts.manifests.raise_log_start)


def _group_handlers(parts: IngestParts) -> Iterator[Handler]:
    coordinator = parts.coordinator
    yield JoinGroupHandler(coordinator, parts.shared.clock)
    yield SyncGroupHandler(coordinator)
    yield HeartbeatHandler(coordinator)
    yield LeaveGroupHandler(coordinator)
    yield OffsetCommitHandler(coordinator)
    yield TxnOffsetCommitHandler(coordinator)
    yield OffsetFetchHandler(coordinator)
    yield OffsetDeleteHandler(coordinator)
    yield DeleteGroupsHandler(coordinator)
    yield DescribeGroupsHandler(coordinator)
    yield ListGroupsHandler(coordinator)


def _transaction_handlers(parts: IngestParts) -> Iterator[Handler]:
    state, coordinator = parts.shared.state, parts.transactions.coordinator
    yield AddPartitionsToTxnHandler(coordinator, state)
    yield AddOffsetsToTxnHandler(coordinator, parts.shared.topic_admin.ensure)
    yield EndTxnHandler(coordinator)
    yield DescribeTransactionsHandler(coordinator)
    yield ListTransactionsHandler(coordinator)


def _read_handlers(parts: IngestParts) -> Iterator[Handler]:
    shared, leaders = parts.shared, parts.leaders
    yield _fetch_handler(shared, Fetcher(leaders, shared.catch_up), parts.referrals)
    yield ListOffsetsHandler(shared.state, leaders, OffsetLookup(shared.catch_up))
    yield OffsetForLeaderEpochHandler(shared.state, leaders)


def _fetch_handler(shared: SharedParts, fetcher: Fetcher, referrals: Referrals | None = None) -> FetchHandler:
    sessions = FetchSessionCache(shared.clock, shared.settings["max.incremental.fetch.session.cache.slots"])
    return FetchHandler(
        shared.state,
        fetcher,
        sessions,
        nodes=shared.state.nodes,
        clock=shared.clock,
        observer=shared.read_metrics,
        referrals=referrals,
        may_fetch=None if shared.access is None else shared.access.may_fetch,
    )
