"""Kafka's client properties (`security.protocol`, `sasl.*`, `ssl.*`) as the command line, replays and nodes use them.

Java's names and librdkafka's are both taken, as people have files of either. Stores are PEM files, as Java's
`ssl.keystore.type=PEM` has them. What is not of security is left alone: such files are shared with other tools.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.errors import BadStart
from infra.security.jaas import jaas_options
from infra.security.secrets import resolve_secret
from infra.security.settings_table import MECHANISMS, PROTOCOLS
from infra.security.tls import TlsSettings

_BY_PASSWORD = MECHANISMS[:3]
_SECRETS = frozenset(
    ("sasl.jaas.config", "sasl.password", "ssl.key.password", "ssl.keystore.key", "ssl.keystore.password")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientProperties:
    """How a client reaches nodes and proves who it is. Its `repr` shows no password."""

    protocol: str = "PLAINTEXT"
    tls: TlsSettings | None = None
    mechanism: str = ""
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"ClientProperties({self.protocol}, {self.mechanism}, {self.user})"

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> "ClientProperties":
        """From properties by name. Raises `BadStart` that names what cannot be."""
        words = {name: resolve_secret(text) if name in _SECRETS else text for name, text in given.items()}
        protocol = words.get("security.protocol", "PLAINTEXT").upper()
        if protocol not in PROTOCOLS:
            raise BadStart(f"security.protocol={protocol} is none of {', '.join(PROTOCOLS)}")
        tls = _tls(words) if protocol.endswith("SSL") else None
        if not protocol.startswith("SASL"):
            return cls(protocol=protocol, tls=tls)
        mechanism = words.get("sasl.mechanism") or words.get("sasl.mechanisms") or ""
        if mechanism not in _BY_PASSWORD:
            raise BadStart(f"sasl.mechanism={mechanism or '(nothing)'} is none of {', '.join(_BY_PASSWORD)}")
        options = jaas_options(words["sasl.jaas.config"]) if "sasl.jaas.config" in words else {}
        user = words.get("sasl.username") or options.get("username") or ""
        password = words.get("sasl.password") or options.get("password") or ""
        if not (user and password):
            raise BadStart(
                f"{mechanism} needs a user: give sasl.username and sasl.password, or sasl.jaas.config as Java has it"
            )
        return cls(protocol=protocol, tls=tls, mechanism=mechanism, user=user, password=password)

    def librdkafka(self) -> dict[str, str]:
        """The same for confluent-kafka; nothing for plain text."""
        if self.protocol == "PLAINTEXT":
            return {}
        words = {"security.protocol": self.protocol}
        if self.tls is not None:
            words |= _librdkafka_tls(self.tls)
        if self.mechanism:
            words |= {"sasl.mechanism": self.mechanism, "sasl.username": self.user, "sasl.password": self.password}
        return words


PLAINTEXT = ClientProperties()


def read_properties(file: Path) -> ClientProperties:
    """A file of NAME=VALUE lines with comments, as Java reads it; a backslash continues a line. Raises `BadStart`."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise BadStart(f"the file of client properties {file} cannot be read: {error.strerror}") from None
    try:
        return ClientProperties.parse(parse_properties(text))
    except BadStart as problem:
        raise BadStart(f"{file}: {problem.message}") from None


def parse_properties(text: str) -> dict[str, str]:
    """NAME=VALUE lines. Raises `BadStart`."""
    words, line = {}, ""
    for part in text.splitlines():
        line += part.lstrip()
        if line.startswith(("#", "!")):
            line = ""
        elif line.endswith("\\") and not line.endswith("\\\\"):
            line = line[:-1]
            continue
        if line.strip():
            name, equals, value = line.partition("=")
            if not equals:
                raise BadStart(f"{name.split(' ')[0]!r} is not NAME=VALUE")
            words[name.strip()] = value.strip()
        line = ""
    return words


def _tls(words: Mapping[str, str]) -> TlsSettings:
    for kind in ("ssl.keystore.type", "ssl.truststore.type"):
        if words.get(kind, "PEM").upper() != "PEM":
            raise BadStart(f"{kind}={words[kind]}: only PEM is taken; `openssl pkcs12` or `keytool` make PEM of others")
    return TlsSettings(
        keystore_location=words.get("ssl.keystore.location") or words.get("ssl.certificate.location") or "",
        keystore_key=words.get("ssl.keystore.key", ""),
        keystore_chain=words.get("ssl.keystore.certificate.chain", ""),
        key_location=words.get("ssl.key.location", ""),
        key_password=words.get("ssl.key.password", ""),
        truststore_location=words.get("ssl.truststore.location") or words.get("ssl.ca.location") or "",
        truststore_certificates=words.get("ssl.truststore.certificates", ""),
        identify=words.get("ssl.endpoint.identification.algorithm", "https").lower() not in ("", "none"),
    )


def _librdkafka_tls(tls: TlsSettings) -> dict[str, str]:
    named = {
        "ssl.ca.location": tls.truststore_location,
        "ssl.ca.pem": tls.truststore_certificates,
        "ssl.certificate.location": tls.keystore_location,
        "ssl.key.location": tls.key_location or tls.keystore_location,
        "ssl.certificate.pem": tls.keystore_chain,
        "ssl.key.pem": tls.keystore_key,
        "ssl.key.password": tls.key_password,
        "ssl.endpoint.identification.algorithm": "" if tls.identify else "none",
    }
    return {name: text for name, text in named.items() if text}
