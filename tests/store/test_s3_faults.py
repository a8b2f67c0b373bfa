"""The S3 store on a network that loses answers: no create is lost, none is claimed twice, none takes another's."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import pytest

from infra.aws import ClientOptions
from infra.clock import SYSTEM_CLOCK, Clock
from infra.errors import BadStart, Exists, NotFound, Unavailable
from infra.store.port import StoreRefuses
from infra.store.probe import probe_store
from infra.store.s3 import S3Store
from tests.servers import S3Server, closed_port
from tests.store.faulty_proxy import Fault, FaultyProxy

Test = Callable[[FaultyProxy, S3Store], Awaitable[None]]
# Seconds that a client waits where requests are counted: a busy server answers within them, so nothing is sent twice.
PATIENT = 20.0
SLOW = 3.0  # where something hangs as well, and is waited for


class Run(Protocol):
    def __call__(self, test: Test, read_seconds: float = ...) -> None: ...


class EagerClock(Clock):
    """Waits as little as it may between attempts."""

    def uniform(self, low: float, high: float) -> float:
        return 0.001


def _store(
    server: S3Server, endpoint: str, prefix: str, *, patience: float = 20.0, bucket: str = "", read_seconds: float = 0.5
) -> S3Store:
    options = ClientOptions(endpoint=endpoint, region="us-east-1", connect_seconds=2, read_seconds=read_seconds)
    return S3Store(bucket or server.bucket, prefix, options, patience_seconds=patience, clock=EagerClock())


@asynccontextmanager
async def _closing(store: S3Store) -> AsyncIterator[S3Store]:
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
def run(moto_server: S3Server) -> Run:
    """Runs a test on a store behind a faulty proxy, whose client waits so long for an answer."""

    def run(test: Test, read_seconds: float = 0.5) -> None:
        async def main() -> None:
            prefix = f"faults/{SYSTEM_CLOCK.token()}/"
            async with FaultyProxy(moto_server.endpoint).running() as proxy:
                async with _closing(_store(moto_server, proxy.endpoint, prefix, read_seconds=read_seconds)) as store:
                    await test(proxy, store)

        asyncio.run(main())

    return run


@pytest.mark.parametrize("fault", ["lose answer", "refuse", "503", "409", "hang"])
def test_a_create_gets_through(run: Run, fault: Fault) -> None:
    async def test(proxy: FaultyProxy, store: S3Store) -> None:
        proxy.faults["PUT"] = [fault, fault]
        await store.create("a/b", [b"bo", b"dy"])
        assert proxy.seen.count("PUT") == 3
        assert await store.get("a/b") == b"body"

    run(test, read_seconds=SLOW if fault == "hang" else PATIENT)


def test_a_lost_answer_is_known_by_the_writer_id(run: Run) -> None:
    async def test(proxy: FaultyProxy, store: S3Store) -> None:
        proxy.faults["PUT"] = ["lose answer"]
        proxy.faults["HEAD"] = ["503", "lose answer"]
        await store.create("a/b", b"body")
        assert proxy.seen.count("HEAD") == 3
        with pytest.raises(Exists):
            await store.create("a/b", b"body")

    run(test, read_seconds=PATIENT)


def test_another_writers_object_stays_a_refusal(run: Run) -> None:
    async def test(proxy: FaultyProxy, store: S3Store) -> None:
        await store.create("a/b", b"body")
        for fault in ("lose answer", "409", "503"):
            proxy.faults["PUT"] = [fault]
            with pytest.raises(Exists):
                await store.create("a/b", b"body")

    run(test)


def test_many_refused_at_once_look_once(run: Run) -> None:
    async def test(proxy: FaultyProxy, store: S3Store) -> None:
        await store.create("a/b", b"body")
        proxy.faults["HEAD"] = ["hang"]  # until all have been refused; then each looks for itself
        refused = await asyncio.gather(*(store.create("a/b", b"body") for _ in range(8)), return_exceptions=True)
        assert [type(error) for error in refused] == [Exists] * 8
        proxy.seen.clear()
        refused = await asyncio.gather(*(store.create("a/b", b"body") for _ in range(8)), return_exceptions=True)
        assert [type(error) for error in refused] == [Exists] * 8
        assert proxy.seen.count("PUT") == 8
        assert 1 <= proxy.seen.count("HEAD") < 8

    run(test, read_seconds=SLOW)


def test_one_that_gives_up_leaves_the_others_to_look(run: Run) -> None:
    async def test(proxy: FaultyProxy, store: S3Store) -> None:
        await store.create("a/b", b"body")
        proxy.faults["HEAD"] = ["hang"]
        first = asyncio.create_task(store.create("a/b", b"body"))
        await proxy.hanging.wait()
        second = asyncio.create_task(store.create("a/b", b"body"))
        for _ in range(1000):
            if proxy.seen.count("PUT") == 3:
                break
            await asyncio.sleep(0.01)
        assert proxy.seen.count("PUT") == 3
        first.cancel()
        with pytest.raises(Exists):
            await second

    run(test, read_seconds=PATIENT)


async def _give_up(store: S3Store, proxy: FaultyProxy, body: bytes) -> None:
    """Have the object made, and the create cancelled before it could know."""
    proxy.faults["PUT"] = ["lose answer"]
    proxy.faults["HEAD"] = ["hang"] * 100
    task = asyncio.create_task(store.create("a/b", body))
    await proxy.hanging.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    proxy.faults.clear()


def test_a_create_that_gave_up_knows_its_object_when_asked_again(run: Run) -> None:
    async def test(proxy: FaultyProxy, store: S3Store) -> None:
        await _give_up(store, proxy, b"body")
        await store.create("a/b", b"body")
        with pytest.raises(Exists):
            await store.create("a/b", b"body")

    run(test)


def test_another_body_does_not_take_what_an_earlier_create_made(run: Run) -> None:
    async def test(proxy: FaultyProxy, store: S3Store) -> None:
        await _give_up(store, proxy, b"body")
        with pytest.raises(Exists):
            await store.create("a/b", b"another")
        assert await store.get("a/b") == b"body"

    run(test)


@pytest.mark.parametrize("fault", ["lose answer", "refuse", "503", "cut body", "hang"])
def test_reads_get_through(run: Run, fault: Fault) -> None:
    async def test(proxy: FaultyProxy, store: S3Store) -> None:
        await store.create("a/b", b"0123456789")
        proxy.faults["GET"] = [fault]
        assert await store.get("a/b") == b"0123456789"
        proxy.faults["GET"] = [fault]
        assert await store.get_range("a/b", -4, 4) == b"6789"
        proxy.faults["GET"] = [fault]
        assert [info.key async for info in store.list("")] == ["a/b"]
        proxy.faults["HEAD"] = [fault] if fault != "cut body" else []
        assert await store.head("a/b") is not None
        proxy.faults["POST"] = [fault]
        await store.delete(["a/b"])
        with pytest.raises(NotFound):
            await store.get("a/b")

    run(test)


def test_listing_page_by_page(moto_server: S3Server) -> None:
    async def main() -> None:
        options = ClientOptions(endpoint=moto_server.endpoint, region="us-east-1")
        prefix = f"pages/{SYSTEM_CLOCK.token()}/"
        for page in (1, 2, 5, 6):
            async with _closing(S3Store(moto_server.bucket, prefix, options, page=page)) as store:
                keys = [f"a/{number}" for number in range(5)]
                if page == 1:
                    await asyncio.gather(*(store.create(key, b"") for key in keys))
                assert [info.key async for info in store.list("a/")] == keys
                assert [info.key async for info in store.list("a/", start_after="a/2")] == keys[3:]

    asyncio.run(main())


def test_two_prefixes_are_two_stores(moto_server: S3Server) -> None:
    async def main() -> None:
        token = SYSTEM_CLOCK.token()
        async with _closing(_store(moto_server, moto_server.endpoint, f"{token}/one/")) as one:
            async with _closing(_store(moto_server, moto_server.endpoint, f"{token}/two/")) as two:
                await one.create("key", b"1")
                await two.create("key", b"2")
                assert await one.get("key") == b"1"
                assert [info.key async for info in two.list("")] == ["key"]
                await one.delete(["key"])
                assert await two.get("key") == b"2"

    asyncio.run(main())


def test_a_server_that_is_not_there_is_unavailable(moto_server: S3Server) -> None:
    async def main() -> None:
        endpoint = f"http://127.0.0.1:{closed_port()}"
        async with _closing(_store(moto_server, endpoint, "", patience=0.2)) as store:
            for request in (store.create("a", b""), store.get("a"), store.head("a"), store.delete(["a"])):
                with pytest.raises(Unavailable, match="does not answer"):
                    await request
            with pytest.raises(Unavailable):
                await probe_store(store, "s3://bucket")

    asyncio.run(main())


def test_a_bucket_that_does_not_exist_is_a_bad_start(moto_server: S3Server) -> None:
    async def main() -> None:
        async with _closing(_store(moto_server, moto_server.endpoint, "", bucket="no-such-bucket")) as store:
            with pytest.raises(StoreRefuses, match="no such bucket"):
                await store.create("a", b"")
            with pytest.raises(BadStart, match="the bucket s3://no-such-bucket refuses this node: there is no such"):
                await probe_store(store, "s3://no-such-bucket")

    asyncio.run(main())


def test_no_credentials_are_a_bad_start(moto_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    async def main() -> None:
        async with _closing(_store(moto_server, moto_server.endpoint, "")) as store:
            with pytest.raises(BadStart, match="credentials"):
                await probe_store(store, "s3://bucket")

    asyncio.run(main())
