"""One record, as decoded from a batch or to be put into one."""

from typing import NamedTuple

Header = tuple[bytes, bytes | None]
"""Name and value. The name is bytes: a client may send one that is not UTF-8, and nothing must stop on it."""


class Record(NamedTuple):
    """Kafka's record; a value of None is a tombstone."""

    offset: int
    timestamp: int  # ms
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()
