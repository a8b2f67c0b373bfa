"""Where in a topic a command begins: times and partitions as users write them, and the offsets they come to."""

from collections.abc import Sequence
from datetime import UTC, datetime

from cauce.admin import LATEST, Admin, TopicInfo
from cauce.cli.output import fail

_TIMES = "2026-01-31T12:00:00Z or milliseconds since 1970"


def parse_time(text: str, instead: str = _TIMES) -> int:
    """Milliseconds since the epoch of `2026-01-31`, `2026-01-31T12:00:00Z` or a plain number of milliseconds.

    `instead`: what else could have been written where this time stands.
    """
    if text.isdecimal() and int(text) < 2**63:
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0, int(moment.timestamp() * 1000))  # below 0 Kafka has other meanings
    except (ValueError, OverflowError):
        fail(f"{text!r} is not a time; write {instead}")


def parse_place(text: str) -> int | datetime:
    """An offset when it is a plain number, else a time as `parse_time` takes it."""
    if text.isdecimal() and int(text) < 2**63:
        return int(text)
    return datetime.fromtimestamp(parse_time(text, "an offset or 2026-01-31T12:00:00Z") / 1000, UTC)


def wanted_partitions(topic: TopicInfo, wanted: Sequence[int] | None) -> Sequence[int]:
    """The partitions that were asked for, else all."""
    known = [row.partition for row in topic.partitions]
    missing = set(wanted or ()) - set(known)
    if missing:
        fail(f"topic {topic.name!r} has no partition {min(missing)}; it has 0 to {known[-1]}")
    return sorted(set(wanted)) if wanted else known


async def at_time(admin: Admin, topic: str, partitions: Sequence[int], time_ms: int) -> dict[int, int]:
    """Partition → offset of the first record of that time or later; its end when there is none."""
    found = await admin.offsets(topic, partitions, time_ms)
    end = await admin.offsets(topic, [number for number in partitions if found[number] < 0], LATEST)
    return {number: end[number] if offset < 0 else offset for number, offset in found.items()}
