"""Health and metrics over HTTP, from a real client."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from cauce.http import HealthServer
from infra.errors import BadStart
from infra.metrics import Metrics


def _run(test: Callable[[str], Awaitable[None]], metrics: Metrics, problem: list[str | None]) -> None:
    async def main() -> None:
        server = HealthServer(
            "127.0.0.1", 0, metrics.registry, ready=lambda: problem[0], refresh=lambda: metrics.leases.inc()
        )
        await server.start()
        try:
            await test(f"http://{server.bound[0]}:{server.bound[1]}")
        finally:
            await server.close()

    asyncio.run(main())


def test_health_and_readiness() -> None:
    problem: list[str | None] = ["the store does not answer"]

    async def test(url: str) -> None:
        async with aiohttp.ClientSession(url) as client:
            async with client.get("/healthz") as answer:
                assert (answer.status, await answer.json()) == (200, {"status": "ok"})
            async with client.get("/readyz") as answer:
                assert answer.status == 503
                assert (await answer.json())["problem"] == "the store does not answer"
            problem[0] = None
            async with client.get("/readyz") as answer:
                assert (answer.status, await answer.json()) == (200, {"status": "ready"})
            async with client.get("/elsewhere") as answer:
                assert answer.status == 404

    _run(test, Metrics(), problem)


def test_metrics_are_refreshed_before_each_scrape() -> None:
    async def test(url: str) -> None:
        async with aiohttp.ClientSession(url) as client:
            for scrape in (1, 2):
                async with client.get("/metrics") as answer:
                    assert answer.content_type == "text/plain"
                    assert "version=" in answer.headers["Content-Type"]
                    assert f"cauce_leases {scrape}.0" in await answer.text()

    _run(test, Metrics(), [None])


def test_an_address_that_is_taken() -> None:
    async def main() -> None:
        registry = Metrics().registry
        first = HealthServer("127.0.0.1", 0, registry, ready=lambda: None, refresh=lambda: None)
        await first.start()
        second = HealthServer("127.0.0.1", first.bound[1], registry, ready=lambda: None, refresh=lambda: None)
        with pytest.raises(BadStart, match=r"cauce\.http=127\.0\.0\.1:\d+ cannot be listened on"):
            await second.start()
        await first.close()

    asyncio.run(main())
