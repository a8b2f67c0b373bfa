"""Tokens: which are taken, when keys are read again, and clients at a listener with OAUTHBEARER."""

import asyncio
from typing import Any

import pytest

from infra.clock import SYSTEM_CLOCK
from infra.errors import BadStart, Unavailable
from infra.security.from_settings import listener_access
from infra.security.jwt import BadToken, Expected, read_keys, verify
from infra.security.mechanisms import NotAuthentic
from infra.security.oauth import KeySet, OAuthBearer
from infra.security.users import Users
from infra.settings import load_settings
from tests.security.tokens import Issuer, encoded
from tests.wire_server.harness import HeldClock

_NOW = 1_800_000_000
_GOOD: dict[str, Any] = {"sub": "kim", "exp": _NOW + 60, "iss": "https://issuer", "aud": ["other", "cauce"]}
_EXPECTED = Expected(audiences=("cauce",), issuer="https://issuer", skew_seconds=5)


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256"])
def test_tokens_that_are_taken(issuer: Issuer, algorithm: str) -> None:
    claims = verify(issuer.token(_GOOD, algorithm), read_keys(issuer.key_set()), _EXPECTED, _NOW * 1000)
    assert (claims.user, claims.expires_ms) == ("kim", (_NOW + 60) * 1000)
    one_audience = issuer.token({**_GOOD, "aud": "cauce"})
    assert verify(one_audience, read_keys(issuer.key_set()), _EXPECTED, _NOW * 1000).user == "kim"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"exp": _NOW - 5}, "expired"),
        ({"exp": None}, "does not say when"),
        ({"exp": "never"}, "does not say when"),
        ({"nbf": _NOW + 10}, "not valid yet"),
        ({"iss": "https://another"}, "another issuer"),
        ({"aud": "another"}, "another audience"),
        ({"aud": None}, "another audience"),
        ({"sub": ""}, "no claim sub"),
        ({"sub": 7}, "no claim sub"),
    ],
)
def test_claims_that_are_not(issuer: Issuer, change: dict[str, Any], says: str) -> None:
    with pytest.raises(BadToken, match=says):
        verify(issuer.token({**_GOOD, **change}), read_keys(issuer.key_set()), _EXPECTED, _NOW * 1000)


def test_signatures_that_are_not(issuer: Issuer) -> None:
    good, keys = issuer.token(_GOOD), read_keys(issuer.key_set())
    head, body, signature = good.split(".")
    tokens = [
        f"{head}.{encoded({**_GOOD, 'sub': 'admin'})}.{signature}",
        f"{encoded({'alg': 'none', 'kid': 'rsa'})}.{body}.",
        f"{encoded({'alg': 'HS256', 'kid': 'rsa'})}.{body}.{signature}",
        f"{encoded({'alg': 'ES256', 'kid': 'rsa'})}.{body}.{signature}",
        f"{encoded({'alg': 'RS256', 'kid': 'ec'})}.{body}.{signature}",
        f"{encoded({'alg': 'RS256', 'kid': 'hmac'})}.{body}.{signature}",
        f"{head}.{body}.{signature[:-4]}",
        f"{head}.{body}",
        "a.b.c",
        "...",
        f"{encoded(b'[' * 100_000)}.{body}.{signature}",
        Issuer().token(_GOOD),
    ]
    for token in tokens:
        with pytest.raises(BadToken):
            verify(token, keys, _EXPECTED, _NOW * 1000)


class StoppedClock(HeldClock):
    def now_ms(self) -> int:
        return _NOW * 1000


def test_new_keys_are_read_when_a_token_names_one_and_not_at_once_again(issuer: Issuer) -> None:
    async def scenario() -> None:
        clock, read = StoppedClock(), 0
        sets = [Issuer().key_set(), issuer.key_set()]

        async def fetch(url: str) -> bytes:
            nonlocal read
            read += 1
            if read > 2:
                raise Unavailable("away")
            return sets[read - 1]

        keys = KeySet("https://x", 3600, clock, fetch)

        async def login(token: str) -> str | None:
            exchange = OAuthBearer(keys, _EXPECTED, clock)
            step = await exchange.step(f"n,,\x01auth=Bearer {token}\x01\x01".encode())
            if step.user is None:
                assert step.answer == b'{"status": "invalid_token"}'
                with pytest.raises(NotAuthentic, match="not taken"):
                    await exchange.step(b"\x01")
            return step.user

        token = issuer.token(_GOOD)
        assert await login(token) is None  # an older key of this name
        stranger = issuer.token(_GOOD, kid="newer")
        for _ in range(5):
            assert await login(stranger) is None
        assert read == 1, "ten seconds have not passed"
        clock.seconds += 11
        assert await login(stranger) is None
        assert read == 2
        assert await login(token) == "kim"
        clock.seconds += 3700
        assert await login(token) == "kim", "keys stay while their source is away"
        assert read == 3

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "token", [b"", b"n,,\x01\x01", b"n,,\x01auth=Basic x\x01\x01", b"p=x,,\x01auth=Bearer x\x01\x01"]
)
def test_first_messages_that_are_none(token: bytes) -> None:
    async def scenario() -> None:
        exchange = OAuthBearer(KeySet("file:///none", 1, SYSTEM_CLOCK), _EXPECTED, SYSTEM_CLOCK)
        with pytest.raises(NotAuthentic):
            await exchange.step(token)

    asyncio.run(scenario())


def test_a_listener_needs_a_key_set() -> None:
    settings = {"listeners": "SASL_PLAINTEXT://127.0.0.1:0", "sasl.enabled.mechanisms": "OAUTHBEARER"}
    with pytest.raises(BadStart, match=r"set sasl\.oauthbearer\.jwks\.endpoint\.url"):
        listener_access(load_settings(settings, None, {}), "SASL_PLAINTEXT", Users(dict, {}))
