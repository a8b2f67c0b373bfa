"""Decides who may do what, by the rules that are there. Plain: no I/O, no clock; whoever follows the rules replaces it.

A rule that denies wins over all that allow. Without a rule that allows, the answer is no; where no rule at all is about
a resource it is `allow_everyone` (Kafka's allow.everyone.if.no.acl.found). To allow READ, WRITE, DELETE or ALTER is to
allow DESCRIBE, and ALTER_CONFIGS DESCRIBE_CONFIGS; to deny them denies nothing else. Super users may do everything.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from infra.security.acl import (
    ANY_NAME,
    OPERATIONS,
    Acl,
    Operation,
    Pattern,
    PatternType,
    Permission,
    ResourceType,
    Rule,
)

_DESCRIBING = frozenset({Operation.DESCRIBE, Operation.READ, Operation.WRITE, Operation.DELETE, Operation.ALTER})
_ALLOWED_BY: dict[Operation, frozenset[Operation]] = {
    Operation.DESCRIBE: _DESCRIBING,
    Operation.DESCRIBE_CONFIGS: frozenset({Operation.DESCRIBE_CONFIGS, Operation.ALTER_CONFIGS}),
}
_CACHED_ANSWERS = 50_000  # names come from the network, so what is remembered of them must have an end

_Question = tuple[str, str, Operation, ResourceType, str]


class Authorizer:
    """All rules of one moment."""

    def __init__(
        self, acls: Iterable[Acl] = (), *, super_users: Iterable[str] = (), allow_everyone: bool = False
    ) -> None:
        """`super_users`: principals ("User:NAME")."""
        self._super_users = frozenset(super_users)
        self._allow_everyone = allow_everyone
        self._rules: dict[Pattern, list[Rule]] = defaultdict(list)
        for acl in acls:
            self._rules[acl.pattern].append(acl.rule)
        lengths: dict[ResourceType, set[int]] = defaultdict(set)
        for pattern in self._rules:
            if pattern.pattern_type is PatternType.PREFIXED:
                lengths[pattern.resource_type].add(len(pattern.name))
        self._prefix_lengths = {kind: sorted(found) for kind, found in lengths.items()}
        self._answers: dict[_Question, bool] = {}

    def may(self, principal: str, host: str, operation: Operation, resource_type: ResourceType, name: str) -> bool:
        """Whether a principal may do this to a resource, asking from this host. Remembers what it was asked."""
        question = (principal, host, operation, resource_type, name)
        known = self._answers.get(question)
        if known is None:
            if len(self._answers) >= _CACHED_ANSWERS:
                self._answers.clear()
            known = self._answers[question] = self._decide(*question)
        return known

    def may_somewhere(self, principal: str, host: str, operation: Operation, resource_type: ResourceType) -> bool:
        """Whether there can be a resource of this type to which the principal may do this (KIP-679)."""
        if principal in self._super_users:
            return True
        denied: set[Pattern] = set()
        allowed: set[Pattern] = set()
        for pattern, rules in self._rules.items():
            if pattern.resource_type is not resource_type:
                continue
            for rule in rules:
                if rule.operation in (operation, Operation.ALL) and rule.concerns(principal, host):
                    (denied if rule.permission is Permission.DENY else allowed).add(pattern)
        if Pattern(resource_type, ANY_NAME) in denied:
            return False
        return self._allow_everyone or any(not _overruled(pattern, denied) for pattern in allowed)

    def operations(self, principal: str, host: str, resource_type: ResourceType, name: str) -> int:
        """What a principal may do to a resource, as the bits of Kafka's authorized operations (KIP-430)."""
        known = sorted(OPERATIONS[resource_type])
        return sum(1 << one for one in known if self.may(principal, host, one, resource_type, name))

    def _decide(self, principal: str, host: str, operation: Operation, resource_type: ResourceType, name: str) -> bool:
        if principal in self._super_users:
            return True
        allowing = _ALLOWED_BY.get(operation, frozenset({operation})) | {Operation.ALL}
        allowed = found = False
        for rules in self._about(resource_type, name):
            for rule in rules:
                found = True
                if not rule.concerns(principal, host):
                    continue
                if rule.permission is Permission.DENY:
                    if rule.operation in (operation, Operation.ALL):
                        return False
                elif rule.operation in allowing:
                    allowed = True
        return allowed or (self._allow_everyone and not found)

    def _about(self, resource_type: ResourceType, name: str) -> Iterator[list[Rule]]:
        """The rules of every pattern that covers a name."""
        patterns = [Pattern(resource_type, name), Pattern(resource_type, ANY_NAME)]
        if name == ANY_NAME:
            patterns.pop()
        patterns += [
            Pattern(resource_type, name[:length], PatternType.PREFIXED)
            for length in self._prefix_lengths.get(resource_type, ())
            if length <= len(name)
        ]
        return (rules for pattern in patterns if (rules := self._rules.get(pattern)))


def _overruled(allowed: Pattern, denied: Iterable[Pattern]) -> bool:
    """Whether nothing that the pattern covers is left."""
    if allowed == Pattern(allowed.resource_type, ANY_NAME):
        return False
    return any(
        allowed.name.startswith(pattern.name) if pattern.pattern_type is PatternType.PREFIXED else allowed == pattern
        for pattern in denied
    )
