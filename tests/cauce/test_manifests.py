"""A running node follows the manifests of what it leads: a change that somebody else makes reaches its clients."""

import asyncio
import tempfile
import time
from pathlib import Path
from uuid import UUID

from cauce.testing import CauceProcess
from infra.clock import SYSTEM_CLOCK
from infra.cluster.manifest import ManifestLedger
from infra.partition import PartitionId
from infra.store.folder import FolderStore
from infra.view.redis_view import RedisView
from infra.wire.messages import list_offsets
from tests.cauce.kept import cluster_id, read, write
from tests.cauce.wire import ask, make_topic

_SECONDS = 30.0
_EARLIEST = -2


def _earliest(bootstrap: str, topic: str) -> int:
    wanted = list_offsets.ListOffsetsPartition(partition_index=0, timestamp=_EARLIEST)
    request = list_offsets.ListOffsetsRequest(topics=[list_offsets.ListOffsetsTopic(name=topic, partitions=[wanted])])
    return int(ask(bootstrap, request).topics[0].partitions[0].offset)


async def _raise_log_start(data: Path, cluster: str, topic_id: UUID, offset: int) -> None:
    """As retention does, from outside the node: a record of the ledger, and a word to the view."""
    partition = PartitionId(topic_id, 0)
    manifest = await ManifestLedger(FolderStore(data / "bucket", clock=SYSTEM_CLOCK)).raise_log_start(partition, offset)
    view = RedisView(f"unix://{data}/redis/redis.sock", cluster)
    incarnation = await view.incarnation()
    assert incarnation is not None
    await view.use(incarnation)
    await view.put_manifest(partition, manifest.version)
    await view.close()


def test_a_log_start_that_was_raised_elsewhere() -> None:
    with tempfile.TemporaryDirectory(prefix="cauce-") as folder, CauceProcess(Path(folder)) as node:
        topic_id = make_topic(node.bootstrap, "kept").topic_id
        written = write(node.bootstrap, "kept", [str(number) for number in range(50)])
        assert _earliest(node.bootstrap, "kept") == 0
        asyncio.run(_raise_log_start(Path(folder), cluster_id(node.bootstrap), topic_id, 20))
        deadline = time.monotonic() + _SECONDS
        while _earliest(node.bootstrap, "kept") != 20:
            assert time.monotonic() < deadline, "the node does not follow"
        assert read(node.bootstrap, "kept") == written[20:]
