"""Which bucket a command without a node works on: named by its URL, or by the data folder of a node that keeps it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote, urlsplit

import typer

from cauce.cli.output import fail

if TYPE_CHECKING:
    from infra.cluster.topics import TopicLedger
    from infra.store.port import ObjectStore

BucketUrl = Annotated[str | None, typer.Option("--bucket", help="s3://name/prefix or file:///folder.")]
DataFolder = Annotated[Path, typer.Option("--data", help="Data folder of a node that keeps its bucket there.")]
DATA = Path("cauce-data")


def bucket_at(bucket_url: str | None, data: Path) -> str:
    """The bucket's URL; ends the command when there is none."""
    url = bucket_url or (data / "bucket").absolute().as_uri()
    if bucket_url is None and not (data / "bucket").is_dir():
        fail(f"there is no bucket in {data}; name one with --bucket, or the node's folder with --data")
    if url.startswith("file://") and not Path(unquote(urlsplit(url).path)).is_dir():
        fail(f"there is no folder {url}; name a bucket with --bucket, or a node's folder with --data")
    return url


@asynccontextmanager
async def opened(url: str) -> "AsyncIterator[ObjectStore]":
    """The bucket of a cluster; ends the command when it is none."""
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
        yield store
    finally:
        await store.close()


def topic_ledger(store: "ObjectStore") -> "TopicLedger":
    """The ledger of topics; no view is told of changes, nodes find them in the bucket within a minute."""
    from infra.clock import SYSTEM_CLOCK
    from infra.cluster.topics import NoView, TopicLedger

    return TopicLedger(store, NoView(), SYSTEM_CLOCK)
