"""Bytes of clients that nobody knows yet cost nothing: no task, no timer, no memory stays; the known are served."""

import asyncio
import gc
import itertools
import ssl
import struct
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from cauce.api.sasl_authenticate import SaslAuthenticateHandler
from cauce.api.sasl_handshake import SaslHandshakeHandler
from infra.clock import SYSTEM_CLOCK
from infra.error_code import ErrorCode
from infra.limits import WireLimits
from infra.security.listener_access import ListenerAccess, SaslOffer
from infra.security.mechanisms import password_mechanism
from infra.security.tls import TlsSettings
from infra.security.users import Users
from infra.wire.messages import heartbeat, sasl_authenticate, sasl_handshake
from infra.wire.server import Listener
from tests.fuzz.inputs import Inputs
from tests.security.authority import Authority
from tests.wire_server.harness import Heartbeats, Raw, Served, at_once, serving, until

_INPUTS = 600
_LEAK_BYTES = 64 * 1024  # over all inputs of a round; one that leaves a task or a timer behind costs kilobytes
_AT_ONCE = 32


@asynccontextmanager
async def sasl_served(
    max_lifetime_seconds: float = 0, tls: TlsSettings | None = None, **limits: Any
) -> AsyncIterator[Served]:
    users = Users(dict, {"kim": "right"})
    names = ("PLAIN", "SCRAM-SHA-256")
    offer = SaslOffer(
        mechanisms={name: password_mechanism(name, users) for name in names},
        max_frame_bytes=10_000,
        max_lifetime_seconds=max_lifetime_seconds,
    )
    handlers = (
        Heartbeats(at_once),
        SaslHandshakeHandler(),
        SaslAuthenticateHandler(SYSTEM_CLOCK, failed_delay_seconds=0.05 if tls else 0.001),
    )
    listeners = [
        Listener(name="main", host="127.0.0.1", port=0, access=ListenerAccess("main", sasl=offer, tls=tls)),
        Listener(name="plain", host="127.0.0.1", port=0),
    ]
    async with serving(*handlers, listeners=listeners, limits=WireLimits(**limits)) as served:
        yield served


async def choose(raw: Raw, mechanism: str) -> int:
    raw.ask(sasl_handshake.SaslHandshakeRequest(mechanism=mechanism), 1)
    code: int = (await raw.answer(17, 1))[1].error_code
    return code


async def prove(raw: Raw, token: bytes) -> sasl_authenticate.SaslAuthenticateResponse:
    raw.ask(sasl_authenticate.SaslAuthenticateRequest(auth_bytes=token), 2)
    answer: sasl_authenticate.SaslAuthenticateResponse = (await raw.answer(36, 2))[1]
    return answer


async def login(raw: Raw) -> None:
    assert await choose(raw, "PLAIN") == ErrorCode.NONE
    assert (await prove(raw, b"\0kim\0right")).error_code == ErrorCode.NONE


async def served_still(served: Served) -> None:
    raw = await served.raw()
    await login(raw)
    raw.beat(7)
    assert await raw.numbers(1) == [7]
    await raw.close()


async def nothing_left(served: Served, channels: int = 0) -> None:
    traffic = served.server._traffic
    await until(lambda: len(served.server._channels) == channels and not traffic.tasks)
    assert (traffic._request_bytes, traffic._partial_bytes) == (0, 0)


def test_a_client_proves_itself_and_then_may_send_large_frames() -> None:
    async def scenario() -> None:
        async with sasl_served() as served:
            raw = await served.raw()
            await login(raw)
            raw.beat(1, group="g" * 20_000)
            raw.beat(2)
            assert await raw.numbers(2) == [1, 2]

    asyncio.run(scenario())


def test_what_comes_too_early_ends_the_connection() -> None:
    async def scenario() -> None:
        async with sasl_served() as served:
            for send in (
                lambda raw: raw.beat(1),
                lambda raw: raw.send(struct.pack(">i", 10_001)),
                lambda raw: raw.ask(sasl_handshake.SaslHandshakeRequest(mechanism="PLAIN"), 0),
            ):
                raw = await served.raw()
                send(raw)
                assert await raw.closed_by_server()
            await nothing_left(served)

    asyncio.run(scenario())


def test_what_is_sent_behind_a_wrong_password_is_not_answered() -> None:
    async def scenario() -> None:
        async with sasl_served() as served:
            raw = await served.raw()
            assert await choose(raw, "PLAIN") == ErrorCode.NONE
            raw.ask(sasl_authenticate.SaslAuthenticateRequest(auth_bytes=b"\0kim\0wrong"), 2)
            raw.beat(1)
            answer = (await raw.answer(36, 2))[1]
            assert answer.error_code == ErrorCode.SASL_AUTHENTICATION_FAILED
            assert "Invalid username or password" in answer.error_message
            assert await raw.closed_by_server()
            await nothing_left(served)

    asyncio.run(scenario())


def test_what_is_sent_behind_the_right_password_waits_for_it() -> None:
    async def scenario() -> None:
        async with sasl_served() as served:
            raw = await served.raw()
            raw.ask(sasl_handshake.SaslHandshakeRequest(mechanism="PLAIN"), 1)
            raw.ask(sasl_authenticate.SaslAuthenticateRequest(auth_bytes=b"\0kim\0right"), 2)
            raw.beat(5)
            assert (await raw.answer(17, 1))[1].error_code == ErrorCode.NONE
            assert (await raw.answer(36, 2))[1].error_code == ErrorCode.NONE
            assert await raw.numbers(1) == [5]

    asyncio.run(scenario())


