"""Topic names and configs: checked, and parsed into the settings that the write and read path obey.

A config that is accepted is obeyed; one that cannot be is refused with a sentence (`INVALID_CONFIG`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.config_value import BadValue, ConfigDef
from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.ports import Durability
from infra.topic_config_table import DURABILITY, TOPIC_CONFIGS

_TOPIC_NAME_MAX = 249
_TOPIC_NAME_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")

INTERNAL_TOPICS = frozenset({"__consumer_offsets", "__transaction_state"})


def check_topic_name(name: str) -> None:
    """Raise `Refused(INVALID_TOPIC_EXCEPTION)` unless the name is one that Kafka takes."""
    if not name or name in (".", ".."):
        problem = "must not be empty, '.' or '..'"
    elif len(name) > _TOPIC_NAME_MAX:
        problem = f"has {len(name)} characters, {_TOPIC_NAME_MAX} are the most"
    elif not _TOPIC_NAME_LETTERS.issuperset(name):
        problem = "may hold only ASCII letters, digits, '.', '_' and '-'"
    else:
        return
    raise Refused(ErrorCode.INVALID_TOPIC_EXCEPTION, f"the topic name {name!r} {problem}")


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """A topic's configs, parsed, as the write and read path obey them."""

    durability: Durability
    cleanup_policy: frozenset[str]
    max_message_bytes: int
    message_timestamp_type: str  # CreateTime or LogAppendTime
    message_timestamp_before_max_ms: int
    message_timestamp_after_max_ms: int
    retention_ms: int  # -1: for ever
    retention_bytes: int  # -1: no limit
    segment_bytes: int
    delete_retention_ms: int
    min_cleanable_dirty_ratio: float
    min_compaction_lag_ms: int
    max_compaction_lag_ms: int
    unclean_leader_election: bool
    value_format: str  # bytes, string or json
    table: str  # "" or iceberg

    @property
    def compacted(self) -> bool:
        """True when every record needs a key."""
        return "compact" in self.cleanup_policy

    @property
    def log_append_time(self) -> bool:
        """True when the leader stamps its own time."""
        return self.message_timestamp_type == "LogAppendTime"


def check_topic_configs(configs: Mapping[str, str | None]) -> None:
    """Raise `Refused(INVALID_CONFIG)` for an unknown name or a value that cannot be obeyed."""
    for name, text in configs.items():
        definition = TOPIC_CONFIGS.get(name)
        if definition is None:
            raise Refused(ErrorCode.INVALID_CONFIG, f"unknown topic config {name!r}")
        if text is None:
            raise Refused(ErrorCode.INVALID_CONFIG, f"the value of topic config {name} must not be null")
        parse_value(definition, text)


def check_deletable(name: str, configs: Mapping[str, str]) -> None:
    """Raise `Refused(POLICY_VIOLATION)` for a topic whose configs say that it must not be deleted."""
    definition = TOPIC_CONFIGS["cauce.deletion.protection"]
    if definition.parse(configs.get(definition.name, definition.default)):
        raise Refused(
            ErrorCode.POLICY_VIOLATION,
            f"topic {name!r} is protected from deletion; set its config {definition.name}=false first",
        )


def parse_value(definition: ConfigDef, text: str) -> Any:
    """The typed value of a config; raises `Refused(INVALID_CONFIG)`."""
    try:
        return definition.parse(text)
    except BadValue as error:
        raise Refused(ErrorCode.INVALID_CONFIG, f"{definition.name}={text!r} {error}") from None


def topic_settings(
    configs: Mapping[str, str], broker_configs: Mapping[str, str], node_durability: Durability
) -> TopicSettings:
    """What a topic's own configs, else the broker's synonyms, else the defaults come to."""

    def value(name: str) -> Any:
        definition = TOPIC_CONFIGS[name]
        text = configs.get(name)
        if text is None and definition.synonym:
            text = broker_configs.get(definition.synonym)
        return definition.parse(definition.default if text is None else text)

    return TopicSettings(
        durability=value(DURABILITY) or node_durability,
        cleanup_policy=frozenset(value("cleanup.policy")),
        max_message_bytes=value("max.message.bytes"),
        message_timestamp_type=value("message.timestamp.type"),
        message_timestamp_before_max_ms=value("message.timestamp.before.max.ms"),
        message_timestamp_after_max_ms=value("message.timestamp.after.max.ms"),
        retention_ms=value("retention.ms"),
        retention_bytes=value("retention.bytes"),
        segment_bytes=value("segment.bytes"),
        delete_retention_ms=value("delete.retention.ms"),
        min_cleanable_dirty_ratio=value("min.cleanable.dirty.ratio"),
        min_compaction_lag_ms=value("min.compaction.lag.ms"),
        max_compaction_lag_ms=value("max.compaction.lag.ms"),
        unclean_leader_election=value("unclean.leader.election.enable"),
        value_format=value("cauce.value.format"),
        table=value("cauce.table"),
    )
