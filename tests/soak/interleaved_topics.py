"""The topics of interleaved histories: one of each kind, so small that a few batches make several segments."""

from tests.soak.topics import SoakTopic

RETENTION_MS = 15_000
TOMBSTONES_MS = 20_000

TOPICS = (
    SoakTopic("whole", 1, {"retention.ms": "-1", "segment.bytes": "6000"}),
    SoakTopic(
        "shrinks",
        1,
        {"retention.bytes": "9000", "retention.ms": "-1", "segment.bytes": "4000"},
        shrinks=True,
        cut=True,
    ),
    SoakTopic(
        "expires",
        1,
        {"retention.ms": str(RETENTION_MS), "segment.bytes": "4000"},
        retention_ms=RETENTION_MS,
        cut=True,
    ),
    SoakTopic(
        "cleaned",
        1,
        {
            "cleanup.policy": "compact",
            "min.cleanable.dirty.ratio": "0.1",
            "delete.retention.ms": str(TOMBSTONES_MS),
            "segment.bytes": "4000",
        },
        compacted=True,
        delete_retention_ms=TOMBSTONES_MS,
    ),
    SoakTopic(
        "both",
        1,
        {
            "cleanup.policy": "compact,delete",
            "min.cleanable.dirty.ratio": "0",
            "delete.retention.ms": str(TOMBSTONES_MS),
            "retention.ms": str(2 * RETENTION_MS),
            "segment.bytes": "5000",
        },
        compacted=True,
        retention_ms=2 * RETENTION_MS,
        cut=True,
        delete_retention_ms=TOMBSTONES_MS,
    ),
)
