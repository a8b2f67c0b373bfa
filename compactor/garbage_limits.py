"""How long garbage is kept, and how much one cycle may do, so that no bucket is too large and no cycle too long."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GarbageLimits:
    """How long things are kept, and how much one cycle does."""

    grace_ms: int  # cauce.garbage.grace.ms
    undelete_ms: int  # cauce.topic.undelete.ms
    interval_ms: int  # cauce.garbage.interval.ms: how often `run` is called
    listed: int = 100_000  # objects: a LIST a thousand
    footers: int = 5_000  # GETs
    deletes: int = 10_000  # objects
    topics: int = 20  # that are purged or taken away: up to six LISTs each
    noted: int = 500_000  # dead objects waiting for their grace
