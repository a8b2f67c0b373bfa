"""What some batch segments say of those before them in their session: which one was the last to hold each partition.

Whoever takes over from a session needs the extents that the view does not know, and not the footers of thousands of
segments to find that an idle partition has none. So every 16th segment carries one more entry in its footer:

    cauce.holders    CRC-32C of the rest, colon, JSON, zstd, base64

It tells of sequences as they were given out, before their segments were sent: one that never landed is named all the
same. Must not know of footers, stores or leases.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import crc32c

from infra.errors import Corrupt
from infra.partition import PartitionId
from infra.records.compression import ZSTD, compress, decompress

HOLDERS_EVERY = 16
"""So many footers a takeover reads more or less. Readers go by what is there, not by this number."""

_MAX_BYTES = 64 << 20


class Holder(NamedTuple):
    """The last segment of a session that holds something of a partition; all of it has one leader epoch."""

    sequence: int
    leader_epoch: int  # the last at which the session wrote to the partition
    last_offset: int  # of the extent there


@dataclass(frozen=True, slots=True)
class Holders:
    """For every partition with an extent in a segment of [since, this one): the last of these, whatever came of it."""

    since: int
    last: Mapping[PartitionId, Holder]

    def encode(self) -> str:
        """The entry of the footer."""
        topics = {topic_id: at for at, topic_id in enumerate(dict.fromkeys(one.topic_id for one in self.last))}
        plain = {
            "since": self.since,
            "topics": [str(topic_id) for topic_id in topics],
            "last": [[topics[one.topic_id], one.partition, *holder] for one, holder in self.last.items()],
        }
        packed = base64.b64encode(compress(ZSTD, json.dumps(plain, separators=(",", ":")).encode())).decode()
        return f"{crc32c.crc32c(packed.encode()):08x}:{packed}"

    @classmethod
    def decode(cls, entry: str) -> "Holders":
        """What an entry says. Raises `Corrupt`."""
        crc, _, packed = entry.partition(":")
        if crc != f"{crc32c.crc32c(packed.encode()):08x}":
            raise Corrupt("the CRC-32C of the holders is another one")
        try:
            plain = json.loads(bytes(decompress(ZSTD, base64.b64decode(packed, validate=True), _MAX_BYTES)))
            return cls(int(plain["since"]), dict(_rows(plain)))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise Corrupt(f"the holders cannot be read: {error!r}") from error


def carries_holders(sequence: int) -> bool:
    """Whether the segment of this sequence is to have the entry."""
    return sequence % HOLDERS_EVERY == 0


def carrier_at_or_below(sequence: int, further: int = 0) -> int:
    """The last segment up to this one that should have it, or so many carriers before that; it may be negative.

    A guess: other releases may do it otherwise.
    """
    return sequence - sequence % HOLDERS_EVERY - further * HOLDERS_EVERY


def _rows(plain: dict[str, Any]) -> list[tuple[PartitionId, Holder]]:
    topics = [UUID(topic_id) for topic_id in plain["topics"]]
    return [
        (PartitionId(topics[topic], int(partition)), Holder(int(sequence), int(epoch), int(last_offset)))
        for topic, partition, sequence, epoch, last_offset in plain["last"]
    ]
