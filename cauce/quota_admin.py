"""Altering and describing client quotas on this node: what is wanted is checked here, the ledgers decide."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra.cluster.state import ClusterState
from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.security.quota import CLIENT_ID, KEYS, REQUEST, USER, Entity, entity_of
from infra.security.quota_ledger import QUOTAS, QuotaLedger, Rates, quotas_of

EXACT, DEFAULT, SPECIFIED = 0, 1, 2  # match types of DescribeClientQuotas (KIP-546)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One component of a filter: the entity has this type, with this name, as a default, or either."""

    entity_type: str
    match_type: int
    name: str | None

    def matches(self, parts: Mapping[str, str | None]) -> bool:
        """Whether an entity (type → name) has it."""
        if self.entity_type not in parts:
            return False
        name = parts[self.entity_type]
        return self.match_type == SPECIFIED or name == (self.name if self.match_type == EXACT else None)


def checked_entity(parts: Sequence[tuple[str, str | None]]) -> Entity:
    """Raise `Refused` for entities that can have no quotas."""
    names = dict(parts)
    if not parts or len(names) != len(parts):
        raise Refused(ErrorCode.INVALID_REQUEST, "an entity has a user, a client id or both, each once")
    for kind, name in parts:
        _check_type(kind)
        if name == "":
            raise Refused(ErrorCode.INVALID_REQUEST, f"the name of the {kind} is empty; null is the default")
    return entity_of(names)


def _check_type(kind: str) -> None:
    if kind not in (USER, CLIENT_ID):
        raise Refused(ErrorCode.INVALID_REQUEST, f"quotas are for a {USER} or a {CLIENT_ID} here, not for a {kind!r}")


def _check_rate(key: str, rate: float) -> None:
    if key not in KEYS:
        raise Refused(ErrorCode.INVALID_REQUEST, f"there is no quota {key!r}; there are {', '.join(KEYS)}")
    if not (math.isfinite(rate) and rate > 0):
        raise Refused(ErrorCode.INVALID_REQUEST, f"{key} must be above 0")
    if key != REQUEST and rate != int(rate):
        raise Refused(ErrorCode.INVALID_REQUEST, f"{key} must be a whole number of bytes a second")


class QuotaAdmin:
    """The one way quotas change on this node."""

    def __init__(self, state: ClusterState, ledger: QuotaLedger) -> None:
        self._state = state
        self._ledger = ledger

    def find(self, wanted: Sequence[Wanted], strict: bool) -> dict[Entity, Rates]:
        """The quotas of entities that have all components; `strict`: and no others. Raises `Refused`."""
        types = [one.entity_type for one in wanted]
        if len(set(types)) != len(types):
            raise Refused(ErrorCode.INVALID_REQUEST, "a type of entity stands twice in the filter")
        for one in wanted:
            _check_type(one.entity_type)
            if one.match_type not in (EXACT, DEFAULT, SPECIFIED) or (one.match_type == EXACT) == (one.name is None):
                raise Refused(ErrorCode.INVALID_REQUEST, "an exact match (0) has a name, the others (1, 2) have none")
        return {
            entity: rates
            for entity, rates in sorted(quotas_of(self._state.settings(QUOTAS)).items(), key=repr)
            if all(one.matches(dict(entity)) for one in wanted) and (not strict or len(entity) == len(wanted))
        }

    async def alter(self, entity: Entity, steps: Mapping[str, float | None], validate_only: bool) -> None:
        """Set quotas of an entity, or take them away (None). Raises `Refused`."""
        for key, rate in steps.items():
            _check_rate(key, 1.0 if rate is None else rate)
        if validate_only:
            return

        def change(known: Rates) -> Rates:
            changed = {**known, **steps}
            return {key: rate for key, rate in changed.items() if rate is not None}

        await self._ledger.alter(entity, change)
        await self._state.refresh()
