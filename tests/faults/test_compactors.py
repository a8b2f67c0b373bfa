"""Two compactors on one partition: both come as far as the commit, one wins, and readers see nothing but the log."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import redis

from cauce.testing import CauceProcess
from tests.cauce.cluster import eventually, read_all, shared_redis
from tests.cauce.commands import works
from tests.cauce.test_compaction import Bucket
from tests.chaos.proxy import ProxyLoop
from tests.faults.gate import Gate, gates
from tests.faults.load import load
from tests.servers import S3Server

_PARTITIONS = 3  # as many as a compactor works on at once, so that none waits for its turn behind one that is held up
_ROUNDS = 2
_SETTINGS = {
    "cauce.durability": "object",
    "cauce.flush.interval.ms": "500",
    "cauce.compaction.interval.ms": "100",
    "cauce.compaction.bytes": "1",
    "cauce.compaction.age.ms": "0",
    "cauce.tail.bytes": "0",
    "cauce.session.timeout.ms": "30000",
}


@contextlib.contextmanager
def _nodes(folder: Path, url: str, stores: Sequence[S3Server]) -> Iterator[list[CauceProcess]]:
    """One node for each door to the store; what each has a compactor for is the same."""
    options = ["--redis", url, *(word for name, value in _SETTINGS.items() for word in ("--set", f"{name}={value}"))]
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                CauceProcess(folder / f"{number}", options=["--bucket", store.url("both"), *options], command="node")
            )
            for number, store in enumerate(stores)
        ]


def _race(loop: ProxyLoop, doors: Sequence[Gate], url: str, first: int) -> None:
    """Hold up one compactor after the other right before the commit of one partition; then let them go."""
    for door in doors:
        loop.call(door.shut("/manifests/"))

    def both_wait() -> set[str]:
        if any(door.waiting for door in doors):
            for key in client.scan_iter(match="*work:compact/*"):
                client.delete(key)  # whoever has a lease for this work is believed to be gone
        return set(doors[0].waiting) & set(doors[1].waiting)

    with redis.Redis.from_url(url, protocol=2) as client:
        keys = eventually("both compactors are about to commit", both_wait)
    loop.call(doors[first].open())
    eventually("one has committed", lambda: keys <= {path for path, _ in doors[first].answers})
    loop.call(doors[1 - first].open())
    eventually("the other has tried", lambda: keys <= {path for path, _ in doors[1 - first].answers})
    for key in keys:
        won = [number for number, door in enumerate(doors) if (key, 200) in door.answers]
        assert won == [first], [door.answers for door in doors]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_compactors_commit_one_partition(seaweed_server: S3Server) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="cauce-") as name,
        shared_redis(Path(name)) as url,
        gates(seaweed_server, 2) as (loop, doors),
        _nodes(Path(name), url, [store for _, store in doors]) as nodes,
    ):
        works("topic", "create", "both", "-p", str(_PARTITIONS), "-b", nodes[0].bootstrap)
        bootstrap = ",".join(node.bootstrap for node in nodes)
        with load(bootstrap, _PARTITIONS, "both", pause_seconds=0.05) as (producer,):
            for number in range(_ROUNDS):
                _race(loop, [door for door, _ in doors], url, number % 2)
                producer.await_each(range(_PARTITIONS))
        assert any("another compactor changed" in node.output for node in nodes)
        promised = producer.promised(read_all(bootstrap, "both", _PARTITIONS))
        written = sorted((*place, value, value) for place, value in promised.items())
        bucket = Bucket(seaweed_server.url("both"), "both")
        eventually("all is in record segments", lambda: bucket.holds(written))
        assert bucket.rows() == written
        for node in nodes:
            assert read_all(node.bootstrap, "both", _PARTITIONS) == promised
