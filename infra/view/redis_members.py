"""Sessions and leaders in Redis. Sessions lapse by Redis's own clock, so that all nodes agree."""

from infra.errors import Fenced
from infra.partition import Lease, PartitionId, SessionId
from infra.view.packing import (
    RELEASED,
    pack_leader,
    pack_session,
    parse_partition,
    partition_name,
    unpack_leader,
    unpack_session,
)
from infra.view.port import LiveSession, Members, Source
from infra.view.redis_calls import RedisCalls


class RedisMembers(RedisCalls):
    """`View`'s calls about sessions and leaders."""

    async def register(self, live: LiveSession, ttl_ms: int) -> None:
        """Enter a session. Raises `Fenced` when a later session of the node is known."""
        node_id, node_epoch = live.session
        sent_at = self._clock.monotonic()
        answer = await self._change(
            "register", (self._key("sessions"),), node_id, node_epoch, ttl_ms, pack_session(live)
        )
        if answer[0] == b"fenced":
            raise Fenced(f"session {live.session}: node {node_id} has registered again as {node_id}.{answer[1]}")
        if self._gone_back is not None:
            self._gone_back.renewed(live.session, sent_at + ttl_ms / 1000)

    async def renew(self, session: SessionId, ttl_ms: int) -> bool:
        """Renew; False when the session has lapsed or was dropped."""
        sent_at = self._clock.monotonic()
        answer = await self._run("renew", (self._key("sessions"),), session.node_id, session.node_epoch, ttl_ms)
        renewed = bool(answer[0] == b"ok")
        if self._gone_back is not None and renewed:
            self._gone_back.renewed(session, sent_at + ttl_ms / 1000)
        elif self._gone_back is not None and answer[1] <= session.node_epoch:
            self._gone_back.lapsed(session, self._clock.monotonic())
        return renewed

    async def drop_session(self, session: SessionId) -> None:
        """Leave: the session is over at once."""
        if self._gone_back is not None:
            self._gone_back.dropped(session)
        await self._change("drop_session", (self._key("sessions"),), session.node_id, session.node_epoch)

    async def members(self) -> Members:
        """Who renews. Its generation is for polling: read the rest when it, or the source, is another one."""
        incarnation = self._token
        _, server, generation, live = await self._change("members", (self._key("sessions"),))
        if self._gone_back is not None:
            self._gone_back.saw_generation(int(generation))
            self._check_trust("reading the generation")
        found = [
            unpack_session(SessionId(int(node_id), int(node_epoch)), said)
            for node_id, node_epoch, said in zip(live[::3], live[1::3], live[2::3], strict=True)
        ]
        by_node = tuple(sorted(found, key=lambda session: session.session))
        return Members(Source(incarnation, server.decode()), int(generation), by_node)

    async def set_leader(self, lease: Lease) -> bool:
        """Tell that a lease was taken; False when a higher leader epoch is known already, or this one is over."""
        keys = (self._key("leaders"), self._key("ends"))
        answer = await self._change("set_leader", keys, partition_name(lease.partition), pack_leader(lease))
        return bool(answer[0] == b"ok")

    async def clear_leader(self, lease: Lease) -> None:
        """Tell that a lease was released; no effect when a higher epoch is known."""
        released = lease._replace(session=SessionId(RELEASED, lease.session.node_epoch))
        await self._change(
            "clear_leader", (self._key("leaders"),), partition_name(lease.partition), pack_leader(released)
        )

    async def leaders(self) -> dict[PartitionId, Lease]:
        """Every partition with a known leader (its session may have lapsed)."""
        found: dict[PartitionId, Lease] = {}
        for name, packed in (await self._scan(self._key("leaders"))).items():
            partition = parse_partition(name)
            lease = unpack_leader(partition, packed)
            if lease is not None:
                found[partition] = lease
        return found
