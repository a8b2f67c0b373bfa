"""The SASL mechanisms by password, as a server speaks them: one object for each exchange, a step for each message."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from infra.security.scram import ScramRefused, ScramServer, fresh_nonce
from infra.security.users import Users

_GUESSES_AT_ONCE = 2  # hashing for PLAIN takes a thread for milliseconds: guessing must not take all of them


class NotAuthentic(Exception):
    """The client is not let in. The text is told to it; `why` is for the log."""

    def __init__(self, told: str, why: str = "") -> None:
        super().__init__(told)
        self.why = why or told


@dataclass(frozen=True, slots=True)
class Step:
    """What the server answers; `user` once it knows who that is, `expires_ms` (wall clock) if that ends by itself."""

    answer: bytes = b""
    user: str | None = None
    expires_ms: int | None = None


class SaslServer(Protocol):
    """One exchange."""

    async def step(self, token: bytes) -> Step:
        """Take the client's next message. Raises `NotAuthentic`."""


MakeServer = Callable[[], SaslServer]


class Plain:
    """PLAIN (RFC 4616)."""

    def __init__(self, users: Users, gate: asyncio.Semaphore) -> None:
        self._users = users
        self._gate = gate

    async def step(self, token: bytes) -> Step:
        try:
            authorization_id, user, password = token.decode().split("\0")
        except ValueError:  # of UTF-8 too
            raise NotAuthentic("Invalid SASL/PLAIN response: expected 3 tokens") from None
        if not user or not password:
            raise NotAuthentic("Authentication failed: username and password must be specified")
        if authorization_id not in ("", user):
            raise NotAuthentic("Authentication failed: Client requested an authorization id that is not the username")
        async with self._gate:
            proven = await asyncio.to_thread(self._users.proves, user, password)
        if not proven:
            raise NotAuthentic("Authentication failed: Invalid username or password", f"user {user!r}")
        return Step(user=user)


class Scram:
    """SCRAM with one of its hashes."""

    def __init__(self, mechanism: str, users: Users) -> None:
        self._mechanism = mechanism
        self._server = ScramServer(
            mechanism,
            lambda user: users.credential(mechanism, user),
            fresh_nonce(),
            lambda user: users.pretended(mechanism, user),
        )
        self._asked = False

    async def step(self, token: bytes) -> Step:
        try:
            if not self._asked:
                self._asked = True
                return Step(self._server.first(token))
            return Step(self._server.final(token), self._server.user)
        except ScramRefused as refused:
            raise NotAuthentic(
                f"Authentication failed during authentication due to invalid credentials with SASL mechanism "
                f"{self._mechanism}",
                f"user {self._server.user!r}: {refused}",
            ) from None


def password_mechanism(name: str, users: Users) -> MakeServer:
    """PLAIN or a SCRAM."""
    if name == "PLAIN":
        gate = asyncio.Semaphore(_GUESSES_AT_ONCE)
        return lambda: Plain(users, gate)
    return lambda: Scram(name, users)
