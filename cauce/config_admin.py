"""Altering configs of topics and brokers: what is wanted is checked here, the topic and settings ledgers decide."""

from collections.abc import Callable, Mapping

from cauce.topic_admin import TopicAdmin
from infra.broker_config import DYNAMIC_BROKER_CONFIGS, check_dynamic_broker_configs
from infra.cluster.manifest import ManifestLedger
from infra.cluster.settings import BrokerConfigLedger
from infra.cluster.state import ClusterState, Topic
from infra.config_value import ConfigDef, ConfigType
from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.table_config import TABLE, check_table_support
from infra.topic_config import check_topic_configs
from infra.topic_config_table import TOPIC_CONFIGS

TOPIC, BROKER = 2, 4  # resource types (KIP-133)
SET, DELETE, APPEND, SUBTRACT = 0, 1, 2, 3  # operations of IncrementalAlterConfigs (KIP-339)
_VALUE_FORMAT = "cauce.value.format"

Change = Callable[[Mapping[str, str]], Mapping[str, str]]


def check_node(state: ClusterState, name: str) -> None:
    """Raise `Refused` unless `name` is the id of a live node."""
    if not (name.isascii() and name.isdigit()) or int(name) not in {node.session.node_id for node in state.brokers()}:
        raise Refused(ErrorCode.INVALID_REQUEST, f"{name!r} is not the id of a node that is there")


def replaced(configs: Mapping[str, str | None]) -> Change:
    """All configs become the given ones (AlterConfigs); a null value takes the config away."""
    kept = {name: text for name, text in configs.items() if text is not None}
    return lambda _: kept


def incremented(steps: list[tuple[str, int, str | None]], definitions: Mapping[str, ConfigDef]) -> Change:
    """Single configs are set, deleted, appended to or subtracted from (IncrementalAlterConfigs)."""
    names = [name for name, _, _ in steps]
    if len(set(names)) != len(names):
        raise Refused(ErrorCode.INVALID_REQUEST, "a config stands twice in the request")

    def change(configs: Mapping[str, str]) -> Mapping[str, str]:
        changed = dict(configs)
        for name, operation, text in steps:
            _step(changed, definitions, name, operation, text)
        return changed

    return change


def _step(
    configs: dict[str, str], definitions: Mapping[str, ConfigDef], name: str, operation: int, text: str | None
) -> None:
    definition = definitions.get(name)
    if definition is None:
        raise Refused(ErrorCode.INVALID_CONFIG, f"unknown config {name!r}")
    if operation == DELETE:
        configs.pop(name, None)
        return
    if text is None:
        raise Refused(ErrorCode.INVALID_REQUEST, f"the value of {name} must not be null")
    if operation == SET:
        configs[name] = text
        return
    if operation not in (APPEND, SUBTRACT) or definition.type is not ConfigType.LIST:
        raise Refused(ErrorCode.INVALID_CONFIG, f"{name} is not a list that can be appended to or subtracted from")
    words, given = _words(configs.get(name, definition.default)), _words(text)
    if operation == APPEND:
        words.extend(word for word in given if word not in words)
    else:
        words = [word for word in words if word not in given]
    configs[name] = ",".join(words)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


class ConfigAdmin:
    """The one way configs change on this node."""

    def __init__(
        self, state: ClusterState, topics: TopicAdmin, brokers: BrokerConfigLedger, manifests: ManifestLedger
    ) -> None:
        self._state = state
        self._topics = topics
        self._brokers = brokers
        self._manifests = manifests

    async def alter(self, resource_type: int, name: str, change: Change, validate_only: bool) -> None:
        """Apply `change` to the configs of a topic or a broker ("" for all). Raises `Refused`."""
        if resource_type == TOPIC:
            await self._alter_topic(name, change, validate_only)
        elif resource_type == BROKER:
            await self._alter_broker(name, change, validate_only)
        else:
            raise Refused(ErrorCode.INVALID_REQUEST, "only topics (2) and brokers (4) have configs here")

    @staticmethod
    def definitions(resource_type: int) -> Mapping[str, ConfigDef]:
        """The configs that resources of a type have."""
        return TOPIC_CONFIGS if resource_type == TOPIC else DYNAMIC_BROKER_CONFIGS

    async def _alter_topic(self, name: str, change: Change, validate_only: bool) -> None:
        topic = self._state.topic_by_name(name)
        if topic is None:
            raise Refused(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"there is no topic {name!r}")

        def checked(configs: Mapping[str, str]) -> Mapping[str, str]:
            changed = change(configs)
            check_topic_configs(changed)
            return changed

        wanted = checked(topic.configs)
        if wanted.get(TABLE) != topic.configs.get(TABLE):
            check_table_support(wanted)
        await self._check_value_format(topic, wanted)
        if not validate_only:
            await self._topics.alter_configs(topic, checked)

    async def _check_value_format(self, topic: Topic, changed: Mapping[str, str]) -> None:
        """A topic's record segments all have the same columns, so the first of them fixes how values are stored."""
        definition = TOPIC_CONFIGS[_VALUE_FORMAT]
        now = topic.configs.get(_VALUE_FORMAT, definition.default)
        if changed.get(_VALUE_FORMAT, definition.default) != now and await self._manifests.has_segments(topic.topic_id):
            raise Refused(
                ErrorCode.INVALID_CONFIG,
                f"{_VALUE_FORMAT} stays {now}: the topic has record segments already; choose it when creating a topic",
            )

    async def _alter_broker(self, name: str, change: Change, validate_only: bool) -> None:
        if name:
            check_node(self._state, name)
            raise Refused(
                ErrorCode.INVALID_CONFIG,
                "leaders move between nodes, so what topics fall back to holds for all of them: alter the broker "
                "configs of the whole cluster (an empty name, --entity-default); other settings are set at the start",
            )

        def checked(configs: Mapping[str, str]) -> Mapping[str, str]:
            changed = change(configs)
            check_dynamic_broker_configs(changed)
            return changed

        checked(self._state.broker_configs)
        if not validate_only:
            await self._brokers.alter(name, checked)
            await self._state.refresh()
