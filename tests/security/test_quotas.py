"""Which quota counts for whom, how long debts are waited for, and quotas in their ledgers."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cauce.quota_admin import DEFAULT, EXACT, SPECIFIED, QuotaAdmin, Wanted, checked_entity
from infra.cluster.state import ClusterState
from infra.errors import Refused
from infra.security.quota import CLIENT_ID, CONSUME, PRODUCE, REQUEST, USER, Entity, Quotas, entity_of
from infra.security.quota_ledger import QuotaLedger, entity_name, parse_entity
from infra.security.throttle import BURST_SECONDS, Throttle
from tests.cluster.world import World

_NAMES = st.one_of(st.none(), st.sampled_from(["a", "b", "=&", "ü"]))
_PARTS = st.one_of(
    st.fixed_dictionaries({USER: _NAMES}),
    st.fixed_dictionaries({CLIENT_ID: _NAMES}),
    st.fixed_dictionaries({USER: _NAMES, CLIENT_ID: _NAMES}),
)


def _rank(entity: Entity, user: str, client_id: str) -> int | None:
    """How special an entity is for a client, in the order of KIP-55; None when it is about others."""
    parts = dict(entity)
    for kind, name in ((USER, user), (CLIENT_ID, client_id)):
        if parts.get(kind, name) not in (name, None):
            return None
    ranks = {
        (True, True): 0,
        (True, False): 1,
        (True, None): 2,
        (False, True): 3,
        (False, False): 4,
        (False, None): 5,
        (None, True): 6,
        (None, False): 7,
    }
    named = [None if kind not in parts else parts[kind] is not None for kind in (USER, CLIENT_ID)]
    return ranks[named[0], named[1]]


@settings(deadline=None, max_examples=150)
@given(
    st.dictionaries(_PARTS.map(entity_of), st.dictionaries(st.sampled_from([PRODUCE, CONSUME]), st.just(1.0))),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(["a", "b", "c"]),
)
def test_the_most_special_quota_counts(values: dict[Entity, dict[str, float]], user: str, client_id: str) -> None:
    numbered = {entity: dict.fromkeys(rates, float(at + 1)) for at, (entity, rates) in enumerate(values.items())}
    about = [
        (rank, rates[PRODUCE], entity)
        for entity, rates in numbered.items()
        if PRODUCE in rates and (rank := _rank(entity, user, client_id)) is not None
    ]
    limit = Quotas(numbered).limit(PRODUCE, user, client_id)
    if not about:
        assert limit is None
        return
    assert limit is not None
    _, rate, entity = min(about)
    assert limit.rate == rate
    parts = dict(entity)
    assert limit.client == (PRODUCE, user if USER in parts else None, client_id if CLIENT_ID in parts else None)


@given(_PARTS)
def test_entities_come_back_from_their_names(parts: dict[str, str | None]) -> None:
    assert parse_entity(entity_name(entity_of(parts))) == entity_of(parts)


@settings(deadline=None, max_examples=100)
@given(st.floats(10, 1e9), st.lists(st.tuples(st.floats(0, 3), st.floats(0, 100)), min_size=1, max_size=30))
def test_who_waits_as_told_never_exceeds_the_rate(rate: float, steps: list[tuple[float, float]]) -> None:
    """`steps`: how many seconds' worth is used at once, and how much longer than told is waited."""
    throttle = Throttle(Quotas({entity_of({USER: "a"}): {PRODUCE: rate}}))
    now, used = 0.0, 0.0
    for seconds_worth, idle in steps:
        used += seconds_worth * rate
        now += throttle.use(PRODUCE, "User:a", "x", seconds_worth * rate, now)
        assert used <= rate * (now + BURST_SECONDS) * (1 + 1e-9)
        now += idle
    assert throttle.use(PRODUCE, "User:b", "x", 1e12, now) == 0.0


def test_who_uses_all_of_the_rate_is_let_have_it() -> None:
    throttle = Throttle(Quotas({entity_of({CLIENT_ID: None}): {CONSUME: 100.0}}))
    now = used = 0.0
    while now < 100:
        now += throttle.use(CONSUME, "User:a", "x", 30, now)
        used += 30
    assert used == pytest.approx(100 * (now + BURST_SECONDS), rel=0.01)


def test_a_new_rate_counts_at_once_and_clients_that_are_forgotten_owe_nothing() -> None:
    throttle = Throttle(Quotas({entity_of({CLIENT_ID: None}): {PRODUCE: 100.0}}))
    assert throttle.use(PRODUCE, "User:a", "x", 1100, 0.0) == 10.0
    throttle.quotas = Quotas({entity_of({CLIENT_ID: None}): {PRODUCE: 1000.0}})
    assert throttle.use(PRODUCE, "User:a", "x", 0, 0.0) == 1.0
    for number in range(10_000):
        throttle.use(PRODUCE, "User:a", str(number), 1, 0.0)
    assert throttle.use(PRODUCE, "User:a", "x", 0, 0.0) == 0.0


def test_quotas_are_set_found_and_removed() -> None:
    async def main() -> None:
        world = await World().start()
        view = await world.view()
        state = ClusterState(view, world.clock, "cluster")
        await state.refresh()
        admin = QuotaAdmin(state, QuotaLedger(world.store, view))
        alice, everybody, both = (
            checked_entity([(USER, "alice")]),
            checked_entity([(USER, None)]),
            checked_entity([(CLIENT_ID, "app"), (USER, "alice")]),
        )
        await admin.alter(alice, {PRODUCE: 1024.0, REQUEST: 12.5}, validate_only=False)
        await admin.alter(everybody, {PRODUCE: 10.0}, validate_only=False)
        await admin.alter(both, {CONSUME: 5.0}, validate_only=False)
        await admin.alter(both, {CONSUME: 7.0}, validate_only=True)
        found = admin.find([], strict=False)
        assert found == {alice: {PRODUCE: 1024.0, REQUEST: 12.5}, everybody: {PRODUCE: 10.0}, both: {CONSUME: 5.0}}
        exact = [Wanted(USER, EXACT, "alice")]
        assert admin.find(exact, strict=True).keys() == {alice}
        assert admin.find(exact, strict=False).keys() == {alice, both}
        assert admin.find([Wanted(USER, DEFAULT, None)], strict=False).keys() == {everybody}
        assert admin.find([Wanted(USER, SPECIFIED, None)], strict=True).keys() == {alice, everybody}
        await admin.alter(alice, {PRODUCE: None}, validate_only=False)
        await admin.alter(everybody, {PRODUCE: None}, validate_only=False)
        assert admin.find([], strict=False) == {alice: {REQUEST: 12.5}, both: {CONSUME: 5.0}}
        for key, rate in (("other", 1.0), (PRODUCE, 0.0), (PRODUCE, 1.5), (REQUEST, float("nan"))):
            with pytest.raises(Refused):
                await admin.alter(alice, {key: rate}, validate_only=True)

    asyncio.run(main())


@pytest.mark.parametrize("parts", [[], [(USER, "a"), (USER, "b")], [("ip", "10.0.0.1")], [(USER, "")]])
def test_entities_that_can_have_no_quotas_are_refused(parts: list[tuple[str, str | None]]) -> None:
    with pytest.raises(Refused):
        checked_entity(parts)
