"""`cauce bucket ls|check`: what segments lie in a bucket, with their ranges and sizes. Needs no node."""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn

from cauce.cli.bucket_check import check
from cauce.cli.bucket_place import DATA, BucketUrl, DataFolder, bucket_at, opened, topic_ledger
from cauce.cli.options import AsJson
from cauce.cli.output import fail, print_rows, sentences

app = typer.Typer(help="Look into a bucket.", no_args_is_help=True)
app.command("check")(check)
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
    bucket_url: BucketUrl = None,
    data: DataFolder = DATA,
    as_json: AsJson = False,
) -> None:
    """List the extents of batch segments: which offsets of which partition lie in which object."""
    url = bucket_at(bucket_url, data)
    rows = asyncio.run(_rows(url, topic))
    print_rows(rows, _COLUMNS, as_json, empty="no segments yet: what was written is in the WAL until the first flush")


async def _rows(url: str, topic: str | None) -> list[dict[str, Any]]:
    async with opened(url) as store:
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


async def _topic_names(store: Any) -> dict[UUID, str]:
    topics = await topic_ledger(store).all()
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
