"""`cluster.json`: the cluster's id, made by the first node that opens an empty bucket."""

from base64 import urlsafe_b64encode

from infra.clock import Clock
from infra.cluster.records import ClusterRecord
from infra.errors import BadStart, Exists, NotFound
from infra.object_key import CLUSTER, SESSIONS
from infra.store.port import ObjectStore


def new_cluster_id(clock: Clock) -> str:
    """A random UUID in 22 letters, as Kafka writes them; never one that begins with a dash."""
    while True:
        text = urlsafe_b64encode(clock.uuid().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


async def known_cluster(store: ObjectStore) -> ClusterRecord | None:
    """The bucket's cluster, None when it has none. Raises `BadStart` for a newer format."""
    try:
        return ClusterRecord.decode(await store.get(CLUSTER), CLUSTER)
    except NotFound:
        return None


async def open_cluster(store: ObjectStore, clock: Clock) -> ClusterRecord:
    """The bucket's cluster, created when the bucket has none. Raises as `known_cluster`.

    Nor is a bucket named anew that was in use: its nodes know it by another name.
    """
    known = await known_cluster(store)
    if known is not None:
        return known
    used = await _first_session(store)
    if used is not None:
        known = await known_cluster(store)  # another node may have opened the bucket since, and registered in it
        if known is not None:
            return known
        raise BadStart(f"the bucket has {used} and no {CLUSTER}: it is a copy that lacks it; bring that object first")
    record = ClusterRecord(new_cluster_id(clock))
    try:
        await store.create(CLUSTER, record.encode())
    except Exists:
        return ClusterRecord.decode(await store.get(CLUSTER), CLUSTER)
    return record


async def _first_session(store: ObjectStore) -> str | None:
    async for info in store.list(SESSIONS):
        return info.key
    return None
