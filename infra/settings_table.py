"""Every setting of a node: name, type, default, one sentence. docs/settings.md is made from it.

Kafka's own names where Kafka has one. The flag of a setting is `--set NAME=VALUE`, its environment variable is
CAUCE_NAME with dots as underscores, in the TOML file it is a quoted key.
"""

from infra.config_value import LONG_MAX, ConfigDef, ConfigType
from infra.security.settings_table import LISTENER_SETTINGS, SECURITY_SETTINGS

_B, _S, _I, _L, _LIST = ConfigType.BOOLEAN, ConfigType.STRING, ConfigType.INT, ConfigType.LONG, ConfigType.LIST
_SECRET = ConfigType.PASSWORD  # never shown: not in messages, not over the wire

SETTINGS: dict[str, ConfigDef] = {
    definition.name: definition
    for definition in (
        ConfigDef("cauce.data", _S, "./cauce-data", "Folder of the WAL, the node id and, embedded, bucket and Redis."),
        ConfigDef(
            "cauce.bucket",
            _S,
            "",
            "file:///folder or s3://name/prefix?endpoint=…&region=…; empty: the folder bucket in the data folder.",
        ),
        ConfigDef(
            "cauce.redis",
            _SECRET,
            "",
            "URL: redis://, rediss:// (TLS), redis+sentinel://, redis+cluster:// or unix://, as operating.md shows; "
            "empty: an embedded Valkey server.",
        ),
        ConfigDef(
            "cauce.roles",
            _LIST,
            "ingest,reader,compactor",
            "What this node does.",
            choices=("ingest", "reader", "compactor"),
        ),
        ConfigDef("node.id", _I, "-1", "Kafka's broker id; -1: what the data folder keeps, else a free one.", low=-1),
        ConfigDef("broker.rack", _S, "", "Rack or zone, told to clients."),
        ConfigDef("listeners", _LIST, "PLAINTEXT://127.0.0.1:9092", "NAME://HOST:PORT of each listener; port 0: any."),
        ConfigDef(
            "advertised.listeners",
            _LIST,
            "",
            "NAME://HOST:PORT that clients are told for each listener; empty: what it listens on.",
        ),
        *SECURITY_SETTINGS,
        ConfigDef("cauce.http", _S, "127.0.0.1:0", "HOST:PORT of /healthz, /readyz and /metrics; empty: none."),
        ConfigDef("cauce.log.level", _S, "info", "Least level logged.", choices=("debug", "info", "warning", "error")),
        ConfigDef("cauce.log.format", _S, "text", "text for people, json for programs.", choices=("text", "json")),
        ConfigDef(
            "cauce.durability",
            _S,
            "",
            "Default of the topic config; empty: wal when the bucket is a local folder, object elsewhere.",
            choices=("", "wal", "object"),
        ),
        ConfigDef(
            "cauce.flush.interval.ms",
            _L,
            "-1",
            "The oldest unflushed batch is flushed after so long, at object at once when the last flush was as long "
            "ago; -1: 250 at object, 5000 at wal.",
            low=-1,
        ),
        ConfigDef(
            "cauce.flush.bytes",
            _L,
            "-1",
            "So many unflushed bytes are flushed at once; -1: 8 MiB at object, 64 MiB at wal.",
            low=-1,
        ),
        ConfigDef("cauce.wal.bytes", _L, str(4 << 30), "Disk that the WAL may take; then producers wait.", low=1 << 26),
        ConfigDef("cauce.tail.bytes", _L, str(256 << 20), "Memory for published batches kept hot.", low=0),
        ConfigDef("cauce.cache.bytes", _L, str(256 << 20), "Memory for segments read from the bucket.", low=1 << 23),
        ConfigDef("cauce.session.timeout.ms", _I, "6000", "A node that does not renew is over after so long.", low=500),
        ConfigDef(
            "cauce.view.repair.interval.ms",
            _L,
            "60000",
            "How often one node looks whether Redis knows every topic of the bucket, undeleted ones too: two LISTs.",
            low=100,
        ),
        ConfigDef(
            "authorizer.class.name",
            _S,
            "",
            "Empty: everybody may do everything. Any of the others: only what access rules allow.",
            choices=(
                "",
                "cauce",
                "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "kafka.security.authorizer.AclAuthorizer",
                "kafka.security.auth.SimpleAclAuthorizer",
            ),
        ),
        ConfigDef("super.users", _S, "", "User:NAME, several with semicolons between: they may do everything."),
        ConfigDef(
            "allow.everyone.if.no.acl.found",
            _B,
            "false",
            "Whether everybody may do everything to what no access rule is about.",
        ),
        ConfigDef(
            "cauce.audit",
            _S,
            "off",
            "JSON lines on stderr, with an authorizer: what is denied; all: what is changed as well.",
            choices=("off", "denied", "all"),
        ),
        ConfigDef("auto.create.topics.enable", _B, "true", "Whether asking for a topic creates it."),
        ConfigDef("num.partitions", _I, "1", "Partitions of a new topic.", low=1, high=10_000),
        ConfigDef("offsets.topic.num.partitions", _I, "16", "Partitions of __consumer_offsets.", low=1, high=10_000),
        ConfigDef("offsets.retention.minutes", _I, "10080", "How long offsets of an empty group are kept.", low=1),
        ConfigDef(
            "offsets.retention.check.interval.ms", _L, "600000", "How often expired offsets are looked for.", low=1
        ),
        ConfigDef("offset.metadata.max.bytes", _I, "4096", "The longest metadata of a committed offset.", low=0),
        ConfigDef("group.initial.rebalance.delay.ms", _I, "3000", "How long an empty group waits for members.", low=0),
        ConfigDef("group.min.session.timeout.ms", _I, "6000", "The shortest session time-out of a member.", low=1),
        ConfigDef("group.max.session.timeout.ms", _I, "1800000", "The longest session time-out of a member.", low=1),
        ConfigDef("group.max.size", _I, "2147483647", "Most members of a group.", low=1),
        ConfigDef("producer.id.expiration.ms", _I, "86400000", "An idle producer's state is kept for so long.", low=1),
        ConfigDef(
            "transaction.state.log.num.partitions",
            _I,
            "16",
            "Partitions of __transaction_state.",
            low=1,
            high=10_000,
        ),
        ConfigDef(
            "transaction.max.timeout.ms", _I, "900000", "The longest transaction.timeout.ms of a producer.", low=1
        ),
        ConfigDef(
            "transaction.abort.timed.out.transaction.cleanup.interval.ms",
            _I,
            "10000",
            "How often transactions that take too long are looked for, to be aborted.",
            low=1,
        ),
        ConfigDef(
            "transactional.id.expiration.ms", _I, "604800000", "An idle transactional id is kept for so long.", low=1
        ),
        ConfigDef(
            "transaction.remove.expired.transaction.cleanup.interval.ms",
            _I,
            "3600000",
            "How often expired transactional ids are looked for.",
            low=1,
        ),
        ConfigDef(
            "cauce.compaction.interval.ms", _L, "10000", "How often a compactor looks for work in a partition.", low=10
        ),
        ConfigDef(
            "cauce.compaction.bytes",
            _L,
            str(32 << 20),
            "So many bytes in a partition's batch segments are rewritten into record segments at once.",
            low=1,
        ),
        ConfigDef(
            "cauce.compaction.age.ms",
            _L,
            "600000",
            "What lies in batch segments for so long is rewritten however little it is.",
            low=0,
        ),
        ConfigDef(
            "log.retention.check.interval.ms", _L, "300000", "How often a compactor looks for expired records.", low=1
        ),
        ConfigDef("log.cleaner.enable", _B, "true", "Whether compactors clean topics with cleanup.policy=compact."),
        ConfigDef("log.cleaner.backoff.ms", _L, "15000", "How often a compactor looks for logs to clean.", low=0),
        ConfigDef(
            "log.cleaner.dedupe.buffer.size",
            _L,
            str(128 << 20),
            "Memory for the newest offsets of keys while a log is cleaned.",
            low=1 << 20,
        ),
        ConfigDef(
            "cauce.garbage.grace.ms",
            _L,
            "3600000",
            "An object that nothing needs is deleted after so long; longer than any read or flush takes.",
            low=0,
        ),
        ConfigDef(
            "cauce.table.catalog",
            _SECRET,
            "",
            "Iceberg catalog of the tables of topics: JSON or name=value, with commas between, as pyiceberg takes it; "
            "empty: an SQLite file in the data folder, for one compactor.",
        ),
        ConfigDef(
            "cauce.table.commit.interval.ms",
            _L,
            "30000",
            "A topic's table follows its record segments with one commit in so long, at the most.",
            low=0,
        ),
        ConfigDef(
            "cauce.table.snapshot.retention.ms",
            _L,
            "3600000",
            "A table's snapshot, and the objects that it alone names, stay for so long after a newer one came.",
            low=0,
        ),
        ConfigDef("cauce.garbage.interval.ms", _L, "600000", "How often a compactor looks for garbage.", low=10),
        ConfigDef(
            "cauce.topic.undelete.ms",
            _L,
            "86400000",
            "For so long a deleted topic can be brought back; then its objects go.",
            low=0,
        ),
        ConfigDef("max.incremental.fetch.session.cache.slots", _I, "1000", "Fetch sessions a node keeps.", low=0),
        ConfigDef("socket.request.max.bytes", _I, "104857600", "The largest request.", low=1024),
        ConfigDef("max.connections", _I, "10000", "Most connections of a node.", low=1),
        ConfigDef("max.connections.per.ip", _I, "2147483647", "Most connections from one address.", low=0),
        ConfigDef("connections.max.idle.ms", _L, "600000", "An idle connection is closed after so long.", low=1),
        ConfigDef(
            "queued.max.request.bytes",
            _L,
            str(1 << 30),
            "Bytes of requests received and not yet answered, over all connections.",
            low=1 << 20,
            high=LONG_MAX,
        ),
    )
}


