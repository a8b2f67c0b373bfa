"""`cauce bucket ls`: what segments lie in a bucket, with their ranges and sizes. Reads only, needs no node."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn

from cauce.cli.options import AsJson
from cauce.cli.output import fail, print_rows, sentences

app = typer.Typer(help="Look into a bucket.", no_args_is_help=True)
_COLUMNS = [
    "topic",
    "partition",
    "first offset",
    "last offset",
    "leader epoch",
    "batches",
    "records",
    "bytes",
    "segment",
]


@app.callback()
def bucket() -> None:
    """Look into a bucket."""


@app.command("ls")
@sentences
def ls(
    topic: Annotated[str | None, typer.Argument(help="Only this topic.")] = None,
    bucket_url: Annotated[str | None, typer.Option("--bucket", help="s3://name/prefix or file:///folder.")] = None,
    data: Annotated[Path, typer.Option(help="Data folder of a node that keeps its bucket there.")] = Path("cauce-data"),
    as_json: AsJson = False,
) -> None:
    """List the extents of batch segments: which offsets of which partition lie in which object."""
    url = bucket_url or (data / "bucket").absolute().as_uri()
    if bucket_url is None and not (data / "bucket").is_dir():
        fail(f"there is no bucket in {data}; name one with --bucket, or the node's folder with --data")
    if url.startswith("file://") and not Path(unquote(urlsplit(url).path)).is_dir():
        fail(f"there is no folder {url}; name a bucket with --bucket, or a node's folder with --data")
    rows = asyncio.run(_rows(url, topic))
    print_rows(rows, _COLUMNS, as_json, empty="no segments yet: what was written is in the WAL until the first flush")


async def _rows(url: str, topic: str | None) -> list[dict[str, Any]]:
    from infra.cluster.records import ClusterRecord
    from infra.errors import NotFound
    from infra.object_key import CLUSTER
    from infra.store.open import open_store

    store = open_store(url)
    try:
        try:
            ClusterRecord.decode(await store.get(CLUSTER), CLUSTER)
        except NotFound:
            fail(f"there is no bucket of a cluster at {url}; name one with --bucket, or a node's folder with --data")
        names = await _topic_names(store)
        wanted = {topic_id for topic_id, name in names.items() if topic in (None, name)}
        if not wanted and topic is not None:
            fail(f"there is no topic {topic!r} in {url}")
        with Progress(
            SpinnerColumn(),
            TextColumn("{task.completed} segments read"),
            transient=True,
            disable=not sys.stderr.isatty(),
        ) as progress:
            task = progress.add_task("reading", total=None)
            rows, segments = [], set()
            async for row in _extents(store, names, wanted):
                rows.append(row)
                segments.add(row["segment"])
                progress.update(task, completed=len(segments))
            return rows
    finally:
        await store.close()


async def _topic_names(store: Any) -> dict[UUID, str]:
    from infra.clock import SYSTEM_CLOCK
    from infra.cluster.topics import TopicLedger
    from infra.view.memory import MemoryView

    topics = await TopicLedger(store, MemoryView(), SYSTEM_CLOCK).all()
    return {topic_id: record.name for topic_id, (_, record) in topics.items()}


async def _extents(store: Any, names: dict[UUID, str], wanted: set[UUID]) -> AsyncIterator[dict[str, Any]]:
    from infra.object_key import BATCHES
    from infra.segment.footer import read_footer

    async for info in store.list(BATCHES):
        footer = await read_footer(store, info.key)
        for flushed in footer.flushed:
            extent = flushed.extent
            if extent.partition.topic_id in wanted:
                yield {
                    "topic": names[extent.partition.topic_id],
                    "partition": extent.partition.partition,
                    "first offset": extent.base_offset,
                    "last offset": extent.last_offset,
                    "leader epoch": extent.leader_epoch,
                    "batches": extent.batches,
                    "records": extent.records,
                    "bytes": extent.size,
                    "segment": info.key,
                }
