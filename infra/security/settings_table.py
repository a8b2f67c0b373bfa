"""The settings of a node that say whom it lets in: Kafka's names where Kafka has one. Part of `infra.settings_table`.

Those of `LISTENER_SETTINGS` can be given for one listener alone, as `listener.name.NAME.SETTING`.
"""

from infra.config_value import ConfigDef, ConfigType

_B, _S, _I, _L, _LIST = ConfigType.BOOLEAN, ConfigType.STRING, ConfigType.INT, ConfigType.LONG, ConfigType.LIST
_SECRET = ConfigType.PASSWORD

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")

_LISTENER_SETTINGS = (
    ConfigDef("ssl.keystore.type", _S, "PEM", "Only PEM files (KIP-651) are taken.", choices=("PEM",)),
    ConfigDef(
        "ssl.keystore.location",
        _S,
        "",
        "PEM file of the private key and the certificate with its chain. Read again when it changes.",
    ),
    ConfigDef("ssl.keystore.key", _SECRET, "", "The private key itself, as PEM, in place of a file."),
    ConfigDef(
        "ssl.keystore.certificate.chain", _S, "", "The certificate and its chain, as PEM, beside ssl.keystore.key."
    ),
    ConfigDef("ssl.key.password", _SECRET, "", "Password of the private key."),
    ConfigDef("ssl.truststore.type", _S, "PEM", "Only PEM files are taken.", choices=("PEM",)),
    ConfigDef(
        "ssl.truststore.location",
        _S,
        "",
        "PEM file of the authorities that certificates of clients, and of other nodes, must come from. Read again when "
        "it changes. Empty: none of clients is taken, and those of nodes must come from the system's authorities.",
    ),
    ConfigDef("ssl.truststore.certificates", _S, "", "The authorities themselves, as PEM, in place of a file."),
    ConfigDef(
        "ssl.client.auth",
        _S,
        "none",
        "Whether clients show a certificate. With a listener of protocol SSL, who they are comes from it.",
        choices=("none", "requested", "required"),
    ),
    ConfigDef("ssl.enabled.protocols", _LIST, "TLSv1.2,TLSv1.3", "Versions of TLS.", choices=("TLSv1.2", "TLSv1.3")),
    ConfigDef(
        "ssl.principal.mapping.rules",
        _S,
        "DEFAULT",
        "How the distinguished name of a certificate becomes a user: RULE:pattern/replacement/[LU] with commas "
        "between, the first that matches counts; DEFAULT is the whole name.",
    ),
    ConfigDef(
        "sasl.enabled.mechanisms",
        _LIST,
        "SCRAM-SHA-256,SCRAM-SHA-512",
        "How clients of listeners with SASL may prove who they are. PLAIN sends passwords as they are: with TLS only.",
        choices=MECHANISMS,
    ),
    ConfigDef(
        "connections.max.reauth.ms",
        _L,
        "0",
        "A client authenticates again within so long, or is closed (KIP-368); 0: once is enough.",
        low=0,
    ),
    ConfigDef(
        "sasl.oauthbearer.jwks.endpoint.url",
        _S,
        "",
        "Where OAUTHBEARER finds the keys that tokens are signed by (a JWKS): https://…, http://… or file:///….",
    ),
    ConfigDef(
        "sasl.oauthbearer.jwks.endpoint.refresh.ms", _L, "3600000", "How often those keys are read again.", low=1000
    ),
    ConfigDef("sasl.oauthbearer.expected.issuer", _S, "", "Whose tokens are taken (claim iss)."),
    ConfigDef(
        "sasl.oauthbearer.expected.audience", _LIST, "", "Tokens are taken that are for one of these (claim aud)."
    ),
    ConfigDef("sasl.oauthbearer.sub.claim.name", _S, "sub", "The claim of a token that is the user."),
    ConfigDef(
        "sasl.oauthbearer.clock.skew.seconds", _I, "30", "How far the clocks of issuer and node may differ.", low=0
    ),
    ConfigDef(
        "ssl.endpoint.identification.algorithm",
        _S,
        "https",
        "Whether a node compares another's certificate with the address it reached it by; empty: it does not.",
        choices=("https", ""),
    ),
)

LISTENER_SETTINGS = frozenset(definition.name for definition in _LISTENER_SETTINGS)

SECURITY_SETTINGS = (
    ConfigDef(
        "listener.security.protocol.map",
        _LIST,
        "PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
        "NAME:PROTOCOL of each listener's name: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.",
    ),
    ConfigDef(
        "inter.broker.listener.name",
        _S,
        "",
        "Name of the listener by which nodes reach one another; empty: the first of listeners.",
    ),
    *_LISTENER_SETTINGS,
    ConfigDef(
        "cauce.ssl.reload.interval.ms", _L, "10000", "How often certificate files are looked at for changes.", low=10
    ),
    ConfigDef(
        "cauce.users",
        _SECRET,
        "",
        "NAME=PASSWORD, with commas between: users that this node knows by itself, such as the first, who adds others. "
        "Those go before users of the same name that were added.",
    ),
    ConfigDef(
        "sasl.mechanism.inter.broker.protocol",
        _S,
        "SCRAM-SHA-512",
        "How nodes prove to one another who they are, where their listener has SASL.",
        choices=MECHANISMS[:3],
    ),
    ConfigDef("cauce.inter.broker.user", _S, "cauce-node", "Who nodes are to one another; every node knows this user."),
    ConfigDef("cauce.inter.broker.password", _SECRET, "", "The password of that user, the same at every node."),
    ConfigDef(
        "sasl.server.max.receive.size",
        _I,
        "524288",
        "The largest request of a client that has not authenticated yet.",
        low=1024,
    ),
    ConfigDef(
        "connection.failed.authentication.delay.ms",
        _I,
        "100",
        "A refusal is answered so late, so that guessing takes time.",
        low=0,
        high=10_000,
    ),
    ConfigDef(
        "cauce.authentication.timeout.ms",
        _L,
        "30000",
        "How long a client's TLS handshake may take, and then its authentication.",
        low=100,
    ),
)
