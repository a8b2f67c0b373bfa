"""The states of SASL on one connection, without a socket."""

import asyncio

import pytest

from infra.error_code import ErrorCode
from infra.security.authentication import API_VERSIONS, SASL_AUTHENTICATE, SASL_HANDSHAKE, Authentication, Refusal
from infra.security.mechanisms import Step, password_mechanism
from infra.security.scram import ScramClient
from infra.security.users import Users

_METADATA = 3
_PLAIN = b"\0kim\0right"


def begun(lifetime_seconds: float = 0.0) -> Authentication:
    users = Users(dict, {"kim": "right", "lee": "also"})
    names = ("PLAIN", "SCRAM-SHA-256")
    return Authentication({name: password_mechanism(name, users) for name in names}, lifetime_seconds)


def login(one: Authentication, token: bytes = _PLAIN, now: float = 0.0) -> float:
    one.handshake("PLAIN", now)
    step = asyncio.run(one.authenticate(token))
    return one.finish(step, now, 0)


def test_only_three_apis_before_and_all_after() -> None:
    one = begun()
    for api in (API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE):
        assert one.refuses(api, 0) is None
    assert "before it is authenticated" in str(one.refuses(_METADATA, 0))
    assert login(one) == 0
    assert (one.complete, one.principal) == (True, "User:kim")
    assert one.refuses(_METADATA, 1e9) is None


def test_asking_for_ever_is_not_allowed() -> None:
    one = begun()
    answers = [one.refuses(API_VERSIONS, 0) for _ in range(20)]
    assert answers[0] is None
    assert "too many" in str(answers[-1])


def test_scram_takes_two_steps() -> None:
    one, client = begun(), ScramClient("SCRAM-SHA-256", "lee", "also", "nonce")
    one.handshake("SCRAM-SHA-256", 0)
    first = asyncio.run(one.authenticate(client.first()))
    assert first.user is None
    last = asyncio.run(one.authenticate(client.final(first.answer)))
    client.verify(last.answer)
    one.finish(last, 0, 0)
    assert one.principal == "User:lee"


def code_of(call: object) -> ErrorCode:
    assert isinstance(call, pytest.ExceptionInfo)
    code = call.value.code
    assert isinstance(code, ErrorCode)
    return code


@pytest.mark.parametrize(
    "token", [b"", b"\0kim\0wrong", b"lee\0kim\0right", b"\0\0", b"\xff\0a\0b", b"\0nobody\0right"]
)
def test_refused_passwords(token: bytes) -> None:
    one = begun()
    one.handshake("PLAIN", 0)
    with pytest.raises(Refusal) as caught:
        asyncio.run(one.authenticate(token))
    assert code_of(caught) is ErrorCode.SASL_AUTHENTICATION_FAILED
    assert "kim" not in str(caught.value)
    assert one.failed


def test_refused_mechanisms_and_orders() -> None:
    one = begun()
    with pytest.raises(Refusal) as caught:
        one.handshake("GSSAPI", 0)
    assert code_of(caught) is ErrorCode.UNSUPPORTED_SASL_MECHANISM
    assert one.failed
    two = begun()
    with pytest.raises(Refusal) as caught:
        asyncio.run(two.authenticate(_PLAIN))
    assert code_of(caught) is ErrorCode.ILLEGAL_SASL_STATE
    assert two.failed
    three = begun()
    three.handshake("PLAIN", 0)
    with pytest.raises(Refusal) as caught:
        three.handshake("PLAIN", 0)
    assert code_of(caught) is ErrorCode.ILLEGAL_SASL_STATE


def test_once_it_is_complete_a_stray_step_harms_nothing() -> None:
    one = begun()
    login(one)
    with pytest.raises(Refusal) as caught:
        asyncio.run(one.authenticate(_PLAIN))
    assert code_of(caught) is ErrorCode.ILLEGAL_SASL_STATE
    with pytest.raises(Refusal):
        one.handshake("PLAIN", 0.5)
    assert one.complete


def test_it_expires_unless_it_is_made_again_by_the_same_user() -> None:
    one = begun(lifetime_seconds=10)
    assert login(one, now=100) == 10
    assert one.refuses(_METADATA, 109) is None
    assert "expired" in str(one.refuses(_METADATA, 110))
    assert one.refuses(SASL_HANDSHAKE, 111) is None
    assert login(one, now=111) == 10
    assert one.refuses(_METADATA, 120) is None
    one.handshake("PLAIN", 120)
    assert one.refuses(_METADATA, 120) is not None
    step = asyncio.run(one.authenticate(b"\0lee\0also"))
    with pytest.raises(Refusal, match="Cannot change principals"):
        one.finish(step, 120, 0)
    assert one.failed


def test_the_mechanism_stays() -> None:
    one = begun()
    login(one)
    with pytest.raises(Refusal, match="cannot become SCRAM-SHA-256"):
        one.handshake("SCRAM-SHA-256", 5)
    assert one.failed


def test_a_token_that_ends_sooner_counts() -> None:
    one = begun(lifetime_seconds=100)
    one.handshake("PLAIN", 0)
    assert one.finish(Step(user="kim", expires_ms=5_000), 0, 2_000) == 3
    assert one.refuses(_METADATA, 3) is not None
