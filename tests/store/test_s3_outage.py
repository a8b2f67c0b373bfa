"""A store that is away for long: what its adapter holds in memory meanwhile."""

import asyncio
import gc
from collections.abc import Iterator

import pytest

from infra.aws import ClientOptions
from infra.errors import Unavailable
from infra.store.s3 import S3Store
from tests.chaos.store_proxy import Outage, StoreProxy, Weather
from tests.servers import closed_port

_FREED: list[int] = []


class Body(bytes):
    """Says when it is gone."""

    def __del__(self) -> None:
        _FREED.append(len(self))


@pytest.fixture
def collector_off() -> Iterator[None]:
    """What only the garbage collector would free stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("aws_credentials", "collector_off")
@pytest.mark.parametrize("outage", ["", "503", "reset"])
def test_a_create_that_failed_holds_its_body_no_longer(outage: Outage) -> None:
    """A flush of 64 MiB tries again every few seconds: bodies that wait for a full collection would fill the memory."""

    async def body() -> None:
        proxy = StoreProxy("127.0.0.1", closed_port(), "memory")
        await proxy.start()
        await proxy.set_weather("test", Weather(outage=outage))
        port = proxy.port if outage else closed_port()
        options = ClientOptions(endpoint=f"http://127.0.0.1:{port}", region="us-east-1")
        store = S3Store("bucket", options=options, patience_seconds=0.2)
        for size in (1000, 2000):
            with pytest.raises(Unavailable):
                await store.create("key", Body(size))
        await store.close()
        await proxy.close()

    _FREED.clear()
    asyncio.run(body())
    assert _FREED == [1000, 2000]
