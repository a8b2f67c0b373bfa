"""A flush is published, and acknowledged, before its segment is in the bucket."""

import asyncio
from typing import Any

from ingest.acks import complete_all
from ingest.backoff import until_available
from ingest.flush import Flusher
from tests.planted import Patch


async def _carry(self: Flusher, flight: Any) -> None:
    loop = asyncio.get_running_loop()
    built = await loop.run_in_executor(
        self._threads, self._build, flight.key, flight.session, flight.parts, flight.holders
    )
    if flight.before is not None:
        await asyncio.shield(flight.before)
    by_partition = {part.log.partition: part.log for part in flight.parts}
    flushed = [(by_partition[one.extent.partition], one) for one in built.flushed]
    await self._publisher.publish(flight.session, flight.key, flushed)
    flight.published.set_result(True)
    for log, one in flushed:
        if not log.closed:
            complete_all(log.on_published(one))
    self._on_published()
    await until_available(self._clock, "the PUT", lambda: self._store.create(flight.key, built.body))


def plant(patch: Patch) -> None:
    patch(Flusher, "_carry", _carry)
