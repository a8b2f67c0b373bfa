"""SaslHandshake: choose a SASL mechanism."""

from infra.wire.message import array, int16, message, string

API_KEY = 17


@message("0-1")
class SaslHandshakeRequest:
    """The question."""

    mechanism: str = string()


@message("0-1")
class SaslHandshakeResponse:
    """The answer."""

    error_code: int = int16()
    mechanisms: list[str] = array("string")
