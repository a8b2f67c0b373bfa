"""Settings of one listener alone, however they are given."""

from pathlib import Path

import pytest

from infra.errors import BadStart
from infra.security.from_settings import node_security
from infra.settings import load_settings


def test_a_listener_has_its_own_or_those_of_all(tmp_path: Path) -> None:
    file = tmp_path / "cauce.toml"
    file.write_text('"ssl.client.auth" = "requested"\n[listener.name.in_side]\n"ssl.client.auth" = "none"\n')
    flags = {
        "listeners": "IN_SIDE://127.0.0.1:1,SSL://127.0.0.1:2,OUT://127.0.0.1:3",
        "listener.security.protocol.map": "IN_SIDE:SSL,SSL:SSL,OUT:SASL_SSL",
        "inter.broker.listener.name": "SSL",
    }
    variables = {"CAUCE_LISTENER_NAME_OUT_SASL_ENABLED_MECHANISMS": "PLAIN"}
    settings = load_settings(flags, file, variables)
    assert [settings.of_listener(name, "ssl.client.auth") for name in ("IN_SIDE", "SSL")] == ["none", "requested"]
    assert settings.of_listener("OUT", "sasl.enabled.mechanisms") == ("PLAIN",)
    assert settings.of_listener("SSL", "sasl.enabled.mechanisms") == ("SCRAM-SHA-256", "SCRAM-SHA-512")
    assert (settings.inter_broker_listener, settings.protocol_of("OUT")) == ("SSL", "SASL_SSL")
    underscored = {"CAUCE_LISTENER_NAME_IN_SIDE_SSL_CLIENT_AUTH": "required"}
    assert load_settings(flags, None, underscored).of_listener("IN_SIDE", "ssl.client.auth") == "required"


def test_nodes_need_a_mechanism_that_their_listener_has() -> None:
    flags = {
        "listeners": "SASL_PLAINTEXT://127.0.0.1:1",
        "sasl.enabled.mechanisms": "PLAIN",
        "cauce.inter.broker.password": "between-us",
    }
    with pytest.raises(BadStart, match=r"SCRAM-SHA-512.*PLAIN: add it there"):
        node_security(load_settings(flags, None, {}))
    assert node_security(load_settings({**flags, "sasl.mechanism.inter.broker.protocol": "PLAIN"}, None, {}))
