"""SaslAuthenticate: one step of a SASL exchange."""

from infra.wire.message import int16, int64, message, octets, string

API_KEY = 36


@message("0-2", flexible="2+")
class SaslAuthenticateRequest:
    """The question."""

    auth_bytes: bytes = octets()


@message("0-2", flexible="2+")
class SaslAuthenticateResponse:
    """The answer."""

    error_code: int = int16()
    error_message: str | None = string(nullable="0+")
    auth_bytes: bytes = octets()
    session_lifetime_ms: int = int64("1+")
