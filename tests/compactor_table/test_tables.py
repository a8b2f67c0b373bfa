"""A topic's Iceberg table holds what the topic's manifests say, whatever happened to either, and nothing is copied."""

from pathlib import Path

from infra.partition import PartitionId
from tests.compactor.bucket import expected, in_loop
from tests.compactor_table.world import Kept, kept, rows_of


def everything(cluster: Kept, topic, partitions: int = 2):
    found = []
    for number in range(partitions):
        at = PartitionId(topic.topic_id, number)
        found += expected(cluster.written.records.get(at, []), at)
    return found


@in_loop
async def test_the_table_is_the_topic(tmp_path: Path) -> None:
    async with kept((tmp_path / "bucket").as_uri(), tmp_path) as cluster:
        topic = await cluster.create()
        await cluster.write(topic, 3, 4)
        await cluster.write(topic, 5, partition=1)
        await cluster.follow(topic)
        print(cluster.meter.totals())
        table = cluster.table()
        print(table.metadata.model_dump_json()[:3000])
        print(await cluster.keys("tables"))
        assert rows_of(table) == everything(cluster, topic)
