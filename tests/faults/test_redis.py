"""Redis is away: as a store outage, but that `wal` too stops when the session cannot be renewed. (Redis that has gone
back or was wiped: `tests.cauce.test_redis_goes_back`.)"""

import tempfile
import time
from pathlib import Path

import pytest

from tests.cauce.cluster import eventually
from tests.cauce.steady_producer import SteadyProducer
from tests.chaos.redis_party import RedisParty
from tests.faults.load import load, still_reads
from tests.faults.parts import TOPICS, node


@pytest.mark.timeout(300)
def test_redis_is_killed_and_started_again() -> None:
    with tempfile.TemporaryDirectory(prefix="cauce-") as name:
        folder = Path(name)
        redis = RedisParty(folder)
        redis.start()
        settings = {
            "cauce.bucket": (folder / "bucket").as_uri(),
            "cauce.redis": f"redis://127.0.0.1:{redis.port}",
            "cauce.session.timeout.ms": "3000",
        }
        try:
            with node(folder / "node", settings, "node") as running, load(running.bootstrap, 1, *TOPICS) as producers:
                at_object, at_wal = producers
                redis.kill()
                eventually("the node misses it", lambda: "the view does not answer" in running.output)
                stood = len(at_object.acknowledged)
                at_wal.await_more(100)
                for topic, producer in zip(TOPICS, producers, strict=True):
                    still_reads(running.bootstrap, topic, producer)
                eventually("wal stops too, as the session cannot be renewed", lambda: _stands_still(at_wal))
                assert len(at_object.acknowledged) == stood
                redis.start()
                for producer in producers:
                    producer.await_more(200)
        finally:
            redis.kill()


def _stands_still(producer: SteadyProducer) -> bool:
    before = len(producer.acknowledged)
    time.sleep(1.5)  # the producer sends hundreds of records meanwhile
    return len(producer.acknowledged) == before
