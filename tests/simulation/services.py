"""Faults of the store and of Redis: away, slow, forgetful; and the small chances that every request of a run has."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

from infra.view.memory_server import MemoryState
from tests.simulation.bucket import BUCKET
from tests.simulation.cluster import Cluster
from tests.simulation.network import Weather
from tests.simulation.redis import REDIS

_LATE_SECONDS = 25.0  # well within the grace of garbage


class Services:
    """One a run. Nothing gets worse once it is `over`."""

    def __init__(self, cluster: Cluster, random: Random) -> None:
        self.over = False
        self.random = random
        self._cluster = cluster
        self._snapshot: MemoryState | None = None

    def drizzle(self, nodes: Sequence[str]) -> None:
        """Small chances of everything, at every request of this run."""
        for name in (BUCKET, REDIS, *nodes):
            self._cluster.network.weather[name] = self._fair()
        self._cluster.network.weather[BUCKET].latency_seconds = self.random.choice((0.004, 0.02, 0.1))

    def remember(self) -> None:
        """Take a copy of Redis, to set it back to."""
        if self._snapshot is None:
            self._snapshot = self._cluster.redis.snapshot()

    async def hold_back(self, name: str) -> None:
        """For a moment, most of what a service is asked arrives long after."""
        self._weather(name, late=0.6, late_seconds=_LATE_SECONDS)
        await self._for_a_while(2.0)
        self._calm(name)

    # Redis

    async def redis_down(self) -> None:
        """Redis is away."""
        self._count("Redis down")
        self._weather(REDIS, down=True)
        await self._for_a_while(self.random.choice((3.0, 12.0)))
        self._weather(REDIS, down=False)

    async def redis_wiped(self) -> None:
        """Redis has forgotten everything."""
        self._count("Redis wiped")
        self._cluster.redis.wipe()

    async def redis_stale(self) -> None:
        """Redis is what it was a while ago."""
        if self._snapshot is None:
            self._snapshot = self._cluster.redis.snapshot()
            await self._for_a_while(10.0)
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is not None and not self.over:
            self._count("Redis stale")
            self._cluster.redis.restore(snapshot)

    async def redis_weather(self) -> None:
        """Redis is slow, and some of its messages get lost."""
        self._count("Redis weather")
        self._weather(REDIS, latency_seconds=self.random.choice((0.05, 0.3)), **self._storm())
        await self._for_a_while(6.0)
        self._calm(REDIS)

    # Store

    async def store_down(self) -> None:
        """The store is away."""
        self._count("store down")
        self._weather(BUCKET, down=True)
        await self._for_a_while(self.random.choice((3.0, 20.0)))
        self._weather(BUCKET, down=False)

    async def store_weather(self) -> None:
        """The store is slow, and some of its messages get lost."""
        self._count("store weather")
        self._weather(BUCKET, latency_seconds=self.random.choice((0.05, 0.3, 1.0)), **self._storm())
        await self._for_a_while(8.0)
        self._calm(BUCKET)

    def _storm(self) -> dict[str, float]:
        names = ("refused", "lost_before", "lost_after", "late")
        storm = {name: self.random.choice((0.0, 0.1, 0.4)) for name in names}
        return {**storm, "late_seconds": self.random.choice((8.0, _LATE_SECONDS))}

    def _calm(self, name: str) -> None:
        if not self.over:
            self._cluster.network.weather[name] = replace(
                self._fair(), down=self._cluster.network.weather_of(name).down
            )

    def _weather(self, name: str, **changes: Any) -> None:
        if not self.over:
            weather = self._cluster.network.weather
            weather[name] = replace(weather[name], **changes)

    def _fair(self) -> Weather:
        draw = self.random
        scale = draw.choice((0.0, 0.003, 0.02))
        return Weather(
            latency_seconds=draw.choice((0.001, 0.004, 0.02)),
            refused=scale * draw.random(),
            lost_before=scale * draw.random() / 2,
            lost_after=scale * draw.random() / 2,
            late=scale * draw.random(),
        )

    async def _for_a_while(self, most: float) -> None:
        await asyncio.sleep(self.random.uniform(0.2, most))

    def _count(self, kind: str) -> None:
        self._cluster.network.count(kind)
