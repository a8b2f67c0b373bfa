"""A topic's Iceberg table holds what its manifests say, after whatever happened to them, and idle it costs nothing."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import duckdb
import pyarrow as pa
import pytest
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError

from compactor.table_commit import bring_to
from compactor.table_files import TableContents
from infra.cluster.manifest_record import ManifestRecord, RecordSegment
from infra.cluster.state import Topic
from infra.object_key import RecordSegmentKey, table_of_topic
from infra.partition import PartitionId
from infra.records.columns import RECORDS
from infra.segment.record_footer import parse_record_footer
from tests.compactor.bucket import expected, in_loop
from tests.compactor_table.world import HOUR_MS, Kept, kept, plain, rows_of
from tests.servers import S3Server, closed_port

_WITHOUT_PARTITION = Path(__file__).parent.parent / "segment" / "without_partition.parquet"


def produced(cluster: Kept, topic: Topic) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for number in range(topic.partitions):
        at = PartitionId(topic.topic_id, number)
        found += expected(cluster.written.records.get(at, []), at)
    return found


async def filled(cluster: Kept, **configs: str) -> Topic:
    """A topic with three segments in two partitions, and its table."""
    topic = await cluster.create(**configs)
    await cluster.write(topic, 3, 4)
    await cluster.write(topic, 5, partition=1)
    await cluster.write(topic, 20)
    await cluster.follow(topic)
    return topic


async def check(cluster: Kept, topic: Topic) -> None:
    await cluster.follow(topic)
    assert rows_of(cluster.table(topic.name)) == await cluster.rows(topic)


@pytest.fixture(params=["folder", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return (tmp_path / "a bucket").as_uri()
    server: S3Server = request.getfixturevalue("moto_server")
    return server.url(tmp_path.name)


@in_loop
async def test_the_table_is_the_topic_and_costs_nothing_when_idle(url: str, tmp_path: Path) -> None:
    async with kept(url, tmp_path) as cluster:
        topic = await filled(cluster)
        table = cluster.table()
        assert rows_of(table) == produced(cluster, topic)
        assert {file["file_path"] for file in table.inspect.files().to_pylist()} == {
            cluster.tables._location + segment.key
            for partition in range(2)
            for segment in (await cluster.manifest(topic, partition)).segments
        }
        assert table.location().endswith(table_of_topic(topic.topic_id).rstrip("/"))
        cluster.requests.clear()
        for _ in range(3):
            await cluster.tables.run(await cluster.look(topic))
            await cluster.tables.settle()
        assert "create" not in cluster.requests
        assert cluster.requests.count("get") == 0
        await cluster.restart()
        cluster.requests.clear()
        await cluster.follow(topic)
        assert "create" not in cluster.requests
        assert cluster.table().metadata_location == table.metadata_location


@in_loop
async def test_it_follows_merges_cleaning_retention_and_new_partitions(url: str, tmp_path: Path) -> None:
    async with kept(url, tmp_path) as cluster:
        topic = await filled(cluster)
        await cluster.merge(topic)
        await check(cluster, topic)
        assert len(cluster.table().inspect.files()) == 2
        kept_rows = pa.table(
            [pa.array([column], field.type) for column, field in zip([8, 5, b"k", None, []], RECORDS, strict=True)],
            schema=RECORDS,
        )
        await cluster.replace(topic, kept_rows)
        await check(cluster, topic)
        assert rows_of(cluster.table())[0]["offset"] == 8
        await cluster.write(topic, 30)
        await cluster.raise_log_start(topic, 40)
        await check(cluster, topic)
        assert min(row["offset"] for row in rows_of(cluster.table()) if row["partition"] == 0) == 27
        grown = await cluster.ledger.add_partitions(topic.topic_id, 4)
        await cluster.write(grown, 2, partition=3)
        await check(cluster, grown)
        assert rows_of(cluster.table())[-1]["partition"] == 3
        await cluster.raise_log_start(grown, 57)
        await cluster.raise_log_start(grown, 5, partition=1)
        await cluster.raise_log_start(grown, 2, partition=3)
        await check(cluster, grown)
        assert rows_of(cluster.table()) == []


@in_loop
async def test_a_snapshot_says_of_which_manifests_it_is(tmp_path: Path) -> None:
    async with kept((tmp_path / "bucket").as_uri(), tmp_path) as cluster:
        topic = await filled(cluster)
        await cluster.write(topic, 1, partition=1)
        await cluster.follow(topic)
        snapshot = cluster.table().current_snapshot()
        assert snapshot is not None
        assert snapshot.summary is not None
        assert snapshot.summary["cauce.manifest-versions"] == "1,1"
        assert (snapshot.summary["total-records"], snapshot.summary["total-data-files"]) == ("33", "4")


@in_loop
async def test_engines_read_text_times_and_files(tmp_path: Path) -> None:
    async with kept((tmp_path / "bucket").as_uri(), tmp_path) as cluster:
        await filled(cluster, cauce__value__format="json")
        table = cluster.table()
        files = [file["file_path"].removeprefix("file://") for file in table.inspect.files().to_pylist()]
        counted = duckdb.sql(
            f'select partition, count(*), max("offset"), max(epoch_ms(timestamp)), min(value) '
            f"from read_parquet({files}) group by all order by 1"
        ).fetchall()
        assert counted == [(0, 27, 26, 1026, "v0" * 12), (1, 5, 4, 1004, "v0" * 12)]
        table.scan().to_duckdb("rows", connection=(connection := duckdb.connect()))
        assert connection.sql("select count(*), count(value_bytes) from rows").fetchall() == [(32, 0)]
        for after, wanted in ((1026, 1), (1025, 2), (1027, 0), (900, 32)):
            time = datetime.fromtimestamp(after / 1000, UTC).isoformat()
            assert len(table.scan(row_filter=f"timestamp >= '{time}'").to_arrow()) == wanted
        planned = list(table.scan(row_filter="partition = 1 and offset >= 2").plan_files())
        assert [task.file.record_count for task in planned] == [5]
        assert plain(table.scan(row_filter="offset >= 25").to_arrow())[0]["value"] == "v25" * 12


@in_loop
async def test_segments_from_before_the_partition_column_are_part_of_it(tmp_path: Path) -> None:
    async with kept((tmp_path / "bucket").as_uri(), tmp_path) as cluster:
        topic = await cluster.create(cauce__value__format="string")
        body = _WITHOUT_PARTITION.read_bytes()
        at = PartitionId(topic.topic_id, 1)
        key = RecordSegmentKey(at, 0, 999_999, "0" * 26).key
        footer = parse_record_footer(key, body)
        await cluster.store.create(key, body)
        old = RecordSegment(
            key, 0, 999_999, 40, len(body), footer.counts.max_timestamp, footer.row_groups, value_format="string"
        )
        assert await cluster.replacer.replace(at, await cluster.replacer.read(at), ManifestRecord(0, added=(old,)))
        await cluster.follow(topic)
        rows = rows_of(cluster.table())
        assert [row["offset"] for row in rows] == list(range(40))
        assert {row["partition"] for row in rows} == {1}


@in_loop
async def test_a_failing_commit_stops_nothing_and_is_made_up_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with kept((tmp_path / "bucket").as_uri(), tmp_path) as cluster:
        topic = await filled(cluster)
        before = cluster.table().metadata_location
        await cluster.write(topic, 7)
        with closing(sqlite3.connect(tmp_path / "tables" / "catalog.sqlite")) as locked:
            locked.execute("begin immediate")  # the catalog can be read; its commit comes after the PUT of metadata
            await cluster.follow(topic)
            await cluster.write(topic, 8)
            await cluster.follow(topic)  # too early for another try
        assert cluster.table().metadata_location == before
        assert [record.levelname for record in caplog.records if "behind" in record.message] == ["ERROR"]
        assert cluster.meter.totals()["table_failures"] == 1
        cluster.clock.later_ms += 60_000
        await check(cluster, topic)
        prefix = table_of_topic(topic.topic_id)
        listed = len(await cluster.keys(prefix))
        cluster.clock.later_ms += 3 * HOUR_MS
        await cluster.follow(topic)
        await cluster.tables.sweep()
        swept = await cluster.keys(prefix)
        assert len(swept) < listed
        await check(cluster, topic)
        table = cluster.table()
        assert table.metadata_location.removeprefix(cluster.tables._location) in swept


@in_loop
async def test_a_catalog_that_is_not_there_is_tried_again_ever_more_seldom(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with kept((tmp_path / "bucket").as_uri(), tmp_path) as cluster:
        cluster.catalog = {"type": "rest", "uri": f"http://127.0.0.1:{closed_port()}"}
        await cluster.restart()
        topic = await cluster.create()
        for failures in range(4):
            await cluster.write(topic, 7)
            await cluster.follow(topic)
            assert cluster.meter.totals()["table_failures"] == min(failures + 1, 3)
            cluster.clock.later_ms += 15_000
        assert len([record for record in caplog.records if "behind" in record.message]) == 1
        assert "any key" in await cluster.tables.named(topic.topic_id)
        cluster.catalog = {}
        await cluster.restart()
        await check(cluster, topic)


@in_loop
async def test_a_lost_catalog_is_made_again_from_the_bucket(url: str, tmp_path: Path) -> None:
    async with kept(url, tmp_path) as cluster:
        topic = await filled(cluster)
        await cluster.write(topic, 7)
        await cluster.follow(topic)
        table = cluster.table()
        for path in (tmp_path / "tables").iterdir():
            path.unlink(missing_ok=True)
        await cluster.restart()
        await cluster.write(topic, 7)
        await check(cluster, topic)
        again = cluster.table()
        assert again.metadata.table_uuid == table.metadata.table_uuid
        assert [one.snapshot_id for one in again.metadata.snapshots[:-1]] == [
            one.snapshot_id for one in table.metadata.snapshots
        ]


@in_loop
async def test_a_version_that_is_not_whole_is_passed_over(tmp_path: Path) -> None:
    async with kept((tmp_path / "bucket").as_uri(), tmp_path) as cluster:
        topic = await filled(cluster)
        await cluster.write(topic, 7)
        await cluster.follow(topic)
        snapshot = cluster.table().current_snapshot()
        assert snapshot is not None
        await cluster.store.delete([snapshot.manifest_list.removeprefix(cluster.tables._location)])
        (tmp_path / "tables" / "catalog.sqlite").unlink(missing_ok=True)
        await cluster.restart()
        await check(cluster, topic)
        assert len(cluster.table().metadata.snapshots) == 2


@in_loop
async def test_of_two_commits_one_is_refused_and_planned_anew(tmp_path: Path) -> None:
    async with kept((tmp_path / "bucket").as_uri(), tmp_path) as cluster:
        topic = await filled(cluster)
        keeper = cluster.tables._keeper
        assert keeper is not None
        stale = await asyncio.to_thread(keeper._catalog.find, topic.topic_id, topic.name)
        assert stale is not None
        await cluster.write(topic, 7)
        goal = await cluster.tables._goal(topic, [2, 0])
        await cluster.follow(topic)
        contents = TableContents(cluster.tables._location)
        with pytest.raises(CommitFailedException):
            await asyncio.to_thread(bring_to, stale, goal, contents, keeper._store, 0)
        other = cluster.compactor("2.b")
        await cluster.write(topic, 9)
        await other.run(await cluster.look(topic))
        await other.settle()
        await cluster.merge(topic)
        await check(cluster, topic)
        await other.close()


@in_loop
async def test_several_nodes_share_a_catalog(moto_server: S3Server, tmp_path: Path) -> None:
    glue = {"type": "glue", "glue.endpoint": moto_server.endpoint, "glue.region": "us-east-1"}
    async with kept(moto_server.url(tmp_path.name), tmp_path) as cluster:
        cluster.catalog = glue
        await cluster.restart()
        topic = await filled(cluster)
        other = cluster.compactor("2.b")
        await cluster.write(topic, 9)
        await other.run(await cluster.look(topic))
        await other.settle()
        await cluster.write(topic, 4, partition=1)
        await cluster.follow(topic)
        table = load_catalog("cauce", **glue, **cluster.access()).load_table(("cauce", "orders"))
        assert rows_of(table) == await cluster.rows(topic)
        assert len(table.metadata.snapshots) == 3
        assert not (tmp_path / "tables").exists()
        await other.close()


@in_loop
async def test_snapshots_expire_and_until_then_keep_what_they_name(url: str, tmp_path: Path) -> None:
    async with kept(url, tmp_path) as cluster:
        topic = await filled(cluster)
        small = [segment.key for segment in (await cluster.manifest(topic)).segments]
        first = cluster.table()
        await cluster.merge(topic)
        await cluster.follow(topic)
        [merged] = (await cluster.manifest(topic)).segments
        named = await cluster.tables.named(topic.topic_id)
        assert {*small, merged.key} <= set(named)
        assert len(rows_of(first)) == 32
        cluster.clock.later_ms += HOUR_MS - 60_000
        await cluster.follow(topic)
        assert len(cluster.table().metadata.snapshots) == 2
        cluster.clock.later_ms += 2 * 60_000
        await cluster.follow(topic)
        assert len(cluster.table().metadata.snapshots) == 1
        named = await cluster.tables.named(topic.topic_id)
        assert merged.key in named
        assert not set(small) & set(named)
        cluster.clock.later_ms += 2 * HOUR_MS
        await cluster.tables.sweep()
        left = await cluster.keys(table_of_topic(topic.topic_id))
        assert len([key for key in left if key.endswith(".metadata.json")]) == 1
        assert len([key for key in left if "/snap-" in key]) == 1
        assert len(rows_of(cluster.table())) == 32
        cluster.requests.clear()
        await cluster.tables.run(await cluster.look(topic))
        await cluster.tables.settle()
        assert "create" not in cluster.requests


@in_loop
async def test_many_commits_leave_few_manifests(tmp_path: Path) -> None:
    async with kept((tmp_path / "bucket").as_uri(), tmp_path) as cluster:
        topic = await filled(cluster)
        for number in range(24):
            await cluster.write(topic, 1)
            if number % 3 == 2:
                await cluster.raise_log_start(topic, 27 + number - 2)
            await cluster.follow(topic)
        snapshot = cluster.table().current_snapshot()
        assert snapshot is not None
        assert len(snapshot.manifests(cluster.table().io)) <= 18
        assert rows_of(cluster.table()) == await cluster.rows(topic)


@in_loop
async def test_a_deleted_topic_leaves_the_catalog_and_its_name_is_free(tmp_path: Path) -> None:
    async with kept((tmp_path / "bucket").as_uri(), tmp_path) as cluster:
        topic = await filled(cluster)
        await cluster.tables.sweep()
        assert cluster.table().name() == ("cauce", "orders")
        await cluster.ledger.delete(topic.topic_id)
        await cluster.state.refresh()
        assert "any key" in await cluster.tables.named(topic.topic_id)
        second = await filled(cluster)  # before anybody has swept
        assert rows_of(cluster.table()) == produced(cluster, second)
        assert cluster.table().properties["cauce.topic-id"] == str(second.topic_id)
        await cluster.tables.sweep()
        assert cluster.table().properties["cauce.topic-id"] == str(second.topic_id)
        await cluster.ledger.delete(second.topic_id)
        await cluster.state.refresh()
        await cluster.tables.sweep()
        with pytest.raises(NoSuchTableError):
            cluster.table()


@in_loop
async def test_a_topic_that_shall_have_no_table_any_more_has_none(tmp_path: Path) -> None:
    async with kept((tmp_path / "bucket").as_uri(), tmp_path) as cluster:
        topic = await filled(cluster)
        topic = await cluster.ledger.alter_configs(topic.topic_id, lambda configs: {})
        await cluster.state.refresh()
        assert await cluster.tables.named(topic.topic_id) == ()
        await cluster.tables.sweep()
        assert await cluster.keys(table_of_topic(topic.topic_id)) == []
        with pytest.raises(NoSuchTableError):
            cluster.table()
        again = replace(topic, configs={"cauce.table": "iceberg"})
        await cluster.follow(again)
        assert rows_of(cluster.table()) == produced(cluster, again)


@in_loop
async def test_topics_whose_names_come_to_the_same_have_tables_of_their_own(tmp_path: Path) -> None:
    async with kept((tmp_path / "bucket").as_uri(), tmp_path) as cluster:
        first = await cluster.create("A-b", partitions=1)
        second = await cluster.create("a.B", partitions=1)
        for topic, count in ((first, 2), (second, 3)):
            await cluster.write(topic, count)
            await cluster.follow(topic)
        assert len(rows_of(cluster.table("a_b"))) == 2
        assert len(rows_of(cluster.table(f"a_b_{second.topic_id.hex[:8]}"))) == 3


@pytest.mark.parametrize("seed", range(4))
@in_loop
async def test_random_histories_end_in_the_same_table(tmp_path: Path, seed: int) -> None:
    chance = Random(seed)
    async with kept((tmp_path / "bucket").as_uri(), tmp_path) as cluster:
        topic = await filled(cluster)
        for _ in range(12):
            partition = chance.randrange(2)
            manifest = await cluster.manifest(topic, partition)
            match chance.randrange(6):
                case 0 | 1:
                    await cluster.write(topic, chance.randrange(1, 40), partition=partition)
                case 2 if len(manifest.segments) > 2:
                    await cluster.raise_log_start(topic, chance.randrange(manifest.records_end + 1), partition)
                case 3:
                    await cluster.restart()
                    if chance.random() < 0.5:
                        (tmp_path / "tables" / "catalog.sqlite").unlink(missing_ok=True)
                case 4:
                    cluster.clock.later_ms += HOUR_MS
                    await cluster.tables.sweep()
                case _:
                    await cluster.follow(topic)
        await check(cluster, topic)
