"""confluent-kafka and aiokafka at a real node with TLS and SASL: let in, refused, users added and taken away."""

import asyncio
import re
import ssl
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaError as AioError
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from cauce.testing import CauceProcess
from infra.clock import SYSTEM_CLOCK
from infra.error_code import ErrorCode
from tests.security.authority import Authority
from tests.security.secured import ADMIN, ADMIN_PASSWORD, certificate_of, librdkafka, refusal, secured, writes
from tests.security.tokens import Issuer

_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_SECONDS = 60.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[CauceProcess]:
    folder = tmp_path_factory.mktemp("secured")
    with secured(folder / "node", "SASL_SSL://127.0.0.1:0", authority) as node:
        yield node


@pytest.mark.parametrize("mechanism", _MECHANISMS)
def test_confluent_is_let_in(node: CauceProcess, authority: Authority, mechanism: str) -> None:
    assert writes(librdkafka(node.bootstrap, authority, mechanism), f"confluent-{mechanism}") == 0


@pytest.mark.parametrize("mechanism", _MECHANISMS)
def test_confluent_is_refused(node: CauceProcess, authority: Authority, mechanism: str) -> None:
    assert "Authentication failed" in refusal(librdkafka(node.bootstrap, authority, mechanism, password="wrong"))


def test_who_cannot_or_will_not_prove_himself_is_refused(node: CauceProcess, authority: Authority) -> None:
    good = librdkafka(node.bootstrap, authority)
    stranger = {**good, "security.protocol": "SSL"}
    assert refusal(stranger)
    plain = {"bootstrap.servers": node.bootstrap, "log_level": 0}
    assert refusal(plain)
    oauth = {**good, "sasl.mechanism": "OAUTHBEARER", "oauth_cb": lambda _: ("token", time.time() + 60)}  # noqa: TID251
    for name in ("sasl.username", "sasl.password"):
        del oauth[name]
    assert "OAUTHBEARER" in refusal(oauth)


async def _aiokafka(node: CauceProcess, authority: Authority, mechanism: str, password: str) -> bytes | None:
    options = {
        "bootstrap_servers": node.bootstrap,
        "security_protocol": "SASL_SSL",
        "ssl_context": ssl.create_default_context(cafile=str(authority.file)),
        "sasl_mechanism": mechanism,
        "sasl_plain_username": ADMIN,
        "sasl_plain_password": password,
    }
    topic = f"aiokafka-{mechanism}"
    async with AIOKafkaProducer(**options) as producer:
        await producer.send_and_wait(topic, b"value")
    async with AIOKafkaConsumer(topic, group_id="g", auto_offset_reset="earliest", **options) as consumer:
        found = await asyncio.wait_for(consumer.getone(), _SECONDS)
    value: bytes | None = found.value
    return value


@pytest.mark.parametrize("mechanism", _MECHANISMS)
def test_aiokafka_is_let_in_or_refused(node: CauceProcess, authority: Authority, mechanism: str) -> None:
    assert asyncio.run(_aiokafka(node, authority, mechanism, ADMIN_PASSWORD)) == b"value"
    with pytest.raises(AioError):
        asyncio.run(_aiokafka(node, authority, mechanism, "wrong"))


def test_users_are_added_changed_and_taken_away(node: CauceProcess, authority: Authority) -> None:
    admin = AdminClient(librdkafka(node.bootstrap, authority))
    sha256 = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 8192)

    def alter(change: UserScramCredentialUpsertion | UserScramCredentialDeletion) -> None:
        for future in admin.alter_user_scram_credentials([change]).values():
            future.result(_SECONDS)

    alter(UserScramCredentialUpsertion("kim", sha256, b"first"))
    described = admin.describe_user_scram_credentials(["kim"])["kim"].result(_SECONDS)
    assert [(one.mechanism, one.iterations) for one in described.scram_credential_infos] == [(sha256.mechanism, 8192)]
    assert set(admin.describe_user_scram_credentials().result(_SECONDS)) == {"kim"}
    writes(librdkafka(node.bootstrap, authority, "SCRAM-SHA-256", "kim", "first"), "by-kim")
    writes(librdkafka(node.bootstrap, authority, "PLAIN", "kim", "first"), "by-kim")
    assert refusal(librdkafka(node.bootstrap, authority, "SCRAM-SHA-512", "kim", "first"))
    alter(UserScramCredentialUpsertion("kim", sha256, b"second"))
    assert refusal(librdkafka(node.bootstrap, authority, "SCRAM-SHA-256", "kim", "first"))
    writes(librdkafka(node.bootstrap, authority, "SCRAM-SHA-256", "kim", "second"), "by-kim")
    alter(UserScramCredentialDeletion("kim", ScramMechanism.SCRAM_SHA_256))
    assert refusal(librdkafka(node.bootstrap, authority, "SCRAM-SHA-256", "kim", "second"))
    for change, code in (
        (UserScramCredentialDeletion("kim", ScramMechanism.SCRAM_SHA_256), ErrorCode.RESOURCE_NOT_FOUND),
        (
            UserScramCredentialUpsertion("lee", ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 100), b"x"),
            ErrorCode.UNACCEPTABLE_CREDENTIAL,
        ),
    ):
        with pytest.raises(KafkaException) as caught:
            alter(change)
        assert caught.value.args[0].code() == code
    with pytest.raises(KafkaException) as caught:
        admin.describe_user_scram_credentials(["kim"])["kim"].result(_SECONDS)
    assert caught.value.args[0].code() == ErrorCode.RESOURCE_NOT_FOUND


