"""A compactor process: run until it is told to end.

It serves no port. Its node told it what to do on stdin and reads its metrics from stdout; when stdin closes, the node
is gone, and so is the process within seconds: what was under way is abandoned, never half done.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from compactor.document import Document, Report
from compactor.meter import Meter
from compactor.process_parts import CompactorParts
from compactor.segment_output import Bench
from infra.clock import Clock
from infra.cluster.cluster import open_cluster
from infra.store.open import open_store
from infra.view.redis_view import RedisView

log = logging.getLogger(__name__)

LARGE_PUTS_AT_ONCE = 1  # 256 MiB at the most, which S3's client holds a second time
_REPORT_SECONDS = 1.0
_CANCEL_AGAIN_SECONDS = 1.0
_END_SECONDS = 10.0  # after that the process ends as it is: what is under way may be abandoned at any moment


async def run(document: Document, clock: Clock) -> None:
    """Compact until SIGTERM, or until the node is gone. Raises what ended the process by itself."""
    meter = Meter()
    async with _parts(document, clock, meter) as parts:
        await until_first(
            [
                asyncio.create_task(parts.state.run(), name="cluster state"),
                asyncio.create_task(parts.worker.run(), name="worker"),
                asyncio.create_task(report(meter, sys.stdout.fileno()), name="metrics"),
                asyncio.create_task(_told_to_end(), name="end"),
            ]
        )


def empty_folder(folder: Path) -> None:
    """Make the folder of files under way, without what an earlier process left."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("*.parquet"):
        left.unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def _parts(document: Document, clock: Clock, meter: Meter) -> AsyncIterator[CompactorParts]:
    settings = document.settings
    folder = settings.data / "compactor"
    empty_folder(folder)
    async with contextlib.AsyncExitStack() as stack:
        store = open_store(settings.bucket, observe=meter.asked_store, clock=clock)
        stack.push_async_callback(store.close)
        cluster = await open_cluster(store, clock)
        view = RedisView(document.redis_url, cluster.cluster_id, clock=clock)
        stack.push_async_callback(view.close)
        threads = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="compaction"))
        bench = Bench(store, folder, clock, threads, asyncio.Semaphore(LARGE_PUTS_AT_ONCE))
        parts = CompactorParts(document, clock, meter, store, view, bench, cluster.cluster_id)
        stack.push_async_callback(parts.tables.close)
        yield parts


async def until_first(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Run all until one ends, then end the others. Raises what that one raised."""
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        while left := [task for task in tasks if not task.done()]:
            for task in left:  # again and again: one that meets a time-out inside a library can get lost
                task.cancel()
            await asyncio.wait(left, timeout=_CANCEL_AGAIN_SECONDS)
        await asyncio.gather(*tasks, return_exceptions=True)


async def _told_to_end() -> None:
    """Return at SIGTERM or SIGINT, or when stdin closes."""
    loop = asyncio.get_running_loop()
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    closed = asyncio.create_task(reader.read())
    closed.add_done_callback(lambda _: end.set())
    try:
        await end.wait()
        last = threading.Timer(_END_SECONDS, os._exit, (1,))
        last.daemon = True
        last.start()
    finally:
        closed.cancel()
        transport.close()


async def report(meter: Meter, pipe: int) -> None:
    """Tell the node what has changed, until it is gone."""
    said: Report | None = None
    while True:
        now = Report.of(meter)
        if now != said:
            try:
                # Past Python's buffer, which would try to write once more when the process ends.
                await asyncio.to_thread(os.write, pipe, now.encode())
            except BrokenPipeError:
                return
            said = now
        await asyncio.sleep(_REPORT_SECONDS)
