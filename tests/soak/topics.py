"""The topics of a soak, and the settings of its node: so small and quick that everything happens within minutes."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SoakTopic:
    """A topic, and what may become of its records."""

    name: str
    partitions: int = 2
    configs: Mapping[str, str] = field(default_factory=dict)
    compacted: bool = False  # records may go for a newer one of their key
    retention_ms: int | None = None  # records may go by age
    shrinks: bool = False  # records may go by retention.bytes
    cut: bool = False  # records may go by DeleteRecords
    delete_retention_ms: int = 0
    appended_time: bool = False  # timestamps are the leader's

    @property
    def kept_whole(self) -> bool:
        """Whether every record stays."""
        return not (self.compacted or self.shrinks or self.cut) and self.retention_ms is None


FOR_EVER = {"retention.ms": "-1", "segment.bytes": "262144"}


def soak_topics(retention_ms: int, delete_retention_ms: int) -> list[SoakTopic]:
    """One of each kind."""
    compact = {"min.cleanable.dirty.ratio": "0.2", "delete.retention.ms": str(delete_retention_ms)}
    small = {"segment.bytes": "65536"}
    return [
        SoakTopic("whole", configs=FOR_EVER),
        SoakTopic(
            "appended",
            configs={**FOR_EVER, "message.timestamp.type": "LogAppendTime", "cauce.value.format": "json"},
            appended_time=True,
        ),
        SoakTopic(
            "bytes", configs={**small, "retention.ms": "-1", "retention.bytes": "300000"}, shrinks=True, cut=True
        ),
        SoakTopic("time", configs={**small, "retention.ms": str(retention_ms)}, retention_ms=retention_ms, cut=True),
        SoakTopic(
            "compact",
            configs={**small, **compact, "cleanup.policy": "compact"},
            compacted=True,
            delete_retention_ms=delete_retention_ms,
        ),
        SoakTopic(
            "compact-delete",
            configs={
                **small,
                **compact,
                "cleanup.policy": "compact,delete",
                "retention.ms": str(3 * retention_ms),
                "cauce.durability": "object",
            },
            compacted=True,
            retention_ms=3 * retention_ms,
            cut=True,
            delete_retention_ms=delete_retention_ms,
        ),
    ]


def node_options(grace_ms: int, undelete_ms: int) -> list[str]:
    """Words of the node's command line."""
    settings = {
        "cauce.flush.interval.ms": 200,
        "cauce.compaction.bytes": 200_000,
        "cauce.compaction.interval.ms": 500,
        "cauce.compaction.age.ms": 2000,
        "log.retention.check.interval.ms": 2000,
        "log.cleaner.backoff.ms": 2000,
        "cauce.garbage.interval.ms": 1000,
        "cauce.garbage.grace.ms": grace_ms,
        "cauce.topic.undelete.ms": undelete_ms,
        "cauce.tail.bytes": 1 << 20,
        "cauce.cache.bytes": 8 << 20,
        "cauce.view.repair.interval.ms": 1000,
    }
    return [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
