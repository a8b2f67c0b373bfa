"""A node's settings as the classes of this room want them, by listener."""

from infra.config_value import BadValue
from infra.errors import BadStart
from infra.security.listener_access import ListenerAccess
from infra.security.principal import PrincipalRules
from infra.security.tls import TlsSettings
from infra.settings import Settings

_TLS = ("SSL", "SASL_SSL")


def listener_access(settings: Settings, listener: str) -> ListenerAccess | None:
    """Whom a listener lets in; None: everybody, in plain text. Raises `BadStart`."""
    protocol = settings.protocol_of(listener)
    if protocol == "PLAINTEXT":
        return None
    tls = tls_settings(settings, listener) if protocol in _TLS else None
    return ListenerAccess(listener, tls=tls, rules=_rules(settings, listener))


def tls_settings(settings: Settings, listener: str) -> TlsSettings:
    """What TLS of a listener is made of."""

    def of(name: str) -> str:
        text: str = settings.of_listener(listener, name)
        return text

    return TlsSettings(
        keystore_location=of("ssl.keystore.location"),
        keystore_key=of("ssl.keystore.key"),
        keystore_chain=of("ssl.keystore.certificate.chain"),
        key_password=of("ssl.key.password"),
        truststore_location=of("ssl.truststore.location"),
        truststore_certificates=of("ssl.truststore.certificates"),
        client_auth=of("ssl.client.auth"),
        protocols=settings.of_listener(listener, "ssl.enabled.protocols"),
        identify=bool(of("ssl.endpoint.identification.algorithm")),
    )


def _rules(settings: Settings, listener: str) -> PrincipalRules:
    try:
        return PrincipalRules(settings.of_listener(listener, "ssl.principal.mapping.rules"))
    except BadValue as problem:
        raise BadStart(f"ssl.principal.mapping.rules of listener {listener} {problem}") from None
