"""Every topic config that Kafka's tools show: name, type, default, documentation, and what is obeyed.

Names and defaults are Kafka's own (https://kafka.apache.org/documentation/#topicconfigs); `cauce.` ones are ours.
"""

from collections.abc import Mapping

from infra.config_value import LONG_MAX, ConfigDef, ConfigType

_B, _S, _I, _L, _D, _LIST = (
    ConfigType.BOOLEAN,
    ConfigType.STRING,
    ConfigType.INT,
    ConfigType.LONG,
    ConfigType.DOUBLE,
    ConfigType.LIST,
)

DURABILITY = "cauce.durability"

TOPIC_CONFIGS: Mapping[str, ConfigDef] = {
    definition.name: definition
    for definition in (
        ConfigDef(
            "cauce.deletion.protection",
            _B,
            "false",
            "Whether deleting the topic is refused until this is set to false.",
        ),
        ConfigDef(
            DURABILITY,
            _S,
            "",
            "What an acknowledgement with acks=all promises: wal (synced on the leader's disk) or object (in the "
            "bucket and published). Empty: by the node, wal on a local folder and object elsewhere.",
            choices=("", "wal", "object"),
            synonym=DURABILITY,
        ),
        ConfigDef(
            "cauce.table",
            _S,
            "",
            "Whether the topic's record segments are an Iceberg table too, for analytics engines: empty or iceberg.",
            choices=("", "iceberg"),
        ),
        ConfigDef(
            "cauce.value.format",
            _S,
            "bytes",
            "How record segments store values, for analytics engines: bytes as binary, string and json as text (and "
            "a value that is not UTF-8 in the column value_bytes). Fixed once the topic has a record segment.",
            choices=("bytes", "string", "json"),
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
            "Whether at durability wal a partition may move on without the WAL of its last leader, losing what only "
            "that disk holds.",
            synonym="unclean.leader.election.enable",
        ),
    )
}
