"""The view on a real Redis or Valkey: the calls of its parts under one client, and the incarnation they are made under.

All keys of a cluster share one hash tag, `{cauce:<cluster id>}`, so that scripts are atomic on Redis Cluster too:

    incarnation, recovery, generation            strings            sessions            hash by node id
    leaders, ends, applied                       hash by partition  topics, settings    hash by id, by kind and name
    extents:<partition>                          list in order      producers:<partition>   hash by producer id
    offsets:<partition>, groups:<partition>      hashes             manifests           hash by partition
    work:<name>                                  string that lapses hints               channel
"""

from infra.view.hints import HintListener
from infra.view.port import ViewLost
from infra.view.redis_address import hint_addresses, open_redis
from infra.view.redis_catalogue import RedisCatalogue
from infra.view.redis_extents import RedisExtents
from infra.view.redis_manifests import RedisManifests
from infra.view.redis_members import RedisMembers
from infra.view.redis_offsets import RedisOffsets

_FORGET_AT_ONCE = 500  # keys


class RedisView(RedisMembers, RedisCatalogue, RedisExtents, RedisManifests, RedisOffsets):
    """`View` on Redis. One instance is one client: it carries the incarnation that `use` gave it.

    Reads raise `ViewLost` too, so that a wiped view is never taken for an empty cluster.
    """

    _listener: HintListener | None = None

    def sibling(self) -> "RedisView":
        """Another client of the same server and cluster."""
        return RedisView(self._url, self._cluster_id, self._timeout_s, self._clock, self._gone_back)

    async def incarnation(self) -> str | None:
        """The current incarnation, None when the view is empty (wiped), or has gone back."""
        async with self._turn("reading the incarnation"):
            found = await self._client.get(self._key("incarnation"))
        if found is None or (self._gone_back is not None and found.decode() in self._gone_back.distrusted):
            return None
        return str(found.decode())

    async def use(self, incarnation: str) -> None:
        """The incarnation that this client's later calls carry."""
        self._token = incarnation
        if self._gone_back is not None:
            self._gone_back.use(incarnation)

    async def begin_rebuild(self, owner: str, ttl_ms: int) -> bool:
        """Take the recovery lock, or keep it for another ttl_ms; False while another holds it.

        While the view has no incarnation, the calls of the client that holds the lock are let through.
        """
        taken = bool(await self._eval("lock", (self._key("recovery"),), (_lock_token(owner), ttl_ms, 1)))
        if taken:
            self._token = _lock_token(owner)
        return taken

    async def keep_rebuild(self, owner: str, ttl_ms: int) -> bool:
        """Hold the recovery lock for another ttl_ms; False when it is lost, also when nobody holds it."""
        return bool(await self._eval("lock", (self._key("recovery"),), (_lock_token(owner), ttl_ms, 0)))

    async def wipe(self, owner: str) -> None:
        """Forget everything, beginning with the incarnation. Needs the recovery lock, else raises `ViewLost`."""
        token = _lock_token(owner)
        answer = await self._eval("begin_wipe", (self._key("incarnation"), self._key("recovery")), (token,))
        if answer[0] == b"lost":
            raise ViewLost(f"wipe: the recovery lock is not held by {owner}")
        self._token = token
        names = {name for field in ("ends", "applied", "leaders") for name in await self._scan(self._key(field))}
        kinds = ("extents", "producers", "offsets", "groups")
        keys = [self._key(kind, name) for name in sorted(names) for kind in kinds]
        for start in range(0, len(keys), _FORGET_AT_ONCE):
            await self._run("forget", keys[start : start + _FORGET_AT_ONCE])
        fixed = ("sessions", "topics", "settings", "leaders", "ends", "applied", "manifests")
        await self._run("forget", [self._key(name) for name in fixed])

    async def install(self, owner: str, incarnation: str) -> None:
        """Finish a rebuild: set the new incarnation and let the lock go; later calls carry it. Needs the lock."""
        self._token = _lock_token(owner)
        try:
            await self._change("install", (), incarnation)
        except ViewLost:
            if await self.incarnation() != incarnation:  # else an earlier try of ours was applied
                raise
        await self.use(incarnation)

    async def wait_hint(self, timeout: float) -> bool:
        """Return when what `generation` counts has changed (True), or after `timeout` seconds (False).

        Hints can get lost and need not mean anything: read `generation` after it in both cases.
        """
        if self._listener is None:
            clients = [open_redis(one, self._timeout_s, None) for one in hint_addresses(self._address)]
            self._listener = HintListener(clients, self._hints)
        return await self._listener.wait(timeout)

    async def close(self) -> None:
        """Give back connections."""
        if self._listener is not None:
            await self._listener.close()
            self._listener = None
        await self._client.aclose()


def _lock_token(owner: str) -> str:
    return f"rebuild:{owner}"
