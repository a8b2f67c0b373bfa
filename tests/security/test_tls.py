"""TLS of a listener by real handshakes: who is let in, who is refused, and certificates that change."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from infra.errors import BadStart, Unavailable
from infra.limits import WireLimits
from infra.security.client_properties import ClientProperties
from infra.security.client_security import ClientSecurity
from infra.security.from_settings import listener_access
from infra.security.tls import TlsSettings, server_context
from infra.security.users import Users
from infra.settings import load_settings
from infra.wire.client import Client
from infra.wire.handler import RequestContext
from infra.wire.messages import heartbeat
from infra.wire.server import Listener
from tests.security.authority import Authority
from tests.wire_server.harness import Heartbeats, Served, serving, until


class Asked(Heartbeats):
    """Remembers who asked."""

    def __init__(self) -> None:
        self.principals: list[str] = []

        async def answer(context: RequestContext, request: heartbeat.HeartbeatRequest) -> heartbeat.HeartbeatResponse:
            self.principals.append(context.principal)
            return heartbeat.HeartbeatResponse()

        super().__init__(answer)


@asynccontextmanager
async def tls_served(settings: Mapping[str, str], asked: Asked) -> AsyncIterator[tuple[Served, Listener]]:
    given = load_settings({"listeners": "SSL://127.0.0.1:0", **settings}, None, {})
    listener = Listener(name="main", host="127.0.0.1", port=0, access=listener_access(given, "SSL", Users(dict, {})))
    async with serving(asked, listeners=[listener], limits=WireLimits(authentication_seconds=1)) as served:
        yield served, listener


def secured_by(tls: TlsSettings) -> ClientSecurity:
    return ClientSecurity(ClientProperties(protocol="SSL", tls=tls))


async def ask(served: Served, tls: TlsSettings) -> None:
    async with Client([(served.host, served.port)], security=secured_by(tls), timeout_seconds=10) as client:
        await client.call(None, heartbeat.HeartbeatRequest(group_id="g"))


def test_clients_that_trust_the_authority_are_served(tmp_path: Path) -> None:
    async def scenario() -> None:
        authority, asked = Authority(tmp_path), Asked()
        async with tls_served({"ssl.keystore.location": str(authority.issue("node.pem"))}, asked) as (served, _):
            await ask(served, TlsSettings(truststore_location=str(authority.file)))
            assert asked.principals == ["User:ANONYMOUS"]
            other = Authority(tmp_path, "other")
            with pytest.raises(Unavailable, match="certificate"):
                await ask(served, TlsSettings(truststore_location=str(other.file)))

    asyncio.run(scenario())


def test_a_client_is_who_its_certificate_says(tmp_path: Path) -> None:
    async def scenario() -> None:
        authority, asked = Authority(tmp_path), Asked()
        other = Authority(tmp_path, "other")
        settings = {
            "ssl.keystore.location": str(authority.issue("node.pem")),
            "ssl.truststore.location": str(authority.file),
            "ssl.client.auth": "required",
            "ssl.principal.mapping.rules": "RULE:^CN=(kim),.*$/$1/,RULE:^CN=(lee),.*$/$1/U",
        }
        trusting = str(authority.file)
        async with tls_served(settings, asked) as (served, _):
            for user in ("kim", "lee"):
                identity = authority.issue(f"{user}.pem", user=user, password="secret")
                tls = {"keystore_location": str(identity), "key_password": "secret"}
                await ask(served, TlsSettings(truststore_location=trusting, **tls))
            assert asked.principals == ["User:kim", "User:LEE"]
            strangers = [
                TlsSettings(truststore_location=trusting),
                TlsSettings(truststore_location=trusting, keystore_location=str(other.issue("x.pem", user="kim"))),
                TlsSettings(truststore_location=trusting, keystore_location=str(authority.issue("y.pem", user="who"))),
            ]
            for tls in strangers:
                with pytest.raises(Unavailable):
                    await ask(served, tls)
            assert len(asked.principals) == 2

    asyncio.run(scenario())


def test_new_certificates_are_taken_and_connections_live_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        authority, asked = Authority(tmp_path), Asked()
        node = authority.issue("node.pem")
        async with tls_served({"ssl.keystore.location": str(node)}, asked) as (served, listener):
            assert listener.access is not None
            security = secured_by(TlsSettings(truststore_location=str(authority.file)))
            async with Client([(served.host, served.port)], security=security) as client:
                await client.call(None, heartbeat.HeartbeatRequest(group_id="g"))
                assert not listener.access.look_at_files()
                node.write_text("half a file")
                assert not listener.access.look_at_files()
                successor = Authority(tmp_path, "successor")
                successor.issue("node.pem")
                assert listener.access.look_at_files()
                await served.server.renew("main")
                await ask(served, TlsSettings(truststore_location=str(successor.file)))
                with pytest.raises(Unavailable):
                    await ask(served, TlsSettings(truststore_location=str(authority.file)))
                await client.call(None, heartbeat.HeartbeatRequest(group_id="g"))
            assert len(asked.principals) == 3

    asyncio.run(scenario())


def test_who_says_nothing_or_nonsense_is_left(tmp_path: Path) -> None:
    async def scenario() -> None:
        authority, asked = Authority(tmp_path), Asked()
        async with tls_served({"ssl.keystore.location": str(authority.issue("node.pem"))}, asked) as (served, _):
            silent, plain = await served.raw(), await served.raw()
            plain.beat(1)
            assert await plain.closed_by_server()
            assert await silent.closed_by_server()
            await until(lambda: not served.server._channels)
            assert not asked.principals

    asyncio.run(scenario())


def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    locked = authority.issue("locked.pem", password="secret")
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for tls, says in (
        (TlsSettings(), "set ssl.keystore.location"),
        (TlsSettings(keystore_location=str(tmp_path / "none")), "cannot be read: No such file"),
        (TlsSettings(keystore_location=str(empty)), "is not a PEM file"),
        (TlsSettings(keystore_location=str(locked)), "ssl.key.password is not the key's"),
        (TlsSettings(keystore_location=str(locked), key_password="wrong"), "ssl.key.password is not the key's"),
        (TlsSettings(keystore_location=str(locked), key_password="secret", client_auth="required"), "truststore"),
    ):
        with pytest.raises(BadStart, match=says):
            server_context(tls)
    text = locked.read_text()
    cut = text.index("-----BEGIN CERTIFICATE")
    context = server_context(
        TlsSettings(keystore_key=text[:cut], keystore_chain=text[cut:], key_password="secret", protocols=("TLSv1.3",))
    )
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"listeners": "OUTSIDE://127.0.0.1:1"}, "listener OUTSIDE has no protocol.*OUTSIDE:SASL_SSL"),
        ({"listener.security.protocol.map": "A:B"}, "write NAME:PROTOCOL"),
        ({"inter.broker.listener.name": "IN"}, "inter.broker.listener.name is IN, which listeners does not name"),
        ({"listener.name.ssl.ssl.client.auth": "none"}, "is of a listener that listeners does not name"),
        ({"listener.name.plaintext.num.partitions": "1"}, "there is no setting"),
    ],
)
def test_settings_that_make_no_sense(settings: Mapping[str, str], says: str) -> None:
    with pytest.raises(BadStart, match=says):
        load_settings(settings, None, {})
