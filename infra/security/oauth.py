"""OAUTHBEARER (RFC 7628) as a server speaks it, and the key set that tokens are looked at with.

The key set is read from a URL or a file when the first token comes, again after its time, and when a token names a key
that is not in it; then not again at once, whoever asks.
"""

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from infra.clock import Clock
from infra.errors import Unavailable
from infra.security.mechanisms import NotAuthentic, Step

if TYPE_CHECKING:
    from infra.security.jwt import Claims, Expected, Key

_log = logging.getLogger(__name__)

_FIRST = re.compile(r"n,(?:a=([^,\x01]*))?,\x01(?:.*\x01)?auth=[Bb]earer +([A-Za-z0-9._~+/=-]+)\x01.*\x01", re.DOTALL)
_FETCH_SECONDS = 10.0
_MOST_BYTES = 1 << 20  # of a key set
_SOONEST_AGAIN_SECONDS = 10.0

Fetch = Callable[[str], Awaitable[bytes]]


async def fetch_key_set(url: str) -> bytes:
    """What stands at an http, https or file URL. Raises `Unavailable`."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        try:
            return await asyncio.to_thread(Path(unquote(parts.path)).read_bytes)
        except OSError as error:
            raise Unavailable(f"the key set {url} cannot be read: {error.strerror}") from None
    import aiohttp  # half a second that only those pay who use it

    try:
        timeout = aiohttp.ClientTimeout(total=_FETCH_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            response.raise_for_status()
            body = await response.content.read(_MOST_BYTES + 1)
            while len(body) <= _MOST_BYTES and (more := await response.content.read(_MOST_BYTES)):
                body += more
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unavailable(f"the key set {url} cannot be read: {str(error) or type(error).__name__}") from None
    if len(body) > _MOST_BYTES:
        raise Unavailable(f"the key set {url} is longer than {_MOST_BYTES} bytes")
    return body


class KeySet:
    """The keys, as they were read last."""

    def __init__(self, url: str, refresh_seconds: float, clock: Clock, fetch: Fetch = fetch_key_set) -> None:
        self._url = url
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._fetch = fetch
        self._keys: Mapping[str, Key] = {}
        self._tried_at: float | None = None
        self._reading = asyncio.Lock()

    async def keys(self, *, newer: bool = False) -> "Mapping[str, Key]":
        """Those known, read again when it is time; with `newer` sooner, but not at once after the last time."""
        patience = _SOONEST_AGAIN_SECONDS if newer or not self._keys else self._refresh_seconds
        async with self._reading:
            now = self._clock.monotonic()
            if self._tried_at is None or now - self._tried_at >= patience:
                self._tried_at = now
                await self._read()
        return self._keys

    async def _read(self) -> None:
        from infra.security.jwt import BadToken, read_keys

        try:
            self._keys = await asyncio.to_thread(read_keys, await self._fetch(self._url))
        except (Unavailable, BadToken) as error:
            _log.warning("OAUTHBEARER goes on with the %d keys it has: %s", len(self._keys), error)


class OAuthBearer:
    """One exchange."""

    def __init__(self, keys: KeySet, expected: "Expected", clock: Clock) -> None:
        self._keys = keys
        self._expected = expected
        self._clock = clock
        self._refused = ""

    async def step(self, token: bytes) -> Step:
        from infra.security.jwt import BadToken

        if self._refused:  # the client has seen why, and said so
            raise NotAuthentic("Authentication failed: the token is not taken", self._refused)
        found = _FIRST.fullmatch(token.decode("utf-8", "replace"))
        if found is None:
            raise NotAuthentic("Authentication failed: Invalid OAUTHBEARER initial client response")
        try:
            claims = await self._verified(found[2])
        except BadToken as error:
            self._refused = str(error)
            return Step(json.dumps({"status": "invalid_token"}).encode())
        if found[1] and found[1] != claims.user:
            raise NotAuthentic("Authentication failed: Client requested an authorization id that is not the token's")
        return Step(user=claims.user, expires_ms=claims.expires_ms)

    async def _verified(self, token: str) -> "Claims":
        from infra.security.jwt import UnknownKey, verify

        now_ms = self._clock.now_ms()
        try:
            return verify(token, await self._keys.keys(), self._expected, now_ms)
        except UnknownKey:
            return verify(token, await self._keys.keys(newer=True), self._expected, now_ms)