def settings_markdown() -> str:
    """docs/settings.md."""
    lines = [
        "# Settings of a node",
        "",
        "Made by `python -m infra.settings_table > docs/settings.md`. A setting is given as a flag",
        "(`--set NAME=VALUE`), else as an environment variable (`CAUCE_` and the name in capitals, dots as",
        "underscores, a leading `cauce.` left out), else in a TOML file (`--config FILE`, a quoted key a line).",
        "",
        "A setting of type password can also say where its value stands: `file:/path`, `env:NAME`,",
        "`aws-secretsmanager:ARN`, or `aws-secretsmanager:ARN#key` for one value of a secret that is a JSON object.",
        "",
        "One with † can be given for one listener alone: `listener.name.NAME.SETTING`, with NAME in small letters.",
        "[security.md](security.md) shows how they are used.",
        "",
        "| name | type | default | |",
        "|---|---|---|---|",
    ]
    for definition in SETTINGS.values():
        default = f"`{definition.default}`" if definition.default else ""
        choices = f" One of: {', '.join(c or '(empty)' for c in definition.choices)}." if definition.choices else ""
        mark = " †" if definition.name in LISTENER_SETTINGS else ""
        lines.append(
            f"| `{definition.name}`{mark} | {definition.type.name.lower()} | {default} | {definition.doc}{choices} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(settings_markdown())
