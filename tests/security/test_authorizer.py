"""The authorizer against an oracle that looks at every rule for every question, and the cases that Kafka documents."""

from hypothesis import given, settings
from hypothesis import strategies as st

from infra.security.acl import (
    ANY_NAME,
    OPERATIONS,
    Acl,
    AclFilter,
    Operation,
    Pattern,
    PatternType,
    Permission,
    ResourceType,
    Rule,
)
from infra.security.authorizer import Authorizer

_TYPES = st.sampled_from([ResourceType.TOPIC, ResourceType.GROUP])
_NAMES = st.sampled_from(["a", "ab", "abc", "b", "ba", "*", ""])
_PRINCIPALS = st.sampled_from(["User:alice", "User:bob", "User:root"])
_HOSTS = st.sampled_from(["10.0.0.1", "10.0.0.2"])
_OPERATIONS = st.sampled_from([one for one in Operation if one is not Operation.ANY])
_ACLS = st.lists(
    st.builds(
        Acl,
        st.builds(Pattern, _TYPES, _NAMES, st.sampled_from([PatternType.LITERAL, PatternType.PREFIXED])),
        st.builds(
            Rule,
            st.one_of(_PRINCIPALS, st.just("User:*")),
            st.one_of(_HOSTS, st.just("*")),
            _OPERATIONS,
            st.sampled_from([Permission.ALLOW, Permission.DENY]),
        ),
    ),
    max_size=12,
)


def _oracle_covers(pattern: Pattern, name: str) -> bool:
    if pattern.pattern_type is PatternType.PREFIXED:
        return name[: len(pattern.name)] == pattern.name
    return pattern.name == name or pattern.name == "*"


def _oracle(acls, everyone, principal, host, operation, resource_type, name):
    if principal == "User:root":
        return True
    about = [acl for acl in acls if acl.pattern.resource_type == resource_type and _oracle_covers(acl.pattern, name)]
    if not about:
        return everyone
    mine = [
        acl.rule
        for acl in about
        if (acl.rule.principal == principal or acl.rule.principal == "User:*")
        and (acl.rule.host == host or acl.rule.host == "*")
    ]
    if any(rule.permission == Permission.DENY and rule.operation in (operation, Operation.ALL) for rule in mine):
        return False
    implied = {Operation.ALL: True, operation: True}
    if operation == Operation.DESCRIBE:
        implied |= dict.fromkeys((Operation.READ, Operation.WRITE, Operation.DELETE, Operation.ALTER), True)
    if operation == Operation.DESCRIBE_CONFIGS:
        implied[Operation.ALTER_CONFIGS] = True
    return any(rule.permission == Permission.ALLOW and implied.get(rule.operation, False) for rule in mine)


@settings(max_examples=150, deadline=None)
@given(_ACLS, st.booleans(), _PRINCIPALS, _HOSTS, _OPERATIONS, _TYPES, _NAMES)
def test_decides_as_one_who_looks_at_every_rule(acls, everyone, principal, host, operation, resource_type, name):
    authorizer = Authorizer(acls, super_users=["User:root"], allow_everyone=everyone)
    question = (principal, host, operation, resource_type, name)
    expected = _oracle(acls, everyone, *question)
    assert authorizer.may(*question) is expected
    assert authorizer.may(*question) is expected  # also from memory


@settings(max_examples=100, deadline=None)
@given(_ACLS, _PRINCIPALS, _HOSTS)
def test_may_somewhere_agrees_with_names_that_show_it(acls, principal, host):
    """A name that may be written shows that one may write somewhere. The opposite needs a name: any rule's own or one
    that continues it, unless rules for single names or longer prefixes deny each of those tried."""
    authorizer = Authorizer(acls, super_users=["User:root"])
    somewhere = authorizer.may_somewhere(principal, host, Operation.WRITE, ResourceType.TOPIC)
    names = {acl.pattern.name for acl in acls} - {"*"}
    tried = ["unheard-of", *names, *(name + "~" for name in names)]
    shown = any(authorizer.may(principal, host, Operation.WRITE, ResourceType.TOPIC, name) for name in tried)
    assert somewhere or not shown
    no_prefixes_denied = not any(
        acl.rule.permission is Permission.DENY and acl.pattern.pattern_type is PatternType.PREFIXED for acl in acls
    )
    if no_prefixes_denied:
        assert shown or not somewhere or any(acl.pattern.name == ANY_NAME for acl in acls)


def _topic(name: str, pattern_type: PatternType = PatternType.LITERAL) -> Pattern:
    return Pattern(ResourceType.TOPIC, name, pattern_type)


def _allow(operation: Operation, principal: str = "User:alice", host: str = "*") -> Rule:
    return Rule(principal, host, operation, Permission.ALLOW)


def _deny(operation: Operation, principal: str = "User:alice", host: str = "*") -> Rule:
    return Rule(principal, host, operation, Permission.DENY)


def test_somewhere_is_nowhere_below_a_denied_prefix():
    denied = Acl(_topic("pay", PatternType.PREFIXED), _deny(Operation.ALL))
    allowed = Acl(_topic("payments"), _allow(Operation.WRITE))
    question = ("User:alice", "h", Operation.WRITE, ResourceType.TOPIC)
    assert not Authorizer([denied, allowed]).may_somewhere(*question)
    assert Authorizer([denied, allowed, Acl(_topic("o"), _allow(Operation.ALL))]).may_somewhere(*question)
    assert Authorizer([denied, Acl(_topic("*"), _allow(Operation.ALL))]).may_somewhere(*question)
    assert not Authorizer([Acl(_topic("*"), _deny(Operation.WRITE)), allowed]).may_somewhere(*question)


def test_a_denial_denies_only_what_it_names():
    authorizer = Authorizer([Acl(_topic("t"), _allow(Operation.ALL)), Acl(_topic("t"), _deny(Operation.READ))])
    assert not authorizer.may("User:alice", "h", Operation.READ, ResourceType.TOPIC, "t")
    assert authorizer.may("User:alice", "h", Operation.DESCRIBE, ResourceType.TOPIC, "t")


def test_the_bits_of_operations_are_those_of_the_type():
    everything = Authorizer(super_users=["User:alice"])
    for kind, operations in OPERATIONS.items():
        assert everything.operations("User:alice", "h", kind, "x") == sum(1 << one for one in operations)
    some = Authorizer([Acl(_topic("t"), _allow(Operation.READ))])
    found = some.operations("User:alice", "h", ResourceType.TOPIC, "t")
    assert found == 1 << Operation.READ | 1 << Operation.DESCRIBE


def test_filters_find_rules_by_name_and_by_what_counts_for_a_name():
    literal, prefix, star = (
        Acl(pattern, _allow(Operation.READ))
        for pattern in (_topic("orders"), _topic("ord", PatternType.PREFIXED), _topic("*"))
    )
    acls = [literal, prefix, star]

    def found(**fields: object) -> list[Acl]:
        return [acl for acl in acls if AclFilter(**fields).matches(acl)]  # type: ignore[arg-type]

    assert found() == acls
    assert found(name="orders") == [literal]
    assert found(name="orders", pattern_type=PatternType.MATCH) == acls
    assert found(name="other", pattern_type=PatternType.MATCH) == [star]
    assert found(pattern_type=PatternType.PREFIXED) == [prefix]
    assert found(name="ord", pattern_type=PatternType.LITERAL) == []
    assert found(resource_type=ResourceType.GROUP) == []
    assert found(principal="User:bob") == []
    assert found(host="*", operation=Operation.READ, permission=Permission.ALLOW) == acls
    assert found(permission=Permission.DENY) == []
