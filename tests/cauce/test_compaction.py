"""Compaction through the front door: nodes, their compactor processes, kills, and what lies in the bucket then."""

import asyncio
import io
import re
import signal
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from cauce.testing import CauceProcess
from infra.cluster.manifest import Manifest, ManifestLedger
from infra.cluster.records import TopicRecord
from infra.object_key import TOPICS, TopicKey, parse_key
from infra.partition import PartitionId
from infra.store.open import open_store
from tests.cauce.cluster import eventually, shared_redis
from tests.cauce.kept import Row, write

_PARTITIONS = 3
_EAGER = {
    "cauce.compaction.interval.ms": "100",
    "cauce.compaction.bytes": "1",
    "cauce.compaction.age.ms": "0",
    "cauce.flush.interval.ms": "50",
}
_OPTIONS = [word for name, value in _EAGER.items() for word in ("--set", f"{name}={value}")]


def compactor_of(node: CauceProcess) -> psutil.Process | None:
    """The node's compactor process, None while it has none."""
    for child in psutil.Process(node.pid).children():
        if "compactor" in child.cmdline():
            return child
    return None


class Bucket:
    """What the bucket itself says of a topic."""

    def __init__(self, url: str, topic: str) -> None:
        self._url = url
        self._topic = topic

    def manifests(self) -> list[Manifest]:
        """Of every partition, by the ledgers."""
        return asyncio.run(self._manifests())

    def rows(self) -> list[Row]:
        """Every row of every record segment, sorted."""
        return sorted(asyncio.run(self._rows()))

    def holds(self, written: Sequence[Row]) -> bool:
        """Whether record segments reach the end of all partitions."""
        ends = [0] * _PARTITIONS
        for partition, offset, *_ in written:
            ends[partition] = max(ends[partition], offset + 1)
        return [manifest.records_end for manifest in self.manifests()] == ends

    async def _manifests(self) -> list[Manifest]:
        store = open_store(self._url)
        found = []
        async for info in store.list(TOPICS):
            key = parse_key(info.key)
            assert isinstance(key, TopicKey)
            if TopicRecord.decode(await store.get(info.key), info.key).name == self._topic:
                ledger = ManifestLedger(store)
                found = [await ledger.read(PartitionId(key.topic_id, number)) for number in range(_PARTITIONS)]
        return found

    async def _rows(self) -> list[Row]:
        store = open_store(self._url)
        rows: list[Row] = []
        for partition, manifest in enumerate(await self._manifests()):
            for segment in manifest.segments:
                table = pq.read_table(io.BytesIO(await store.get(segment.key)))
                columns = (table[name].to_pylist() for name in ("offset", "key", "value"))
                rows += [(partition, *row) for row in zip(*columns, strict=True)]
        return rows


def create(node: CauceProcess, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": node.bootstrap})
    admin.create_topics([NewTopic(topic, _PARTITIONS)])[topic].result(30)


def values(name: str) -> list[str]:
    return [f"{name}-{number}" for number in range(1000)]


def scrape(node: CauceProcess) -> dict[str, float]:
    """Metrics of the compactor by name."""
    [http] = re.findall(r"health and metrics on (http://\S+)", node.output)[-1:]
    text = urllib.request.urlopen(f"{http}/metrics").read().decode()
    return {name: float(value) for name, value in re.findall(r"^cauce_compaction_(\w+) (\S+)$", text, re.MULTILINE)}


@pytest.mark.timeout(240)
def test_everything_produced_becomes_record_segments_through_kills(tmp_path: Path) -> None:
    bucket = Bucket((tmp_path / "bucket").as_uri(), "compacted")
    with CauceProcess(tmp_path, options=_OPTIONS) as node:
        create(node, "compacted")
        written = write(node.bootstrap, "compacted", values("first"))
        eventually("all is in record segments", lambda: bucket.holds(written))
        assert bucket.rows() == written

        def told() -> bool:
            return scrape(node)["records_total"] >= len(written)

        eventually("metrics tell of it", told)
        metrics = scrape(node)
        assert metrics["bytes_out_total"] >= metrics["bytes_first_written_total"] > 0
        assert metrics["runs_total"] >= _PARTITIONS

        first = compactor_of(node)
        assert first is not None
        first.send_signal(signal.SIGKILL)
        written = sorted(written + write(node.bootstrap, "compacted", values("second")))
        eventually("a new compactor goes on", lambda: bucket.holds(written))
        second = compactor_of(node)
        assert second is not None
        assert second.pid != first.pid
        eventually("its start is counted", lambda: scrape(node)["starts_total"] == 2)
        assert scrape(node)["records_total"] >= metrics["records_total"]

        more = write(node.bootstrap, "compacted", values("third"))
        node.kill()
        psutil.wait_procs([second], timeout=20)
        assert not second.is_running()
        written = sorted(written + more)
        node.start()
        eventually("a new node goes on", lambda: bucket.holds(written))
        assert bucket.rows() == written
        last = compactor_of(node)
        assert last is not None
        assert node.stop() == 0, node.output
        assert not last.is_running()
        assert not list((tmp_path / "compactor").iterdir())


@pytest.mark.timeout(240)
def test_two_nodes_share_the_work_of_one_cluster(tmp_path: Path) -> None:
    bucket = Bucket((tmp_path / "bucket").as_uri(), "shared")
    with shared_redis(tmp_path) as redis:
        options = ["--bucket", (tmp_path / "bucket").as_uri(), "--redis", redis, *_OPTIONS]
        first = CauceProcess(tmp_path / "first", options=options, command="node")
        second = CauceProcess(tmp_path / "second", options=options, command="node")
        with first, second:
            create(first, "shared")
            written: list[Row] = []
            for number in range(5):
                written += write(first.bootstrap, "shared", values(f"round-{number}"))
            eventually("all is in record segments", lambda: bucket.holds(written))
            assert bucket.rows() == sorted(written)
            eventually("both have a compactor", lambda: compactor_of(first) and compactor_of(second))


def test_a_node_without_the_role_has_no_compactor(tmp_path: Path) -> None:
    options = [*_OPTIONS, "--set", "cauce.roles=ingest,reader"]
    with CauceProcess(tmp_path, options=options) as node:
        create(node, "plain")
        write(node.bootstrap, "plain", values("one"))
        assert scrape(node) == {}
        assert compactor_of(node) is None
