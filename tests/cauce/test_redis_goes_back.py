"""Redis under load fails over to a replica that lags, is replaced by an old copy, or is wiped: nothing is lost."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import redis

from cauce.testing import CauceProcess
from tests.cauce.cluster import eventually, read_all, shared_redis
from tests.cauce.commands import works
from tests.cauce.steady_producer import SteadyProducer
from tests.view.old_copy import OldCopy
from tests.view.sentinel import running_sentinel

TOPIC, PARTITIONS = "kept", 3


@contextlib.contextmanager
def _node(folder: Path, url: str) -> Iterator[CauceProcess]:
    settings = {
        "cauce.durability": "object",
        "cauce.flush.interval.ms": "20",
        "cauce.session.timeout.ms": "2000",
        "cauce.redis": url,
        "cauce.roles": "ingest,reader",
    }
    options = ["--bucket", (folder / "bucket").as_uri()]
    options += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    with CauceProcess(folder / "node", options=options, command="node") as node:
        works("topic", "create", TOPIC, "-p", str(PARTITIONS), "-b", node.bootstrap)
        yield node


def _under_load(node: CauceProcess, before: Callable[[], None], fault: Callable[[], object], topic: str) -> None:
    """Write; `before`; write more, and make a topic; then the fault. What was acknowledged is there, once."""
    already = read_all(node.bootstrap, TOPIC, PARTITIONS)
    with SteadyProducer(node.bootstrap, TOPIC) as producer:
        producer.await_more(100)
        before()
        producer.await_more(200)
        works("topic", "create", topic, "-b", node.bootstrap)
        producer.await_more(50)
        built = node.output.count("built the view")
        fault()
        eventually("the view is built anew", lambda: node.output.count("built the view") > built)
        producer.await_more(300)
    stands = read_all(node.bootstrap, TOPIC, PARTITIONS)
    assert producer.refused == []
    promised = producer.promised(stands)
    assert stands == already | promised
    assert len(stands) == len(already) + len(promised)  # no offset was given twice
    topics = {row["topic"] for row in works("topic", "list", "--json", "-b", node.bootstrap).json}
    assert topics >= {TOPIC, topic}


def test_a_failover_to_a_replica_that_lags(tmp_path: Path) -> None:
    with running_sentinel() as servers, _node(tmp_path, servers.url) as node:
        _under_load(node, servers.forget_from_now_on, servers.kill_master, "late")
        assert "a%40b" not in node.output
        assert "a@b" not in node.output


def test_an_old_copy_and_a_wipe() -> None:
    with tempfile.TemporaryDirectory(prefix="cauce-") as name, shared_redis(Path(name)) as url:
        with _node(Path(name), url) as node, contextlib.closing(redis.Redis.from_url(url)) as client:
            copy = OldCopy(client)
            _under_load(node, copy.take, copy.put_back, "late")
            _under_load(node, lambda: None, client.flushall, "later")
