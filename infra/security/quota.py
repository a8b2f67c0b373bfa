"""Client quotas as Kafka has them (KIP-13, KIP-55, KIP-124): for whom one is set, and which one counts for a request.

The most special one counts: of a user with a client id, of a user, of a client id, and after each the default of its
kind. Whoever it counts for has a rate of its own, also by a default. Plain; how much of a rate is left: `throttle.py`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

USER, CLIENT_ID = "user", "client-id"  # entity types; IP addresses (KIP-612) have none here
PRODUCE, CONSUME, REQUEST = "producer_byte_rate", "consumer_byte_rate", "request_percentage"
KEYS = (PRODUCE, CONSUME, REQUEST)

Entity = tuple[tuple[str, str | None], ...]
"""(type, name) in the order of types; the name None is the default of the type."""

Client = tuple[str, str | None, str | None]
"""Whose rate is used up: (quota key, user, client id), each None when all share it."""


def entity_of(parts: Mapping[str, str | None]) -> Entity:
    """Type → name as an entity."""
    return tuple(sorted(parts.items()))


@dataclass(frozen=True, slots=True)
class Limit:
    """What a client may use, and which clients use it up together."""

    client: Client
    rate: float  # bytes, or percent of the event loop's time, a second


class Quotas:
    """All quotas of one moment."""

    def __init__(self, values: Mapping[Entity, Mapping[str, float]] | None = None) -> None:
        """Entity → quota key → rate."""
        self._values = {entity: dict(rates) for entity, rates in (values or {}).items() if rates}
        self._keys = {key for rates in self._values.values() for key in rates}

    def __bool__(self) -> bool:
        return bool(self._values)

    def limit(self, key: str, user: str, client_id: str) -> Limit | None:
        """What counts for a client; None: it may use what it likes."""
        if key not in self._keys:
            return None
        for entity in _candidates(user, client_id):
            rate = self._values.get(entity, {}).get(key)
            if rate is not None:
                types = {kind for kind, _ in entity}
                client = (key, user if USER in types else None, client_id if CLIENT_ID in types else None)
                return Limit(client, rate)
        return None


def _candidates(user: str, client_id: str) -> Iterator[Entity]:
    """Whom a quota can be set for that counts for this client, the most special first."""
    for name in (user, None):
        yield ((CLIENT_ID, client_id), (USER, name))
        yield ((CLIENT_ID, None), (USER, name))
        yield ((USER, name),)
    yield ((CLIENT_ID, client_id),)
    yield ((CLIENT_ID, None),)
