"""A view that has gone back is taken for empty by whoever can rebuild it, and never by mistake."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import redis

from infra.partition import SessionId
from infra.store.memory import MemoryObjectStore
from infra.view.embedded import EmbeddedRedis
from infra.view.gone_back import GoneBack
from infra.view.port import ViewLost
from infra.view.rebuild import rebuild
from infra.view.redis_view import RedisView
from tests.view.builders import P0, SESSION, lease, live
from tests.view.old_copy import OldCopy
from tests.view.redis_server import RunningRedis, flush, running_redis, until
from tests.view.test_rebuild import read_extents

_TTL_MS = 60_000


@pytest.fixture(scope="module")
def running() -> Iterator[RunningRedis]:
    with running_redis() as server:
        yield server


def _run(running: RunningRedis, body: Callable[[RedisView, OldCopy], Awaitable[None]]) -> None:
    async def main() -> None:
        flush(running.url)
        view = RedisView(running.url, "c", gone_back=GoneBack())
        await rebuild(view, MemoryObjectStore(), read_extents)
        with contextlib.closing(redis.Redis.from_url(running.url)) as client:
            await body(view, OldCopy(client))
        await view.close()

    asyncio.run(main())


async def _rebuilt(view: RedisView, before: str | None) -> None:
    assert await view.incarnation() is None
    with pytest.raises(ViewLost):
        await view.leaders()
    with pytest.raises(ViewLost):
        await view.topics()
    after = await rebuild(view, MemoryObjectStore(), read_extents)
    assert after != before
    assert await view.leaders() == {}
    await view.register(live(), _TTL_MS)
    assert await view.renew(SESSION, _TTL_MS)


def test_a_lower_generation(running: RunningRedis) -> None:
    async def body(view: RedisView, copy: OldCopy) -> None:
        before = await view.incarnation()
        copy.take()
        await view.set_leader(lease(0))
        await view.members()
        copy.put_back()
        with pytest.raises(ViewLost, match="gone back"):
            await view.members()
        await _rebuilt(view, before)

    _run(running, body)


def test_a_session_that_cannot_have_lapsed(running: RunningRedis) -> None:
    async def body(view: RedisView, copy: OldCopy) -> None:
        before = await view.incarnation()
        copy.take()
        await view.register(live(), _TTL_MS)
        copy.put_back()
        assert not await view.renew(SESSION, _TTL_MS)
        await _rebuilt(view, before)

    _run(running, body)


def test_an_incarnation_that_another_has_followed(running: RunningRedis) -> None:
    async def body(view: RedisView, copy: OldCopy) -> None:
        copy.take()
        before = await rebuild(view, MemoryObjectStore(), read_extents, force=True)
        await view.set_leader(lease(0))
        copy.put_back()
        await _rebuilt(view, before)

    _run(running, body)


def test_what_shows_nothing(running: RunningRedis) -> None:
    async def body(view: RedisView, copy: OldCopy) -> None:
        later = SessionId(SESSION.node_id, SESSION.node_epoch + 1)
        other = RedisView(running.url, "c")
        incarnation = await view.incarnation()
        assert incarnation is not None
        await other.use(incarnation)
        await view.register(live(), 1)
        await asyncio.sleep(0.02)
        assert not await view.renew(SESSION, 1)  # it has lapsed
        await view.register(live(), _TTL_MS)
        await other.register(live(later), _TTL_MS)
        assert not await view.renew(SESSION, _TTL_MS)  # its node has registered again
        await view.register(live(later), _TTL_MS)
        await view.drop_session(later)
        assert not await view.renew(later, _TTL_MS)
        copy.take()
        copy.put_back()  # nothing is lost by that
        await view.members()
        assert await view.incarnation() == incarnation
        await view.set_leader(lease(3))
        assert await view.leaders() == {P0: lease(3)}
        await other.close()

    _run(running, body)


def test_a_server_that_was_started_again_is_another_source(tmp_path: Path) -> None:
    async def main() -> None:
        server = EmbeddedRedis(tmp_path)
        view = RedisView(await server.start(), "c", gone_back=GoneBack())
        other = view.sibling()
        await other.use(await rebuild(view, MemoryObjectStore(), read_extents))
        await view.register(live(), _TTL_MS)
        before = await view.members()
        assert (await other.members()).source == before.source
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await until(lambda: answers(view))
        after = await view.members()
        assert after.source.incarnation == before.source.incarnation
        assert after.sessions == before.sessions
        assert after.source != before.source
        assert (await other.members()).source == after.source
        await view.close()
        await other.close()
        await server.stop()

    asyncio.run(main())


async def answers(view: RedisView) -> bool:
    return await view.incarnation() is not None


def test_where_the_server_may_not_be_asked_for_its_name_there_is_one_source(running: RunningRedis) -> None:
    async def main() -> None:
        flush(running.url)
        with contextlib.closing(redis.Redis.from_url(running.url)) as client:
            client.execute_command("ACL", "SETUSER", "node", "on", ">secret", "~*", "&*", "+@all", "-info")
        view = RedisView(running.url.replace("://", "://node:secret@", 1), "c")
        incarnation = await rebuild(view, MemoryObjectStore(), read_extents)
        await view.register(live(), _TTL_MS)
        members = await view.members()
        assert (members.source, members.sessions) == ((incarnation, ""), (live(),))
        await view.close()

    asyncio.run(main())