def test_unknown_mechanisms_and_listeners_without_sasl_say_so() -> None:
    async def scenario() -> None:
        async with sasl_served() as served:
            raw = await served.raw()
            assert await choose(raw, "GSSAPI") == ErrorCode.UNSUPPORTED_SASL_MECHANISM
            assert await raw.closed_by_server()
            plain = await served.raw("plain")
            assert await choose(plain, "PLAIN") == ErrorCode.ILLEGAL_SASL_STATE
            assert (await prove(plain, b"\0kim\0right")).error_code == ErrorCode.ILLEGAL_SASL_STATE
            plain.beat(3)
            assert await plain.numbers(1) == [3]

    asyncio.run(scenario())


def test_who_does_not_prove_himself_in_time_is_left() -> None:
    async def scenario() -> None:
        async with sasl_served(authentication_seconds=0.2) as served:
            honest, silent, asking = await served.raw(), await served.raw(), await served.raw()
            await login(honest)
            assert await choose(asking, "SCRAM-SHA-256") == ErrorCode.NONE
            assert await silent.closed_by_server()
            assert await asking.closed_by_server()
            honest.beat(1)
            assert await honest.numbers(1) == [1]
            await nothing_left(served, channels=1)

    asyncio.run(scenario())


async def _hostile(served: Served, data: bytes, number: int) -> None:
    reader, writer = await asyncio.open_connection(served.host, served.port)
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        if number % 3:
            mechanism = "PLAIN" if number % 3 == 1 else "SCRAM-SHA-256"
            raw = Raw(reader, writer)
            raw.ask(sasl_handshake.SaslHandshakeRequest(mechanism=mechanism), 1)
            if number % 2:
                raw.ask(sasl_authenticate.SaslAuthenticateRequest(auth_bytes=data[:600]), 2)
        writer.write(data)
        writer.write_eof()
        await asyncio.wait_for(reader.read(), 10)
    writer.close()


@pytest.mark.timeout(240)
def test_hostile_bytes_cost_nothing() -> None:
    async def round_of(served: Served, inputs: list[bytes]) -> int:
        for start in range(0, len(inputs), _AT_ONCE):
            together = enumerate(inputs[start : start + _AT_ONCE], start)
            await asyncio.gather(*(_hostile(served, data, number) for number, data in together))
        await nothing_left(served)
        await served_still(served)
        await nothing_left(served)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    async def scenario() -> None:
        made = Inputs(seed=3, per_version=1)
        inputs = [made.make(number).data for number in range(_INPUTS)]
        async with sasl_served(authentication_seconds=60) as served:
            loop: Any = asyncio.get_running_loop()
            await round_of(served, inputs[:100])
            tracemalloc.start()
            try:
                levels = [await round_of(served, inputs) for _ in range(3)]
            finally:
                tracemalloc.stop()
            timers = [timer for timer in loop._scheduled if not timer.cancelled()]
            assert len(timers) < 5, timers
            grown = min(later - earlier for earlier, later in itertools.pairwise(levels))
            assert grown < _LEAK_BYTES, levels  # a leak grows each time, what is made once does not

    asyncio.run(scenario())


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("password", [b"right", b"wrong"])
def test_who_leaves_over_tls_is_gone(tmp_path: Path, password: bytes, waits: bool) -> None:
    """Also when it leaves in the middle of its login, while nothing is read from it."""

    async def scenario() -> None:
        authority = Authority(tmp_path)
        tls = TlsSettings(keystore_location=str(authority.issue("node.pem")))
        async with sasl_served(tls=tls) as served:
            context = ssl.create_default_context(cafile=str(authority.file))
            raw = Raw(*await asyncio.open_connection(served.host, served.port, ssl=context))
            assert await choose(raw, "PLAIN") == ErrorCode.NONE
            raw.ask(sasl_authenticate.SaslAuthenticateRequest(auth_bytes=b"\0kim\0" + password), 2)
            if waits:
                await raw.answer(36, 2)
            raw.writer.transport.abort()
            await nothing_left(served)

    asyncio.run(scenario())


def test_no_answer_says_who_exists() -> None:
    async def scenario() -> None:
        async with sasl_served() as served:
            said = []
            for user in ("kim", "nobody"):
                raw = await served.raw()
                await choose(raw, "SCRAM-SHA-256")
                first = await prove(raw, f"n,,n={user},r=abc".encode())
                last = await prove(raw, b"c=biws,r=" + bytes(first.auth_bytes)[2:].split(b",")[0] + b",p=" + b"A" * 44)
                said.append((first.error_code, last.error_code, last.error_message))
            assert said[0] == said[1]
            assert said[0][:2] == (ErrorCode.NONE, ErrorCode.SASL_AUTHENTICATION_FAILED)

    asyncio.run(scenario())


def test_a_heartbeat_needs_no_more_than_before() -> None:
    """Listeners without access stay as they were: no authentication, the plain principal."""

    async def scenario() -> None:
        principals = []

        async def note(context: Any, request: heartbeat.HeartbeatRequest) -> heartbeat.HeartbeatResponse:
            principals.append((context.principal, context.authentication))
            return heartbeat.HeartbeatResponse()

        async with serving(Heartbeats(note)) as served:
            raw = await served.raw()
            raw.beat(1)
            await raw.answer()
        assert principals == [("User:ANONYMOUS", None)]

    asyncio.run(scenario())
