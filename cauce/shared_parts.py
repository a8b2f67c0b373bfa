"""The parts of every node that serves Kafka's clients, whatever it does with records: nothing here starts anything."""

from collections.abc import Callable

from cauce.access.access import access_of
from cauce.acl_admin import AclAdmin
from cauce.current_session import CurrentSession
from cauce.node_metrics import ReadMetrics
from cauce.quota_admin import QuotaAdmin
from cauce.topic_admin import TopicAdmin
from infra.clock import Clock
from infra.cluster.manifest import ManifestLedger
from infra.cluster.producer_ids import ProducerIds
from infra.cluster.settings import BrokerConfigLedger, SettingsLedger
from infra.cluster.state import ClusterState, Topic
from infra.cluster.topics import TopicLedger
from infra.metrics import Metrics
from infra.security.acl_ledger import AclLedger
from infra.security.quota_ledger import QuotaLedger
from infra.security.user_admin import UserAdmin
from infra.security.users import SCRAM_USERS
from infra.settings import Settings
from infra.store.port import ObjectStore
from infra.topic_config import TopicSettings, topic_settings
from infra.view.redis_view import RedisView
from reader.catch_up import CatchUpReader


class SharedParts:
    """What reading, administration and producer ids need."""

    def __init__(
        self,
        *,
        settings: Settings,
        clock: Clock,
        metrics: Metrics,
        store: ObjectStore,
        cold_store: ObjectStore,
        view: RedisView,
        state: ClusterState,
    ) -> None:
        """`cold_store`: the same bucket through connections of its own, so that a replay slows no flush."""
        self.on_topics_changed: Callable[[], None] = lambda: None  # whoever keeps the leases sets it
        self.settings = settings
        self.clock = clock
        self.metrics = metrics
        self.store = store
        self.view = view
        self.state = state
        self.session = CurrentSession()
        self.read_metrics = ReadMetrics(metrics)
        self.topic_ledger = TopicLedger(store, view, clock)
        self.broker_configs = BrokerConfigLedger(store, view)
        self.access = access_of(state, settings, clock)
        self.acl_admin = AclAdmin(state, AclLedger(store, view))
        self.quota_admin = QuotaAdmin(state, QuotaLedger(store, view))
        self.user_admin = UserAdmin(SettingsLedger(SCRAM_USERS, store, view))
        self.manifest_ledger = ManifestLedger(store)
        self.producer_ids = ProducerIds(store, lambda: self.session.session)
        self.catch_up = CatchUpReader(cold_store, cache_bytes=settings["cauce.cache.bytes"])
        self.topic_admin = TopicAdmin(
            state,
            self.topic_ledger,
            default_partitions=settings["num.partitions"],
            internal_partitions={
                "__consumer_offsets": settings["offsets.topic.num.partitions"],
                "__transaction_state": settings["transaction.state.log.num.partitions"],
            },
            changed=lambda: self.on_topics_changed(),
        )

    def settings_of(self, topic: Topic) -> TopicSettings:
        """A topic's configs as the write side obeys them."""
        return topic_settings(topic.configs, self.state.broker_configs, self.settings.durability)
