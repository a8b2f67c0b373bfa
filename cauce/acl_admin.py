"""Adding, finding and removing access rules on this node: what is wanted is checked here, the ledgers decide."""

from collections import defaultdict
from collections.abc import Sequence

from infra.cluster.state import ClusterState
from infra.error_code import ErrorCode
from infra.errors import CauceError, Refused
from infra.security.acl import CLUSTER_NAME, Acl, AclFilter, Operation, Pattern, PatternType, Permission, ResourceType
from infra.security.acl_ledger import ACLS, AclLedger, acls_of, parse_pattern
from infra.security.principal import is_principal

_RULED = (ResourceType.TOPIC, ResourceType.GROUP, ResourceType.CLUSTER, ResourceType.TRANSACTIONAL_ID)


def check_acl(acl: Acl) -> None:
    """Raise `Refused` for a rule that could not be obeyed."""
    pattern, rule = acl.pattern, acl.rule
    if pattern.resource_type not in _RULED:
        raise Refused(ErrorCode.INVALID_REQUEST, f"there is nothing of the type {pattern.resource_type.name} here")
    if pattern.pattern_type not in (PatternType.LITERAL, PatternType.PREFIXED):
        raise Refused(ErrorCode.INVALID_REQUEST, "a rule names resources literally or by a prefix")
    if not pattern.name:
        raise Refused(ErrorCode.INVALID_REQUEST, "a rule needs the name of a resource; * stands for all")
    if pattern.resource_type is ResourceType.CLUSTER and pattern.name != CLUSTER_NAME:
        raise Refused(ErrorCode.INVALID_REQUEST, f"the one resource of the type CLUSTER is {CLUSTER_NAME}")
    if rule.operation is Operation.ANY or rule.permission is Permission.ANY:
        raise Refused(
            ErrorCode.INVALID_REQUEST, "ANY is for filters; a rule says which operation, and allows or denies"
        )
    if not is_principal(rule.principal):
        raise Refused(ErrorCode.INVALID_REQUEST, f"the principal {rule.principal!r} is not written as User:NAME")
    if not rule.host or " " in rule.host:
        raise Refused(ErrorCode.INVALID_REQUEST, f"the host {rule.host!r} is not an address; * stands for all")


class AclAdmin:
    """The one way access rules change on this node."""

    def __init__(self, state: ClusterState, ledger: AclLedger) -> None:
        self._state = state
        self._ledger = ledger

    def find(self, wanted: AclFilter) -> list[Acl]:
        """The rules that a filter matches, by resource."""
        found = [acl for acl in acls_of(self._state.settings(ACLS)) if wanted.matches(acl)]
        return sorted(found, key=lambda acl: (acl.pattern.resource_type, acl.pattern.name, acl.pattern.pattern_type))

    async def add(self, acls: Sequence[Acl]) -> list[CauceError | None]:
        """Add rules: for each, what was wrong with it."""
        results: list[CauceError | None] = [None] * len(acls)
        places: dict[Pattern, list[int]] = defaultdict(list)
        for place, acl in enumerate(acls):
            try:
                check_acl(acl)
            except Refused as refused:
                results[place] = refused
            else:
                places[acl.pattern].append(place)
        for pattern, together in places.items():
            try:
                await self._ledger.add(pattern, [acls[place].rule for place in together])
            except CauceError as error:
                for place in together:
                    results[place] = error
        await self._state.refresh()
        return results

    async def remove(self, wanted: AclFilter) -> list[Acl]:
        """Remove the rules that a filter matches; which they were."""
        removed: list[Acl] = []
        for name in sorted(self._state.settings(ACLS)):
            pattern = parse_pattern(name)
            if wanted.matches_pattern(pattern):
                removed += await self._ledger.remove(pattern, wanted)
        await self._state.refresh()
        return removed