def test_users_are_there_after_a_restart_and_secrets_are_nowhere(tmp_path: Path, authority: Authority) -> None:
    with secured(tmp_path / "node", "SASL_SSL://127.0.0.1:0", authority) as node:
        settings = librdkafka(node.bootstrap, authority)
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        upsertion = UserScramCredentialUpsertion("kim", info, b"kims-secret")
        admin = AdminClient(settings)
        for future in admin.alter_user_scram_credentials([upsertion]).values():
            future.result(_SECONDS)
        node.kill()
        node.start()
        writes(librdkafka(node.bootstrap, authority, user="kim", password="kims-secret"), "t")
        assert refusal({**settings, "sasl.password": "wrong"})
        node.stop()
    everything = node.output.encode() + b"".join(
        path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".pem"
    )
    for secret in (ADMIN_PASSWORD.encode(), b"kims-secret"):
        assert secret not in everything


def test_a_certificate_is_a_user_and_new_ones_are_taken(tmp_path: Path, authority: Authority) -> None:
    settings = {
        "ssl__client__auth": "required",
        "ssl__truststore__location": str(authority.file),
        "cauce__ssl__reload__interval__ms": "50",
    }
    with secured(tmp_path / "node", "SSL://127.0.0.1:0", authority, **settings) as node:
        mine = {
            "bootstrap.servers": node.bootstrap,
            "security.protocol": "SSL",
            "ssl.ca.location": str(authority.file),
            "log_level": 0,
        }
        identity = str(authority.issue("kim.pem", user="kim"))
        known = {**mine, "ssl.certificate.location": identity, "ssl.key.location": identity}
        assert writes(known, "t") == 0
        assert refusal(mine)
        folder = tmp_path / "successor"
        folder.mkdir()
        successor = Authority(folder)
        issued = certificate_of(tmp_path / "node", successor)
        certificate_of(tmp_path / "node", authority).write_bytes(issued.read_bytes())
        deadline = time.monotonic() + _SECONDS
        while True:
            try:
                assert writes({**known, "ssl.ca.location": str(successor.file), "message.timeout.ms": 2000}, "t") > 0
                break
            except AssertionError:
                assert time.monotonic() < deadline


def test_tokens_of_an_issuer_are_taken_and_others_refused(tmp_path: Path, authority: Authority) -> None:
    issuer, now = Issuer(), SYSTEM_CLOCK.now_ms() / 1000
    settings = {
        "sasl__enabled__mechanisms": "OAUTHBEARER,SCRAM-SHA-512",
        "sasl__oauthbearer__jwks__endpoint__url": issuer.write(tmp_path / "keys.json"),
        "sasl__oauthbearer__expected__audience": "cauce",
    }

    def bearing(token: str, bootstrap: str) -> dict[str, object]:
        words = librdkafka(bootstrap, authority, "OAUTHBEARER")
        kept = {name: value for name, value in words.items() if name not in ("sasl.username", "sasl.password")}
        return {**kept, "oauth_cb": lambda _: (token, now + 600)}

    class Provider(AbstractTokenProvider):  # type: ignore[misc]
        async def token(self) -> str:
            return issuer.token({"sub": "lee", "aud": "cauce", "exp": now + 600})

    async def aiokafka(bootstrap: str) -> int:
        context = ssl.create_default_context(cafile=str(authority.file))
        options = {"security_protocol": "SASL_SSL", "ssl_context": context, "sasl_mechanism": "OAUTHBEARER"}
        async with AIOKafkaProducer(
            bootstrap_servers=bootstrap, sasl_oauth_token_provider=Provider(), **options
        ) as producer:
            offset: int = (await producer.send_and_wait("t", b"v")).offset
        return offset

    with secured(tmp_path / "node", "SASL_SSL://127.0.0.1:0", authority, **settings) as node:
        good = issuer.token({"sub": "kim", "aud": "cauce", "exp": now + 600}, "ES256")
        assert writes(bearing(good, node.bootstrap), "t") == 0
        assert asyncio.run(aiokafka(node.bootstrap)) == 1
        assert refusal(bearing(issuer.token({"sub": "kim", "aud": "another", "exp": now + 600}), node.bootstrap))
        assert refusal(bearing(Issuer().token({"sub": "kim", "aud": "cauce", "exp": now + 600}), node.bootstrap))


def test_a_client_logs_in_again_before_its_time_is_over(tmp_path: Path, authority: Authority) -> None:
    more = {"connections__max__reauth__ms": "1500"}
    errors: list[object] = []
    with secured(tmp_path / "node", "SASL_SSL://127.0.0.1:0", authority, **more) as node:
        settings = librdkafka(node.bootstrap, authority)
        producer = Producer({**settings, "error_cb": errors.append, "enable.idempotence": True})
        until = time.monotonic() + 5
        while time.monotonic() < until:
            producer.produce("t", b"v", on_delivery=lambda error, _: errors.append(error) if error else None)
            producer.poll(0.1)
        assert producer.flush(_SECONDS) == 0
        [http] = re.findall(r"health and metrics on (http://\S+)", node.output)
        metrics = urllib.request.urlopen(f"{http}/metrics").read().decode()
        assert "cauce_bad_frames_total 0.0" in metrics, "no connection was closed because its time was over"
    assert not errors
