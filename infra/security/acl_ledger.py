"""Access rules in the settings ledgers of the bucket: one ledger for each pattern, so that rules of different resources
never wait for one another.

    settings/acl/<TYPE>:<LITERAL|PREFIXED>:<name>/<version>     {"ALLOW READ * User:alice": "", …}

The text of a rule is permission, operation, host and principal; the principal comes last, as it may hold blanks.
"""

from collections.abc import Iterable, Iterator, Mapping

from infra.cluster.settings import SettingsLedger
from infra.errors import Corrupt
from infra.security.acl import Acl, AclFilter, Operation, Pattern, PatternType, Permission, ResourceType, Rule
from infra.store.port import ObjectStore
from infra.view.port import View

ACLS = "acl"  # kind of setting


def acls_of(settings: Mapping[str, Mapping[str, str]]) -> Iterator[Acl]:
    """The rules that settings of the kind ACLS hold. Raises `Corrupt`."""
    for name, values in settings.items():
        pattern = parse_pattern(name)
        for text in values:
            yield Acl(pattern, parse_rule(text))


def pattern_name(pattern: Pattern) -> str:
    """A pattern as the name of a setting."""
    return f"{pattern.resource_type.name}:{pattern.pattern_type.name}:{pattern.name}"


def parse_pattern(name: str) -> Pattern:
    """The reverse of `pattern_name`. Raises `Corrupt`."""
    try:
        resource_type, pattern_type, resource = name.split(":", 2)
        return Pattern(ResourceType[resource_type], resource, PatternType[pattern_type])
    except (KeyError, ValueError):
        raise Corrupt(f"the setting {name!r} of kind {ACLS} names no resources") from None


def rule_text(rule: Rule) -> str:
    """A rule as one word of a setting."""
    return f"{rule.permission.name} {rule.operation.name} {rule.host} {rule.principal}"


def parse_rule(text: str) -> Rule:
    """The reverse of `rule_text`. Raises `Corrupt`."""
    try:
        permission, operation, host, principal = text.split(" ", 3)
        return Rule(principal, host, Operation[operation], Permission[permission])
    except (KeyError, ValueError):
        raise Corrupt(f"{text!r} is no access rule") from None


class AclLedger:
    """Adds and removes rules; what the view and the nodes make of it follows by itself."""

    def __init__(self, store: ObjectStore, view: View) -> None:
        self._settings = SettingsLedger(ACLS, store, view)

    async def add(self, pattern: Pattern, rules: Iterable[Rule]) -> None:
        """Add rules, all or none; those that are there already stay. Raises `Refused` for a name that is too long."""
        added = {rule_text(rule): "" for rule in rules}
        await self._settings.alter(pattern_name(pattern), lambda known: {**known, **added})

    async def remove(self, pattern: Pattern, wanted: AclFilter) -> list[Acl]:
        """Remove the rules of a pattern that a filter matches; which they were."""
        removed: list[Acl] = []

        def kept(known: Mapping[str, str]) -> Mapping[str, str]:
            acls = {text: Acl(pattern, parse_rule(text)) for text in known}
            removed[:] = [acl for acl in acls.values() if wanted.matches(acl)]
            if not removed:
                raise _NothingToDo
            return {text: known[text] for text, acl in acls.items() if not wanted.matches(acl)}

        try:
            await self._settings.alter(pattern_name(pattern), kept)
        except _NothingToDo:
            return []
        return removed


class _NothingToDo(Exception):
    """The newest record needs no other after it."""
