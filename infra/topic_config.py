"""Topic configs: every one that Kafka's tools show, with type, default, documentation, and what Cauce makes of it.

A config that is accepted is obeyed; one that cannot be is refused with a sentence (`INVALID_CONFIG`). Names and
defaults are Kafka's own (https://kafka.apache.org/documentation/#topicconfigs); `cauce.` ones are ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.config_value import LONG_MAX, BadValue, ConfigDef, ConfigType
from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.ports import Durability

_B, _S, _I, _L, _D, _LIST = (
    ConfigType.BOOLEAN,
    ConfigType.STRING,
    ConfigType.INT,
    ConfigType.LONG,
    ConfigType.DOUBLE,
    ConfigType.LIST,
)

TOPIC_CONFIGS: Mapping[str, ConfigDef] = {
    definition.name: definition
    for definition in (
        ConfigDef(
            "cauce.durability",
            _S,
            "",
            "What an acknowledgement with acks=all promises: wal (synced on the leader's disk) or object (in the bucket "
            "and published). Empty: by the node, wal on a local folder and object elsewhere.",
            choices=("", "wal", "object"),
            synonym="cauce.durability",
        ),
        ConfigDef(
            "cleanup.policy",
            _LIST,
            "delete",
            "What happens to old records: delete by retention, compact by key, or both.",
            choices=("delete", "compact"),
            synonym="log.cleanup.policy",
        ),
        ConfigDef("compression.gzip.level", _I, "-1", "Level of gzip when compression.type is gzip.", low=-1, high=9),
        ConfigDef("compression.lz4.level", _I, "9", "Level of lz4 when compression.type is lz4.", low=1, high=17),
        ConfigDef(
            "compression.type",
            _S,
            "producer",
            "Codec of stored record batches; producer keeps the producer's own.",
            fixed="batches are stored as the producer sent them, so choose the codec in the producer",
            synonym="compression.type",
        ),
        ConfigDef(
            "compression.zstd.level", _I, "3", "Level of zstd when compression.type is zstd.", low=-131072, high=22
        ),
        ConfigDef(
            "delete.retention.ms",
            _L,
            "86400000",
            "How long tombstones of a compacted topic are kept.",
            low=0,
            synonym="log.cleaner.delete.retention.ms",
        ),
        ConfigDef(
            "file.delete.delay.ms",
            _L,
            "60000",
            "The least time between an object becoming garbage and its deletion; the garbage grace is longer.",
            low=0,
            synonym="log.segment.delete.delay.ms",
        ),
        ConfigDef(
            "flush.messages",
            _L,
            str(LONG_MAX),
            "Sync after so many records; every acknowledged record is synced, whatever the value.",
            low=1,
            synonym="log.flush.interval.messages",
        ),
        ConfigDef(
            "flush.ms",
            _L,
            str(LONG_MAX),
            "Sync after so long; every acknowledged record is synced, whatever the value.",
            low=0,
            synonym="log.flush.interval.ms",
        ),
        ConfigDef(
            "follower.replication.throttled.replicas",
            _LIST,
            "",
            "Replicas whose replication is throttled.",
            fixed="the bucket replicates, there is no replication between nodes",
        ),
        ConfigDef(
            "index.interval.bytes",
            _I,
            "4096",
            "How densely offsets are indexed; every batch is, whatever the value.",
            low=0,
            synonym="log.index.interval.bytes",
        ),
        ConfigDef(
            "leader.replication.throttled.replicas",
            _LIST,
            "",
            "Replicas whose replication is throttled.",
            fixed="the bucket replicates, there is no replication between nodes",
        ),
        ConfigDef(
            "max.compaction.lag.ms",
            _L,
            str(LONG_MAX),
            "The longest a record stays out of cleaning on a compacted topic.",
            low=1,
            synonym="log.cleaner.max.compaction.lag.ms",
        ),
        ConfigDef(
            "max.message.bytes",
            _I,
            "1048588",
            "The largest record batch, after compression, that a producer may send.",
            low=0,
            synonym="message.max.bytes",
        ),
        ConfigDef(
            "message.timestamp.after.max.ms",
            _L,
            "3600000",
            "How far a record's timestamp may lie after the leader's clock.",
            low=0,
            synonym="log.message.timestamp.after.max.ms",
        ),
        ConfigDef(
            "message.timestamp.before.max.ms",
            _L,
            str(LONG_MAX),
            "How far a record's timestamp may lie before the leader's clock.",
            low=0,
            synonym="log.message.timestamp.before.max.ms",
        ),
        ConfigDef(
            "message.timestamp.type",
            _S,
            "CreateTime",
            "CreateTime keeps the producer's timestamps, LogAppendTime sets the leader's.",
            choices=("CreateTime", "LogAppendTime"),
            synonym="log.message.timestamp.type",
        ),
        ConfigDef(
            "min.cleanable.dirty.ratio",
            _D,
            "0.5",
            "The share of uncleaned bytes that makes cleaning of a compacted topic worth while.",
            low=0,
            high=1,
            synonym="log.cleaner.min.cleanable.ratio",
        ),
        ConfigDef(
            "min.compaction.lag.ms",
            _L,
            "0",
            "The least time a record stays out of cleaning on a compacted topic.",
            low=0,
            synonym="log.cleaner.min.compaction.lag.ms",
        ),
        ConfigDef(
            "min.insync.replicas",
            _I,
            "1",
            "Replicas that must acknowledge; the bucket replicates, so this never blocks a producer.",
            low=1,
            synonym="min.insync.replicas",
        ),
        ConfigDef("preallocate", _B, "false", "Preallocate files; WAL files always are.", synonym="log.preallocate"),
        ConfigDef(
            "retention.bytes",
            _L,
            "-1",
            "How many bytes of a partition are kept, -1 for no limit.",
            low=-1,
            synonym="log.retention.bytes",
        ),
        ConfigDef(
            "retention.ms",
            _L,
            "604800000",
            "How long records are kept, -1 for ever.",
            low=-1,
            synonym="log.retention.ms",
        ),
        ConfigDef(
            "segment.bytes",
            _I,
            "1073741824",
            "Target size of a record segment, 256 MiB of Parquet at the most.",
            low=14,
            synonym="log.segment.bytes",
        ),
        ConfigDef(
            "segment.index.bytes",
            _I,
            "10485760",
            "Size of an offset index; a segment's index lies in its footer, whatever the value.",
            low=4,
            synonym="log.index.size.max.bytes",
        ),
        ConfigDef(
            "segment.jitter.ms",
            _L,
            "0",
            "Random part of segment.ms.",
            low=0,
            synonym="log.roll.jitter.ms",
        ),
        ConfigDef(
            "segment.ms",
            _L,
            "604800000",
            "The longest until a segment is closed; a flush closes its segment within seconds.",
            low=1,
            synonym="log.roll.ms",
        ),
        ConfigDef(
            "unclean.leader.election.enable",
            _B,
            "false",
            "Whether at durability wal a partition may move on without the WAL of its last leader, losing what only that "
            "disk holds.",
            synonym="unclean.leader.election.enable",
        ),
    )
}

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
    unclean_leader_election: bool

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
        durability=value("cauce.durability") or node_durability,
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
        unclean_leader_election=value("unclean.leader.election.enable"),
    )
