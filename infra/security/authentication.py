"""How one connection proves who it is: Kafka's states of SASL, decided without I/O of its own.

    versions ─ SaslHandshake ─▶ steps ─ SaslAuthenticate, once or more ─▶ complete ─ SaslHandshake ─▶ steps …
        └──────────────────── anything wrong ─────────────────────────────▶ failed

Before `complete` a client may ask for ApiVersions, SaslHandshake and SaslAuthenticate only, and not often. With a
lifetime (`connections.max.reauth.ms`, or a token's) it must authenticate again in time (KIP-368), as the same user and
by the same mechanism; after it every other request ends the connection.
"""

import enum
from collections.abc import Mapping

from infra.error_code import ErrorCode
from infra.security.mechanisms import MakeServer, NotAuthentic, SaslServer, Step
from infra.security.principal import ANONYMOUS, principal_of

SASL_HANDSHAKE, API_VERSIONS, SASL_AUTHENTICATE = 17, 18, 36  # API keys

_BEFORE = frozenset((SASL_HANDSHAKE, API_VERSIONS, SASL_AUTHENTICATE))
_MOST_REQUESTS_BEFORE = 16  # a client needs three to six
_SOONEST_AGAIN_SECONDS = 1.0  # Kafka's: each costs a hash or a signature


class Refusal(Exception):
    """What the client asked cannot be; `code` and text are told to it, `why` is for the log."""

    def __init__(self, code: ErrorCode, told: str, why: str = "") -> None:
        super().__init__(told)
        self.code = code
        self.why = why or told


class _State(enum.Enum):
    VERSIONS = enum.auto()
    STEPS = enum.auto()
    COMPLETE = enum.auto()
    FAILED = enum.auto()


class Authentication:
    """Of one connection. All moments are seconds, monotonic, but for `wall_ms`."""

    def __init__(self, mechanisms: Mapping[str, MakeServer], max_lifetime_seconds: float = 0.0) -> None:
        """`max_lifetime_seconds`: 0 is no limit."""
        self._mechanisms = mechanisms
        self._max_lifetime_seconds = max_lifetime_seconds
        self._state = _State.VERSIONS
        self._server: SaslServer | None = None
        self._mechanism = ""
        self._asked = 0
        self._since = 0.0
        self._expires_at: float | None = None
        self.principal = ANONYMOUS
        self.mechanism = ""  # by which it is complete

    @property
    def complete(self) -> bool:
        """Whether it is known who this is, so that anything may be asked."""
        return self._state is _State.COMPLETE

    @property
    def failed(self) -> bool:
        """Whether the connection is to be closed, once this has been told."""
        return self._state is _State.FAILED

    @property
    def mechanisms(self) -> list[str]:
        """Those that are offered."""
        return list(self._mechanisms)

    def refuses(self, api_key: int, now: float) -> str | None:
        """Why a request of this API ends the connection, None when it may be asked."""
        if self._state is _State.COMPLETE:
            if self._expires_at is None or now < self._expires_at or api_key == SASL_HANDSHAKE:
                return None
            return "its authentication has expired, and it did not authenticate again"
        self._asked += 1
        if api_key not in _BEFORE:
            return f"API key {api_key} before it is authenticated"
        return "too many requests before it is authenticated" if self._asked > _MOST_REQUESTS_BEFORE else None

    def handshake(self, mechanism: str, now: float) -> None:
        """Choose a mechanism. Raises `Refusal`."""
        if self._state is _State.COMPLETE:
            if now - self._since < _SOONEST_AGAIN_SECONDS:
                raise Refusal(ErrorCode.ILLEGAL_SASL_STATE, "SaslHandshake too soon after the authentication")
            if mechanism != self.mechanism:
                self._state = _State.FAILED
                raise Refusal(
                    ErrorCode.ILLEGAL_SASL_STATE, f"SASL mechanism {self.mechanism} cannot become {mechanism}"
                )
        elif self._state is not _State.VERSIONS:
            self._state = _State.FAILED
            raise Refusal(ErrorCode.ILLEGAL_SASL_STATE, "SaslHandshake after a SaslHandshake")
        make = self._mechanisms.get(mechanism)
        if make is None:
            self._state = _State.FAILED
            raise Refusal(
                ErrorCode.UNSUPPORTED_SASL_MECHANISM,
                f"mechanism {mechanism[:64]!r} is not enabled; enabled are {', '.join(self._mechanisms)}",
            )
        self._server, self._mechanism, self._asked = make(), mechanism, 0
        self._state = _State.STEPS

    async def authenticate(self, token: bytes) -> Step:
        """One message of the exchange; when its answer names a user, go on with `finish`. Raises `Refusal`."""
        if self._state is not _State.STEPS or self._server is None:
            if self._state is not _State.COMPLETE:
                self._state = _State.FAILED
            raise Refusal(ErrorCode.ILLEGAL_SASL_STATE, "SaslAuthenticate without a SaslHandshake before it")
        try:
            return await self._server.step(token)
        except NotAuthentic as refused:
            self._state = _State.FAILED
            raise Refusal(ErrorCode.SASL_AUTHENTICATION_FAILED, str(refused), refused.why) from None

    def finish(self, step: Step, now: float, wall_ms: int) -> float:
        """It is known who this is; how long that holds in seconds, 0 for ever. Raises `Refusal`."""
        assert step.user is not None
        principal = principal_of(step.user)
        if self.mechanism and principal != self.principal:
            self._state = _State.FAILED
            told = "Cannot change principals during re-authentication"
            raise Refusal(ErrorCode.SASL_AUTHENTICATION_FAILED, told, f"{told} from {self.principal} to {principal}")
        self.principal, self.mechanism, self._server = principal, self._mechanism, None
        self._state, self._since = _State.COMPLETE, now
        limits = [self._max_lifetime_seconds] if self._max_lifetime_seconds else []
        if step.expires_ms is not None:
            limits.append(max(0.0, (step.expires_ms - wall_ms) / 1000))
        self._expires_at = now + min(limits) if limits else None
        return min(limits, default=0.0)
