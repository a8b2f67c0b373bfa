"""`cauce recover`: builds Redis's view of a cluster from its bucket, and tells up to where each partition is whole.

Works with nodes running or not. Ends with 1 when something is missing.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from cauce.cli.bucket_place import DATA, BucketUrl, DataFolder, bucket_at, opened
from cauce.cli.options import AsJson
from cauce.cli.output import FAILED, as_fields, fail, print_json, print_rows, sentences

if TYPE_CHECKING:
    from cauce.recovery import Findings
    from infra.store.port import ObjectStore
    from infra.view.redis_view import RedisView

_COLUMNS = [
    "topic",
    "partition",
    "leader epoch",
    "log start",
    "whole up to",
    "end offset",
    "record segments",
    "extents",
    "void extents",
]

RedisUrl = Annotated[
    str | None,
    typer.Option(
        "--redis", envvar="CAUCE_REDIS", help="As cauce.redis; else that of the data folder.", show_envvar=True
    ),
]


@sentences
def recover(
    bucket_url: BucketUrl = None,
    data: DataFolder = DATA,
    redis: RedisUrl = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what there is and what would be done.")] = False,
    give_up: Annotated[
        bool, typer.Option("--give-up", help="Tell manifests without the record segments that are missing, for good.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Build the view in Redis anew from the bucket; put right what a copied bucket lacks."""
    url, data = bucket_at(bucket_url, data), data.absolute()
    if not dry_run and redis is None and bucket_url is not None and not (data / "redis").is_dir():
        fail("name the Redis of the cluster with --redis or CAUCE_REDIS, or look only, with --dry-run")
    findings, incarnation = asyncio.run(_recover(url, data, redis, dry_run, give_up))
    if as_json:
        print_json(_document(findings, give_up, incarnation))
    else:
        _print(findings, give_up, incarnation)
    if not findings.whole:
        raise typer.Exit(FAILED)


async def _recover(
    url: str, data: Path, redis: str | None, dry_run: bool, give_up: bool
) -> "tuple[Findings, str | None]":
    from cauce.recovery import build_view, look, mend_bucket
    from infra.clock import SYSTEM_CLOCK

    async with opened(url) as store:
        findings = await look(store, SYSTEM_CLOCK)
        if dry_run:
            return findings, None
        async with _view(store, data, redis) as view:
            await mend_bucket(store, findings, give_up=give_up)
            return findings, await build_view(view, store, SYSTEM_CLOCK)


@contextlib.asynccontextmanager
async def _view(store: "ObjectStore", data: Path, redis: str | None) -> "AsyncIterator[RedisView]":
    """The view of this bucket's cluster, in the Redis that was named or in the data folder's, which may not run."""
    from infra.clock import SYSTEM_CLOCK
    from infra.cluster.cluster import open_cluster
    from infra.errors import Unavailable
    from infra.view.embedded import EmbeddedRedis
    from infra.view.redis_view import RedisView

    cluster_id = (await open_cluster(store, SYSTEM_CLOCK)).cluster_id
    async with contextlib.AsyncExitStack() as stack:
        folder = data / "redis"
        view = RedisView(redis or f"unix://{quote(str(folder / 'redis.sock'))}", cluster_id)
        stack.push_async_callback(view.close)
        try:
            await view.incarnation()
        except Unavailable:
            if redis is not None:
                raise
            embedded = EmbeddedRedis(folder)
            view = RedisView(await embedded.start(), cluster_id)
            stack.push_async_callback(embedded.stop)
            stack.push_async_callback(view.close)
        yield view


def _rows(findings: "Findings") -> list[dict[str, Any]]:
    return [
        {
            "topic": findings.names[one.partition.topic_id],
            "partition": one.partition.partition,
            "leader epoch": one.leader_epoch,
            "log start": one.log_start_offset,
            "whole up to": one.whole_upto,
            "end offset": one.end_offset,
            "record segments": one.record_segments,
            "extents": one.extents,
            "void extents": one.void,
            "missing": list(one.missing),
        }
        for one in findings.partitions
    ]


def _document(findings: "Findings", give_up: bool, incarnation: str | None) -> dict[str, Any]:
    return {
        "partitions": as_fields(_rows(findings)),
        "topics": [half.problem for half in findings.halves],
        "mended" if incarnation else "would_mend": len(findings.halves) + len(findings.to_mend(give_up)),
        "incarnation": incarnation,
    }


def _print(findings: "Findings", give_up: bool, incarnation: str | None) -> None:
    rows = _rows(findings)
    print_rows(rows, _COLUMNS, as_json=False, empty="no partition was ever led")
    for row in rows:
        for sentence in row["missing"]:
            print(f"{row['topic']}-{row['partition']}: {sentence}")
    for half in findings.halves:
        print(half.problem)
    mended = len(findings.halves) + len(findings.to_mend(give_up))
    left = [] if give_up else findings.left
    if left:
        print(
            f"{len(left)} partitions cannot be mended without a loss: bring the missing objects and call again, or "
            "give up what is missing with --give-up"
        )
    if incarnation is None:
        print(f"would mend {mended} ledgers of the bucket, and build the view of {len(rows)} partitions in Redis")
    else:
        print(
            f"mended {mended} ledgers of the bucket; built the view of {len(rows)} partitions in Redis: {incarnation}"
        )
