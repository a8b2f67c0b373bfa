"""`cauce topic undelete`: brings a deleted topic back under its name, with every record it had.

Works on the bucket, which is the truth; nodes that run find the topic there within `cauce.view.repair.interval.ms`.
"""

import asyncio
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from cauce.cli.bucket_place import DATA, BucketUrl, DataFolder, bucket_at, opened, topic_ledger
from cauce.cli.options import AsJson
from cauce.cli.output import fail, print_json, sentences

if TYPE_CHECKING:
    from infra.cluster.state import Topic
    from infra.cluster.topics import TopicLedger


@sentences
def undelete(
    name: Annotated[str, typer.Argument(help="Name of the topic.")],
    topic_id: Annotated[
        UUID | None, typer.Option("--topic-id", help="Which one, when several topics of that name were deleted.")
    ] = None,
    bucket_url: BucketUrl = None,
    data: DataFolder = DATA,
    as_json: AsJson = False,
) -> None:
    """Bring back a deleted topic, the last one of that name, until its objects are gone (a day by default)."""
    topic = asyncio.run(_undelete(bucket_at(bucket_url, data), name, topic_id))
    if as_json:
        print_json({"topic": topic.name, "id": topic.topic_id, "partitions": topic.partitions})
    else:
        print(f"topic {name} is back with {topic.partitions} partitions; running nodes lead it within a minute")


async def _undelete(url: str, name: str, topic_id: UUID | None) -> "Topic":
    async with opened(url) as store:
        topics = topic_ledger(store)
        return await topics.undelete(await _deleted(topics, name, topic_id))


async def _deleted(topics: "TopicLedger", name: str, topic_id: UUID | None) -> UUID:
    """The deleted topic that is meant; ends the command when there is none."""
    known = [record for _, record in (await topics.all()).values() if record.name == name]
    if topic_id is not None:
        if topic_id not in {record.topic_id for record in known}:
            fail(f"no topic {name!r} had the id {topic_id}")
        return topic_id
    found = [record for record in known if record.deleted_ms is not None and not record.purged]
    if not found:
        fail(_why_not(name, any(record.deleted_ms is None for record in known), bool(known)))
    return max(found, key=lambda record: record.deleted_ms or 0).topic_id


def _why_not(name: str, exists: bool, existed: bool) -> str:
    if exists:
        return f"topic {name!r} is not deleted"
    if existed:
        return f"topic {name!r} is gone for good: it was deleted longer ago than deleted topics are kept"
    return f"there is no deleted topic {name!r}; names are written as they were when it was created"
