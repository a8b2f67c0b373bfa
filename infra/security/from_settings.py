"""A node's settings as the classes of this room want them, by listener."""

from infra.clock import SYSTEM_CLOCK
from infra.config_value import BadValue
from infra.errors import BadStart
from infra.security.client_properties import ClientProperties
from infra.security.client_security import ClientSecurity
from infra.security.listener_access import ListenerAccess, SaslOffer
from infra.security.mechanisms import MakeServer, password_mechanism
from infra.security.oauth import KeySet, OAuthBearer
from infra.security.principal import PrincipalRules
from infra.security.tls import TlsSettings
from infra.security.users import Users
from infra.settings import Settings

_TLS = ("SSL", "SASL_SSL")
_SASL = ("SASL_PLAINTEXT", "SASL_SSL")


def listener_access(settings: Settings, listener: str, users: Users) -> ListenerAccess | None:
    """Whom a listener lets in; None: everybody, in plain text. Raises `BadStart`."""
    protocol = settings.protocol_of(listener)
    if protocol == "PLAINTEXT":
        return None
    tls = tls_settings(settings, listener) if protocol in _TLS else None
    sasl = _sasl(settings, listener, users) if protocol in _SASL else None
    return ListenerAccess(listener, tls=tls, rules=_rules(settings, listener), sasl=sasl)


def node_security(settings: Settings) -> ClientSecurity | None:
    """How this node reaches others, by the listener of nodes; None: in plain text. Raises `BadStart`."""
    listener = settings.inter_broker_listener
    protocol = settings.protocol_of(listener)
    if protocol == "PLAINTEXT":
        return None
    mechanism: str = settings["sasl.mechanism.inter.broker.protocol"]
    enabled = settings.of_listener(listener, "sasl.enabled.mechanisms")
    if protocol in _SASL and settings["cauce.inter.broker.password"] and mechanism not in enabled:
        raise BadStart(
            f"nodes reach one another by listener {listener} with {mechanism} (sasl.mechanism.inter.broker.protocol), "
            f"and its sasl.enabled.mechanisms are {', '.join(enabled)}: add it there, or set one of them"
        )
    properties = ClientProperties(
        protocol=protocol,
        tls=tls_settings(settings, listener) if protocol in _TLS else None,
        mechanism=mechanism if protocol in _SASL else "",
        user=settings["cauce.inter.broker.user"],
        password=settings["cauce.inter.broker.password"],
    )
    return ClientSecurity(properties)


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


def _sasl(settings: Settings, listener: str, users: Users) -> SaslOffer:
    names: tuple[str, ...] = settings.of_listener(listener, "sasl.enabled.mechanisms")
    return SaslOffer(
        mechanisms={
            name: _oauth(settings, listener) if name == "OAUTHBEARER" else password_mechanism(name, users)
            for name in names
        },
        max_lifetime_seconds=settings.of_listener(listener, "connections.max.reauth.ms") / 1000,
        max_frame_bytes=settings["sasl.server.max.receive.size"],
    )


def _oauth(settings: Settings, listener: str) -> MakeServer:
    from infra.security.jwt import Expected  # what it imports is for those who use it

    url: str = settings.of_listener(listener, "sasl.oauthbearer.jwks.endpoint.url")
    if not url.startswith(("https://", "http://", "file:///")):
        raise BadStart(
            f"listener {listener} has OAUTHBEARER: set sasl.oauthbearer.jwks.endpoint.url to where the issuer's keys "
            "are, https://… or file:///…"
        )
    refresh_seconds = settings.of_listener(listener, "sasl.oauthbearer.jwks.endpoint.refresh.ms") / 1000
    keys = KeySet(url, refresh_seconds, SYSTEM_CLOCK)
    expected = Expected(
        audiences=settings.of_listener(listener, "sasl.oauthbearer.expected.audience"),
        issuer=settings.of_listener(listener, "sasl.oauthbearer.expected.issuer"),
        user_claim=settings.of_listener(listener, "sasl.oauthbearer.sub.claim.name"),
        skew_seconds=settings.of_listener(listener, "sasl.oauthbearer.clock.skew.seconds"),
    )
    return lambda: OAuthBearer(keys, expected, SYSTEM_CLOCK)


def _rules(settings: Settings, listener: str) -> PrincipalRules:
    try:
        return PrincipalRules(settings.of_listener(listener, "ssl.principal.mapping.rules"))
    except BadValue as problem:
        raise BadStart(f"ssl.principal.mapping.rules of listener {listener} {problem}") from None
