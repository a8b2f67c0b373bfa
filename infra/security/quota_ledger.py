"""Client quotas in the settings ledgers of the bucket, one ledger for each entity.

    settings/quota/<entity>/<version>     {"producer_byte_rate": "1048576.0", …}

An entity is written `client-id=NAME&user=NAME`, names percent-encoded, a default without `=`.
"""

from collections.abc import Callable, Mapping
from urllib.parse import quote, unquote

from infra.cluster.settings import SettingsLedger
from infra.errors import Corrupt
from infra.security.quota import Entity
from infra.store.port import ObjectStore
from infra.view.port import View

QUOTAS = "quota"  # kind of setting

Rates = Mapping[str, float]  # quota key → rate


def quotas_of(settings: Mapping[str, Mapping[str, str]]) -> dict[Entity, Rates]:
    """The quotas that settings of the kind QUOTAS hold. Raises `Corrupt`."""
    return {parse_entity(name): parse_rates(values) for name, values in settings.items() if values}


def entity_name(entity: Entity) -> str:
    """An entity as the name of a setting."""
    return "&".join(kind if name is None else f"{kind}={quote(name, safe='')}" for kind, name in entity)


def parse_entity(text: str) -> Entity:
    """The reverse of `entity_name`."""
    parts = (word.partition("=") for word in text.split("&"))
    return tuple((kind, unquote(name) if equals else None) for kind, equals, name in parts)


def parse_rates(values: Mapping[str, str]) -> Rates:
    """Raises `Corrupt`."""
    try:
        return {key: float(text) for key, text in values.items()}
    except ValueError:
        raise Corrupt(f"{dict(values)} are no quotas") from None


class QuotaLedger:
    """Changes the quotas of entities."""

    def __init__(self, store: ObjectStore, view: View) -> None:
        self._settings = SettingsLedger(QUOTAS, store, view)

    async def alter(self, entity: Entity, change: Callable[[Rates], Rates]) -> None:
        """Replace the quotas of an entity by what `change` makes of the newest ones.

        Raises `Refused` for names that are too long."""
        await self._settings.alter(
            entity_name(entity), lambda known: {key: repr(rate) for key, rate in change(parse_rates(known)).items()}
        )
