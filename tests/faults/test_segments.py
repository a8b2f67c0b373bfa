"""A segment is damaged in the bucket: who reads it is told so, the log names the object, all else goes on."""

from pathlib import Path

import pytest

from cauce.testing import CauceProcess
from infra.error_code import ErrorCode
from infra.wire.messages import fetch
from tests.cauce.cluster import eventually
from tests.cauce.commands import works
from tests.cauce.kept import read, write
from tests.cauce.wire import ask

_SETTINGS = {
    "cauce.durability": "object",
    "cauce.flush.interval.ms": "20",
    "cauce.tail.bytes": "0",
    "cauce.roles": "ingest,reader",
}


@pytest.mark.timeout(300)
def test_a_damaged_segment(tmp_path: Path) -> None:
    options = [word for name, value in _SETTINGS.items() for word in ("--set", f"{name}={value}")]
    with CauceProcess(tmp_path, options=options) as node:
        for topic in ("hurt", "well"):
            works("topic", "create", topic, "-b", node.bootstrap)
        write(node.bootstrap, "hurt", [f"bad-{number}" for number in range(50)])
        well = write(node.bootstrap, "well", [f"well-{number}" for number in range(50)])
        [segment] = {row["segment"] for row in works("bucket", "ls", "hurt", "--data", str(tmp_path), "--json").json}
        _damage(tmp_path / "bucket" / segment)
        node.kill()  # so that it has nothing of it in memory
        node.start()
        answer = _fetch(node.bootstrap, "hurt")
        assert answer.error_code == ErrorCode.KAFKA_STORAGE_ERROR  # retriable: an object may be mended
        assert not answer.records
        eventually("the log names the object", lambda: segment in node.output)
        more = write(node.bootstrap, "hurt", ["more"])  # what is written to it later is read
        assert bytes(_fetch(node.bootstrap, "hurt", more[0][1]).records).endswith(b"more\x00")
        assert read(node.bootstrap, "well") == well
        assert sorted(well + write(node.bootstrap, "well", ["more"])) == read(node.bootstrap, "well")


def _damage(path: Path) -> None:
    """Turn one bit in the middle of the batches, which are the first thing in the file."""
    body = bytearray(path.read_bytes())
    body[body.index(b"bad-25")] ^= 1
    path.chmod(0o644)
    path.write_bytes(body)


def _fetch(bootstrap: str, topic: str, offset: int = 0) -> fetch.PartitionData:
    place = fetch.FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=1 << 20)
    wanted = fetch.FetchTopic(topic=topic, partitions=[place])
    request = fetch.FetchRequest(max_wait_ms=5000, min_bytes=1, max_bytes=1 << 20, topics=[wanted])
    [found] = ask(bootstrap, request, 12).responses[0].partitions
    assert isinstance(found, fetch.PartitionData)
    return found
