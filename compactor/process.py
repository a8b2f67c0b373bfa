"""A compactor process: its parts made and joined, run until it is told to end.

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

from compactor.cleaning_pass import CleaningTools
from compactor.cleaning_step import Cleaning, CleaningLimits
from compactor.compaction import Compaction
from compactor.compaction_step import CompactionStep
from compactor.current_settings import CurrentSettings
from compactor.document import Document, Report
from compactor.footers import Footers
from compactor.garbage_limits import GarbageLimits
from compactor.meter import Meter
from compactor.planner import CompactionLimits
from compactor.reconcile import Garbage
from compactor.replace import Replacer
from compactor.retention_step import Retention
from compactor.schedule import Schedule
from compactor.segment_output import Bench
from compactor.table_step import TableLimits, Tables
from compactor.worker import Chore, Worker
from infra.clock import Clock
from infra.cluster.cluster import open_cluster
from infra.cluster.manifest import ManifestLedger
from infra.cluster.state import ClusterState, Topic
from infra.cluster.topics import TopicLedger
from infra.partition import PartitionId
from infra.settings import Settings
from infra.store.location import bucket_location
from infra.store.open import open_store
from infra.store.port import ObjectStore
from infra.table_config import catalog_properties
from infra.topic_config import TopicSettings, topic_settings
from infra.view.port import View
from infra.view.redis_view import RedisView

log = logging.getLogger(__name__)

FOOTER_BYTES = 32 << 20
LARGE_PUTS_AT_ONCE = 1  # 256 MiB at the most, which S3's client holds a second time
_REPORT_SECONDS = 1.0
_CANCEL_AGAIN_SECONDS = 1.0
_END_SECONDS = 10.0  # after that the process ends as it is: what is under way may be abandoned at any moment


async def run(document: Document, clock: Clock) -> None:
    """Compact until SIGTERM or the end of stdin. Raises what ended the process by itself."""
    meter = Meter()
    async with _worker(document, clock, meter) as (state, worker):
        await until_first(
            [
                asyncio.create_task(state.run(), name="cluster state"),
                asyncio.create_task(worker.run(), name="worker"),
                asyncio.create_task(_report(meter), name="metrics"),
                asyncio.create_task(_told_to_end(), name="end"),
            ]
        )


def empty_folder(folder: Path) -> None:
    """Make the folder of files under way, without what an earlier process left."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("*.parquet"):
        left.unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def _worker(document: Document, clock: Clock, meter: Meter) -> AsyncIterator[tuple[ClusterState, Worker]]:
    settings = document.settings
    folder = settings.data / "compactor"
    empty_folder(folder)
    async with contextlib.AsyncExitStack() as stack:
        store = open_store(settings.bucket, observe=meter.asked_store, clock=clock)
        stack.push_async_callback(store.close)
        cluster = await open_cluster(store, clock)
        view = RedisView(document.redis_url, cluster.cluster_id, clock=clock)
        stack.push_async_callback(view.close)
        state = ClusterState(view, clock, cluster.cluster_id)
        threads = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="compaction"))
        bench = Bench(store, folder, clock, threads, asyncio.Semaphore(LARGE_PUTS_AT_ONCE))
        replacer = Replacer(ManifestLedger(store), view)
        footers = Footers(store, FOOTER_BYTES)
        current = CurrentSettings(store, settings.durability)
        retention = Retention(
            replacer,
            footers,
            current,
            clock,
            interval_ms=settings["log.retention.check.interval.ms"],
            producer_expiration_ms=settings["producer.id.expiration.ms"],
        )
        compaction = Compaction(
            bench,
            replacer,
            footers,
            meter,
            cluster.cluster_id,
            producer_expiration_ms=settings["producer.id.expiration.ms"],
        )
        step = CompactionStep(compaction, replacer, _limits(settings), clock, meter)
        tools = CleaningTools(bench, replacer, meter, cluster.cluster_id)
        cleaning = Cleaning(tools, current, _cleaning_limits(settings))
        interval_seconds = settings["cauce.compaction.interval.ms"] / 1000
        owner = f"{document.node_id}.{clock.token()}"

        def settings_of(topic: Topic) -> TopicSettings:
            return topic_settings(topic.configs, state.broker_configs, settings.durability)

        def gone(partition: PartitionId) -> None:
            for each in (retention, step, cleaning, tables):
                each.forget(partition)

        tables = Tables(
            store=store,
            location=bucket_location(settings.bucket),
            catalog=catalog_properties(settings["cauce.table.catalog"]),
            folder=settings.data / "tables",
            limits=_table_limits(settings),
            state=state,
            settings_of=settings_of,
            topics=TopicLedger(store, view, clock),
            replacer=replacer,
            view=view,
            owner=owner,
            clock=clock,
            meter=meter,
        )
        stack.push_async_callback(tables.close)
        yield (
            state,
            Worker(
                state=state,
                view=view,
                replacer=replacer,
                steps=[retention, step, cleaning, tables],
                schedule=Schedule(interval_seconds, document.node_id),
                settings_of=settings_of,
                owner=owner,
                interval_seconds=interval_seconds,
                clock=clock,
                meter=meter,
                chores=[
                    Chore("tables", settings["cauce.garbage.interval.ms"] / 1000, tables.sweep),
                    _garbage(document, store, view, clock, replacer, tables),
                ],
                on_gone=gone,
            ),
        )


def _garbage(
    document: Document, store: ObjectStore, view: View, clock: Clock, replacer: Replacer, tables: Tables
) -> Chore:
    """Garbage collection of the whole bucket; a node that starts again goes on with it at once."""
    settings = document.settings
    interval_ms = settings["cauce.garbage.interval.ms"]
    limits = GarbageLimits(
        grace_ms=settings["cauce.garbage.grace.ms"],
        undelete_ms=settings["cauce.topic.undelete.ms"],
        interval_ms=interval_ms,
    )
    owner = f"node {document.node_id}"
    garbage = Garbage(store, view, clock, replacer, limits, owner=owner, named_by_tables=tables.named)
    return Chore("garbage collection", interval_ms / 1000, garbage.run)


def _limits(settings: Settings) -> CompactionLimits:
    return CompactionLimits(settings["cauce.compaction.bytes"], settings["cauce.compaction.age.ms"] / 1000)


def _cleaning_limits(settings: Settings) -> CleaningLimits:
    return CleaningLimits(
        settings["log.cleaner.enable"],
        settings["log.cleaner.backoff.ms"],
        settings["log.cleaner.dedupe.buffer.size"],
    )


def _table_limits(settings: Settings) -> TableLimits:
    return TableLimits(
        settings["cauce.table.commit.interval.ms"] / 1000,
        settings["cauce.table.snapshot.retention.ms"],
        settings["cauce.garbage.grace.ms"],
    )


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


async def _report(meter: Meter) -> None:
    said: Report | None = None
    while True:
        report = Report.of(meter)
        if report != said:
            await asyncio.to_thread(_say, report.encode())
            said = report
        await asyncio.sleep(_REPORT_SECONDS)


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
