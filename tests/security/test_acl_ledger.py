"""Rules in their ledgers: texts that come back as they were, changes that meet, and nodes that follow."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cauce.acl_admin import AclAdmin
from infra.cluster.state import ClusterState
from infra.error_code import ErrorCode
from infra.errors import Corrupt
from infra.security.acl import Acl, AclFilter, Operation, Pattern, PatternType, Permission, ResourceType, Rule
from infra.security.acl_ledger import (
    ACLS,
    AclLedger,
    acls_of,
    parse_pattern,
    parse_rule,
    pattern_name,
    rule_text,
)
from tests.cluster.world import World

_RULES = st.builds(
    Rule,
    st.text(min_size=1).map(lambda name: f"User:{name}"),
    st.sampled_from(["*", "10.0.0.1", "fe80::1"]),
    st.sampled_from(list(Operation)),
    st.sampled_from(list(Permission)),
)
_PATTERNS = st.builds(Pattern, st.sampled_from(list(ResourceType)), st.text(), st.sampled_from(list(PatternType)))


@settings(deadline=None, max_examples=100)
@given(_PATTERNS, _RULES)
def test_what_is_written_is_read(pattern: Pattern, rule: Rule) -> None:
    assert parse_pattern(pattern_name(pattern)) == pattern
    assert parse_rule(rule_text(rule)) == rule


@pytest.mark.parametrize("text", ["", "ALLOW READ *", "PERMIT READ * User:a", "ALLOW FLY * User:a"])
def test_what_is_no_rule_is_corrupt(text: str) -> None:
    with pytest.raises(Corrupt):
        list(acls_of({"TOPIC:LITERAL:t": {text: ""}}))
    with pytest.raises(Corrupt):
        list(acls_of({text: {}}))


def _acl(name: str, principal: str = "User:a", operation: Operation = Operation.READ) -> Acl:
    return Acl(Pattern(ResourceType.TOPIC, name), Rule(principal, "*", operation, Permission.ALLOW))


def test_two_nodes_change_the_rules_of_one_resource_and_see_what_the_other_did() -> None:
    async def main() -> None:
        world = await World().start()
        nodes = []
        for _ in range(2):
            view = await world.view()
            state = ClusterState(view, world.clock, "cluster")
            await state.refresh()
            nodes.append((state, AclAdmin(state, AclLedger(world.store, view))))
        (state, one), (other_state, other) = nodes
        await asyncio.gather(one.add([_acl("t"), _acl("u")]), other.add([_acl("t", "User:b")]))
        await state.refresh()
        await other_state.refresh()
        assert one.find(AclFilter()) == other.find(AclFilter())
        assert {acl.rule.principal for acl in one.find(AclFilter(name="t"))} == {"User:a", "User:b"}

        before = state.settings(ACLS)
        assert await other.remove(AclFilter(principal="User:c")) == []
        await state.refresh()
        assert state.settings(ACLS) is before
        assert await other.remove(AclFilter(principal="User:a")) == [_acl("t"), _acl("u")]
        await state.refresh()
        assert state.settings(ACLS) is not before
        assert one.find(AclFilter()) == [_acl("t", "User:b")]

    asyncio.run(main())


def test_what_cannot_be_obeyed_or_kept_is_refused_for_itself() -> None:
    async def main() -> None:
        world = await World().start()
        view = await world.view()
        state = ClusterState(view, world.clock, "cluster")
        await state.refresh()
        admin = AclAdmin(state, AclLedger(world.store, view))
        rule = _acl("t").rule
        wrong = [
            _acl(""),
            _acl("t" * 300),
            _acl("t", "alice"),
            _acl("t", operation=Operation.ANY),
            Acl(Pattern(ResourceType.CLUSTER, "other"), rule),
            Acl(Pattern(ResourceType.DELEGATION_TOKEN, "t"), rule),
            Acl(Pattern(ResourceType.TOPIC, "t", PatternType.MATCH), rule),
            Acl(Pattern(ResourceType.TOPIC, "t"), Rule("User:a", "a b", Operation.READ, Permission.ALLOW)),
        ]
        *refused, fine = await admin.add([*wrong, _acl("t")])
        assert [error.code for error in refused if error] == [ErrorCode.INVALID_REQUEST] * len(wrong)
        assert fine is None
        assert admin.find(AclFilter()) == [_acl("t")]

    asyncio.run(main())
