"""The Java client at a node with TLS and every mechanism: let in, and refused with Kafka's exceptions."""

import subprocess
import warnings
from pathlib import Path

import pytest

from infra.clock import SYSTEM_CLOCK
from tests.security.authority import Authority
from tests.security.secured import ADMIN, ADMIN_PASSWORD, secured
from tests.security.tokens import Issuer
from tests.wire.peers import Absent, java_class

_SECONDS = 300.0
_MODULES = {
    "PLAIN": "plain.PlainLoginModule",
    "SCRAM-SHA-256": "scram.ScramLoginModule",
    "SCRAM-SHA-512": "scram.ScramLoginModule",
}
_URLS = "-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls"


class Properties:
    """Files of client properties, one for each way to try."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self._folder = folder
        self._authority = authority
        self.files: list[str] = []
        self.expected: list[str] = []

    def add(self, expected: str, **words: str) -> None:
        path = self._folder / f"{len(self.files)}.properties"
        given = {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(self._authority.file)}
        given |= {name.replace("__", "."): value for name, value in words.items()}
        path.write_text("".join(f"{name}={value}\n" for name, value in given.items()))
        self.files.append(str(path))
        self.expected.append(expected)

    def password(self, expected: str, mechanism: str, password: str) -> None:
        module = f"org.apache.kafka.common.security.{_MODULES[mechanism]}"
        jaas = f'{module} required username="{ADMIN}" password="{password}";'
        self.add(expected, security__protocol="SASL_SSL", sasl__mechanism=mechanism, sasl__jaas__config=jaas)

    def token(self, expected: str, token: str) -> None:
        path = self._folder / f"{len(self.files)}.token"
        path.write_text(token)
        login = "org.apache.kafka.common.security.oauthbearer"
        self.add(
            expected,
            security__protocol="SASL_SSL",
            sasl__mechanism="OAUTHBEARER",
            sasl__jaas__config=f"{login}.OAuthBearerLoginModule required;",
            sasl__login__callback__handler__class=f"{login}.OAuthBearerLoginCallbackHandler",
            sasl__oauthbearer__token__endpoint__url=path.as_uri(),
        )


@pytest.mark.timeout(500)
def test_java_is_let_in_or_refused(tmp_path: Path) -> None:
    try:
        command = java_class(Path(__file__).parent / "java" / "Login.java", tmp_path)
    except Absent as reason:
        warnings.warn(f"java was left out: {reason}", stacklevel=1)
        return
    authority, issuer, now = Authority(tmp_path), Issuer(), SYSTEM_CLOCK.now_ms() // 1000
    settings = {
        "sasl__enabled__mechanisms": "PLAIN,SCRAM-SHA-256,OAUTHBEARER",
        "sasl__oauthbearer__jwks__endpoint__url": issuer.write(tmp_path / "keys.json"),
        "sasl__oauthbearer__expected__audience": "cauce",
    }
    ways = Properties(tmp_path, authority)
    ways.password("in 0", "PLAIN", ADMIN_PASSWORD)
    ways.password("in 1", "SCRAM-SHA-256", ADMIN_PASSWORD)
    claims = {"sub": "kim", "aud": "cauce", "iat": now, "exp": now + 600}
    ways.token("in 2", issuer.token(claims))
    ways.password("SaslAuthenticationException", "PLAIN", "wrong")
    ways.password("SaslAuthenticationException", "SCRAM-SHA-256", "wrong")
    ways.token("SaslAuthenticationException", issuer.token({**claims, "aud": "another"}))
    ways.password("UnsupportedSaslMechanismException", "SCRAM-SHA-512", ADMIN_PASSWORD)
    (tmp_path / "other").mkdir()
    stranger = str(Authority(tmp_path / "other").file)
    ways.add("SslAuthenticationException", security__protocol="SSL", ssl__truststore__location=stranger)
    with secured(tmp_path / "node", "SASL_SSL://127.0.0.1:0", authority, **settings) as node:
        urls = ",".join(path.as_uri() for path in tmp_path.glob("*.token"))
        command.insert(1, f"{_URLS}={urls}")
        done = subprocess.run(
            [*command, node.bootstrap, *ways.files], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    outcomes = [line for line in done.stdout.splitlines() if line.startswith("outcome\t")]  # it logs there too
    assert len(outcomes) == len(ways.expected), done.stderr[-3000:]
    for expected, outcome in zip(ways.expected, outcomes, strict=True):
        assert expected in outcome, done.stdout
