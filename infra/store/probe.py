"""Before a node trusts a bucket it sees with its own eyes that a create refuses to overwrite there.

Everything rests on it: a store that lets two writers win one key loses records without a word, and several stores that
call themselves S3-compatible ignore `If-None-Match`.
"""

import asyncio

from infra.clock import SYSTEM_CLOCK, Clock
from infra.errors import BadStart, Exists
from infra.object_key import ProbeKey
from infra.store.port import ObjectStore, StoreRefuses

RACE = 32  # writers


async def probe_store(store: ObjectStore, url: str, clock: Clock = SYSTEM_CLOCK, writers: int = RACE) -> None:
    """Let writers create one fresh key at once, of whom exactly one may win, then one more; read what the winner wrote.

    Fewer `writers` than RACE suffice for a store that has passed with as many.
    Raises `BadStart` naming the store (`url`) when it is unfit or refuses us, `Unavailable` when it does not answer.
    """
    key = ProbeKey(clock.token()).key
    try:
        results = await asyncio.gather(*(_wins(store, key, writer) for writer in range(writers)))
        found, later = await asyncio.gather(store.get(key), _wins(store, key, writers))
        await store.delete([key])
    except StoreRefuses as error:
        raise BadStart(
            f"the bucket {url} refuses this node: {error}. Check its name, the credentials and the region"
        ) from error
    winners = [writer for writer, won in enumerate(results) if won]
    if len(winners) != 1 or later or found != _body(winners[0]):
        raise BadStart(
            f"the bucket {url} does not keep two writers apart: {len(winners) + later} of {writers + 1} creates of "
            "one object succeeded with 'If-None-Match: *', where one must. Records would be lost here. Use a store "
            "that honours conditional writes, such as Amazon S3, MinIO, Ceph, SeaweedFS, or a local folder (file:///path)"
        )


async def _wins(store: ObjectStore, key: str, writer: int) -> bool:
    try:
        await store.create(key, _body(writer))
    except Exists:
        return False
    return True


def _body(writer: int) -> bytes:
    return b"probe %d" % writer
