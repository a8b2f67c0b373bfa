"""Topics in a consumer's subscription, the one piece of member metadata that a coordinator may look into.

It is needed for the expiry and deletion of offsets of topics nobody reads any more, nothing else.
"""

import struct
from collections.abc import Iterable

CONSUMER_PROTOCOL_TYPE = "consumer"


def subscribed_topics(metadata: bytes) -> frozenset[str] | None:
    """Topics of one member's consumer subscription (version int16, topics array<string>, …); None when unreadable."""
    try:
        _, count = struct.unpack_from(">hi", metadata)
        position = 6
        topics = []
        for _ in range(count):
            (length,) = struct.unpack_from(">h", metadata, position)
            position += 2 + length
            if length < 0 or position > len(metadata):
                return None
            topics.append(metadata[position - length : position].decode())
    except (struct.error, UnicodeDecodeError):
        return None
    return frozenset(topics)


def all_subscribed_topics(subscriptions: Iterable[bytes]) -> frozenset[str] | None:
    """Topics that any of the members subscribes to; None when one of them cannot be read."""
    every: set[str] = set()
    for metadata in subscriptions:
        topics = subscribed_topics(metadata)
        if topics is None:
            return None
        every |= topics
    return frozenset(every)
