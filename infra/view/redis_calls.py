"""The connection to Redis under the view: keys, scripts, reads that notice a wipe, foreign errors translated.

A script or read whose answer was lost is never sent again from here: the caller repeats it, every script allows that.
Knows nothing of what the keys hold.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Sequence
from importlib import resources
from typing import Any

from redis.exceptions import NoScriptError, RedisError

from infra.clock import SYSTEM_CLOCK, Clock
from infra.errors import Unavailable
from infra.view.gone_back import GoneBack
from infra.view.port import ViewLost
from infra.view.redis_address import open_redis, parse_redis

_WITHOUT_PRELUDE = frozenset({"lock", "begin_wipe"})
_PAGE = 1_000  # fields of a hash in one HSCAN: a fraction of a millisecond of Redis's one thread
_AT_ONCE = 16  # calls in the air, a connection each; Redis works through them one by one anyway

Argument = bytes | str | int


class _Script:
    """A Lua script of this package, with the prelude, and the hash Redis knows it by."""

    def __init__(self, name: str) -> None:
        folder = resources.files("infra.view") / "scripts"
        prelude = "" if name in _WITHOUT_PRELUDE else (folder / "prelude.lua").read_text("utf-8")
        self.text = prelude + (folder / f"{name}.lua").read_text("utf-8")
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class RedisCalls:
    """Base of the view's parts: one Redis, one cluster, one token (the incarnation that calls are made under)."""

    def __init__(
        self,
        url: str,
        cluster_id: str,
        timeout_s: float = 5.0,
        clock: Clock = SYSTEM_CLOCK,
        gone_back: GoneBack | None = None,
    ) -> None:
        """`url` as `infra.view.redis_address` draws it; raises `BadStart` when it cannot be used.

        `gone_back` is for a client that rebuilds a lost view: one that has gone back is lost for it.
        """
        self._gone_back = gone_back
        self._url = url
        self._address = parse_redis(url)
        self._cluster_id = cluster_id
        self._clock = clock
        self._prefix = f"{{cauce:{cluster_id}}}:"
        self._timeout_s = timeout_s
        self._client = open_redis(self._address, timeout_s, timeout_s)
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._scripts: dict[str, _Script] = {}
        self._token = ""
        self._writer = clock.token()  # names this client's spare keys

    def _key(self, name: str, of: bytes = b"") -> bytes:
        """`{cauce:<cluster id>}:<name>`, or `…:<name>:<of>`."""
        key = (self._prefix + name).encode()
        return key + b":" + of if of else key

    @property
    def _hints(self) -> bytes:
        return self._key("hints")

    @contextlib.asynccontextmanager
    async def _turn(self, doing: str) -> AsyncIterator[None]:
        """One call's turn. Turns Redis's and the socket's errors, and a turn that does not come, into `Unavailable`."""
        task = asyncio.current_task()
        cancels = task.cancelling() if task else 0
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._turns.acquire()
        except TimeoutError:
            raise Unavailable(f"Redis, {doing}: too many calls are waiting for an answer") from None
        try:
            yield
        except (RedisError, OSError) as error:
            raise Unavailable(f"Redis, {doing}: {error!r}") from error
        finally:
            self._turns.release()
        # The client sends within `wait_for`, which before Python 3.12 loses a cancellation that comes as it ends.
        if task and task.cancelling() > cancels:
            raise asyncio.CancelledError

    async def _eval(self, name: str, keys: Sequence[bytes], arguments: Sequence[Argument]) -> Any:
        """Run a script as it is; loads it when Redis does not know it yet."""
        script = self._scripts.get(name)
        if script is None:
            script = self._scripts[name] = _Script(name)
        async with self._turn(name):
            try:
                return await self._client.evalsha(script.sha, len(keys), *keys, *arguments)
            except NoScriptError:
                return await self._client.eval(script.text, len(keys), *keys, *arguments)

    async def _run(self, name: str, keys: Sequence[bytes], *arguments: Argument) -> list[Any]:
        """Run a script under the token. Answers what it answered, the verdict first. Raises `ViewLost`."""
        self._check_trust(name)
        every = (self._key("incarnation"), self._key("recovery"), *keys)
        answer: list[Any] = await self._eval(name, every, (self._token or "none", *arguments))
        if answer[0] == b"lost":
            raise ViewLost(f"{name}: the view is empty or of another incarnation than {self._token or 'none'}")
        return answer

    def _check_trust(self, doing: str) -> None:
        if self._gone_back is not None and self._token in self._gone_back.distrusted:
            raise ViewLost(f"{doing}: the view has gone back to an older state of incarnation {self._token}")

    async def _change(self, name: str, keys: Sequence[bytes], *arguments: Argument) -> list[Any]:
        """Like `_run`, for scripts that may raise the generation and give a hint."""
        return await self._run(name, (self._key("generation"), *keys), self._hints, *arguments)

    async def _read(self, *commands: tuple[Argument, ...]) -> list[Any]:
        """Answers of plain commands. The incarnation is read after them: had they met a wiped view, it would show."""
        self._check_trust("reading")
        async with self._turn("reading"), self._client.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            pipeline.execute_command("GET", self._key("incarnation"))
            pipeline.execute_command("GET", self._key("recovery"))
            answers: list[Any] = await pipeline.execute()
        if (answers[-2] or answers[-1] or b"") != self._token.encode() or not self._token:
            raise ViewLost(f"the view is empty or of another incarnation than {self._token or 'none'}")
        return answers[:-2]

    async def _pages(self, key: bytes, match: bytes = b"*") -> AsyncIterator[dict[bytes, bytes]]:
        """A hash in pages, so that Redis is never busy with it for long; a field may come twice."""
        cursor: Any = 0
        while True:
            ((cursor, page),) = await self._read(("HSCAN", key, cursor, "MATCH", match, "COUNT", _PAGE))
            if not isinstance(page, dict):  # the raw answer of some clients: field, value, field, value …
                page = dict(zip(page[::2], page[1::2], strict=True))
            yield page
            if int(cursor) == 0:
                return

    async def _scan(self, key: bytes, match: bytes = b"*") -> dict[bytes, bytes]:
        """A whole hash, in pages."""
        fields: dict[bytes, bytes] = {}
        async for page in self._pages(key, match):
            fields.update(page)
        return fields
