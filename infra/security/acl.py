"""Access rules (ACLs) as Kafka has them: words, rules, and filters that find rules. Decides nothing: `authorizer.py`.

Numbers are those of the wire (KIP-140, KIP-290).
"""

from dataclasses import dataclass
from enum import IntEnum

CLUSTER_NAME = "kafka-cluster"  # the one resource of its type
ANY_NAME = "*"  # as a literal name: every resource of the type
ANY_HOST = "*"
ANY_PRINCIPAL = "User:*"


class ResourceType(IntEnum):
    """What a rule is about."""

    ANY = 1  # in filters only
    TOPIC = 2
    GROUP = 3
    CLUSTER = 4
    TRANSACTIONAL_ID = 5
    DELEGATION_TOKEN = 6  # known to clients; there are none here
    USER = 7  # the same


class PatternType(IntEnum):
    """How a rule names resources. ANY and MATCH stand in filters only."""

    ANY = 1
    MATCH = 2
    LITERAL = 3
    PREFIXED = 4


class Operation(IntEnum):
    """What somebody wants to do."""

    ANY = 1  # in filters only
    ALL = 2
    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    CLUSTER_ACTION = 9
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11
    IDEMPOTENT_WRITE = 12


class Permission(IntEnum):
    """What a rule says of it."""

    ANY = 1  # in filters only
    DENY = 2
    ALLOW = 3


_O = Operation
OPERATIONS: dict[ResourceType, frozenset[Operation]] = {
    ResourceType.TOPIC: frozenset(
        {_O.READ, _O.WRITE, _O.CREATE, _O.DESCRIBE, _O.DELETE, _O.ALTER, _O.DESCRIBE_CONFIGS, _O.ALTER_CONFIGS}
    ),
    ResourceType.GROUP: frozenset({_O.READ, _O.DESCRIBE, _O.DELETE, _O.DESCRIBE_CONFIGS, _O.ALTER_CONFIGS}),
    ResourceType.CLUSTER: frozenset(
        {
            _O.CREATE,
            _O.CLUSTER_ACTION,
            _O.DESCRIBE_CONFIGS,
            _O.ALTER_CONFIGS,
            _O.IDEMPOTENT_WRITE,
            _O.ALTER,
            _O.DESCRIBE,
        }
    ),
    ResourceType.TRANSACTIONAL_ID: frozenset({_O.DESCRIBE, _O.WRITE}),
}
"""The operations that each type of resource knows, beside ALL."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """The resources that a rule is about: one by its name, all whose names begin so, or (literal `*`) all."""

    resource_type: ResourceType
    name: str
    pattern_type: PatternType = PatternType.LITERAL

    def covers(self, name: str) -> bool:
        """Whether it is about a resource of that name (of its type)."""
        if self.pattern_type is PatternType.PREFIXED:
            return name.startswith(self.name)
        return self.name in (name, ANY_NAME)


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may, or may not, do what from where."""

    principal: str  # "User:NAME" or "User:*"
    host: str  # an address or "*"
    operation: Operation
    permission: Permission

    def concerns(self, principal: str, host: str) -> bool:
        """Whether it is about requests of this principal from this host."""
        return self.principal in (principal, ANY_PRINCIPAL) and self.host in (host, ANY_HOST)


@dataclass(frozen=True, slots=True)
class Acl:
    """A rule and what it is about: Kafka's ACL binding."""

    pattern: Pattern
    rule: Rule


@dataclass(frozen=True, slots=True)
class AclFilter:
    """Finds rules; None and ANY match everything."""

    resource_type: ResourceType = ResourceType.ANY
    name: str | None = None
    pattern_type: PatternType = PatternType.ANY
    principal: str | None = None
    host: str | None = None
    operation: Operation = Operation.ANY
    permission: Permission = Permission.ANY

    def matches(self, acl: Acl) -> bool:
        """Whether the rule is among those sought."""
        return self.matches_pattern(acl.pattern) and self._matches_rule(acl.rule)

    def matches_pattern(self, pattern: Pattern) -> bool:
        """Whether rules about these resources can be among those sought.

        MATCH finds what would count for a resource of that name: literals, `*` and prefixes.
        """
        if self.resource_type not in (ResourceType.ANY, pattern.resource_type):
            return False
        if self.pattern_type in (PatternType.LITERAL, PatternType.PREFIXED):
            return self.pattern_type is pattern.pattern_type and self.name in (None, pattern.name)
        if self.name is None:
            return True
        return self.name == pattern.name if self.pattern_type is PatternType.ANY else pattern.covers(self.name)

    def _matches_rule(self, rule: Rule) -> bool:
        return (
            self.principal in (None, rule.principal)
            and self.host in (None, rule.host)
            and self.operation in (Operation.ANY, rule.operation)
            and self.permission in (Permission.ANY, rule.permission)
        )
