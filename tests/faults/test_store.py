"""The store is away, answers 503, is slow, keeps its answers to itself or says 500 after it did as it was told."""

from collections.abc import Iterator

import pytest

from cauce.testing import CauceProcess
from infra.error_code import ErrorCode
from infra.records.encode import encode_batch
from infra.records.record import Record
from infra.wire.messages import produce
from tests.cauce.cluster import eventually
from tests.cauce.commands import works
from tests.cauce.wire import ask
from tests.chaos.store_proxy import Outage, Weather
from tests.faults.load import load, still_reads
from tests.faults.parts import TOPICS, Sky, under_a_sky
from tests.servers import S3Server

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def below(seaweed_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[CauceProcess, Sky]]:
    with under_a_sky(tmp_path_factory.mktemp("node"), seaweed_server, "weather") as found:
        works("topic", "create", "asked", "-c", "cauce.durability=object", "-b", found[0].bootstrap)
        yield found


@pytest.mark.parametrize("outage", ["503", "reset", "silence"])
def test_the_store_is_away(below: tuple[CauceProcess, Sky], outage: Outage) -> None:
    """`object` waits and is told of retriable time-outs, `wal` goes on, tail reads too; then both go on."""
    node, sky = below
    with load(node.bootstrap, 1, *TOPICS) as (at_object, at_wal):
        with sky.weather(Weather(outage=outage)):
            eventually("requests fail", lambda: _ask_to_produce(node.bootstrap) == ErrorCode.REQUEST_TIMED_OUT)
            stands = len(at_object.acknowledged)
            at_wal.await_more(300)
            assert len(at_object.acknowledged) == stands
            still_reads(node.bootstrap, "wal", at_wal)
            still_reads(node.bootstrap, "object", at_object)
        at_object.await_more(300)
        at_wal.await_more(300)


def _ask_to_produce(bootstrap: str) -> int:
    """The error code of a request that waits for half a second; it is for a topic of its own."""
    data = produce.PartitionProduceData(index=0, records=bytes(encode_batch([Record(0, 0, None, b"x")])))
    topic = produce.TopicProduceData(name="asked", partition_data=[data])
    request = produce.ProduceRequest(acks=-1, timeout_ms=500, topic_data=[topic])
    [answer] = ask(bootstrap, request).responses[0].partition_responses
    return int(answer.error_code)


def test_the_store_answers_late_or_not_although_it_did(below: tuple[CauceProcess, Sky]) -> None:
    node, sky = below
    late = Weather(slow=0.2, slow_seconds=(0.5, 3.0), lost=0.3, wrong=0.2)
    with load(node.bootstrap, 1, *TOPICS) as producers:
        with sky.weather(late):
            eventually("creates that had succeeded are recognised", lambda: sky.count("absorbed") >= 5)
        for producer in producers:
            producer.await_more(100)
