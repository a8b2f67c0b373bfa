"""A topic's settings as the bucket has them now, for what cannot be undone: the view's may be old."""

from uuid import UUID

from infra.cluster.records import NO_CONFIGS, SettingRecord, TopicRecord
from infra.cluster.state import BROKER_CONFIGS
from infra.object_key import setting_ledger, topic_ledger
from infra.ports import Durability
from infra.store.ledger import Ledger
from infra.store.port import ObjectStore
from infra.topic_config import TopicSettings, topic_settings


class CurrentSettings:
    """Reads topic and broker configs from their ledgers. Keeps nothing."""

    def __init__(self, store: ObjectStore, node_durability: Durability) -> None:
        self._store = store
        self._node_durability = node_durability

    async def read(self, topic_id: UUID) -> TopicSettings | None:
        """None when the topic is deleted, or unknown to the bucket. Raises `Unavailable`, `Corrupt`."""
        entry = await Ledger(self._store, topic_ledger(topic_id)).last()
        if entry is None:
            return None
        topic = TopicRecord.decode(entry.body, f"topic {topic_id}")
        if topic.deleted_ms is not None:
            return None
        broker = await Ledger(self._store, setting_ledger(BROKER_CONFIGS, "")).last()
        values = NO_CONFIGS if broker is None else SettingRecord.decode(broker.body, "broker configs").values
        return topic_settings(topic.configs, values, self._node_durability)
