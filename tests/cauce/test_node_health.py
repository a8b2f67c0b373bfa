"""Health and metrics of a whole node, asked over HTTP after real traffic."""

import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer
from prometheus_client.parser import text_string_to_metric_families

from cauce.testing import CauceProcess
from infra.metrics import MAX_TOPICS, Metrics
from infra.wire.messages import create_topics
from tests.cauce.kept import commit, read, write
from tests.cauce.transactions import producer
from tests.cauce.transactions import write as transact
from tests.cauce.wire import ask

_SECONDS = 30.0
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def _until(probe: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _SECONDS
    while not probe():
        assert time.monotonic() < deadline, f"not within {_SECONDS:.0f} s: {what}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CauceProcess]:
    options = ["--set", "cauce.flush.interval.ms=50", "--set", "group.initial.rebalance.delay.ms=0"]
    with CauceProcess(tmp_path_factory.mktemp("health"), options=options) as running:
        yield running


@pytest.fixture(scope="module")
def http(node: CauceProcess) -> str:
    def told() -> list[str]:
        return re.findall(r"health and metrics on (http://\S+)", node.output)

    _until(lambda: bool(told()), "the node says where")
    return told()[0]


def _scrape(http: str) -> Samples:
    status, text = _get(f"{http}/metrics")
    assert status == 200
    samples: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples[sample.name, frozenset(sample.labels.items())] = sample.value
    return samples


def _value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0.0)


def test_the_node_lives_and_is_ready(http: str) -> None:
    assert _get(f"{http}/healthz") == (200, '{"status": "ok"}')
    assert _get(f"{http}/readyz") == (200, '{"status": "ready"}')
    assert _get(f"{http}/nowhere")[0] == 404


def test_metrics_tell_what_happened(node: CauceProcess, http: str) -> None:
    values = [f"value-{number}" for number in range(500)]
    before = _scrape(http)
    write(node.bootstrap, "measured", values)
    assert len(read(node.bootstrap, "measured")) == 500
    commit(node.bootstrap, "measuring", "measured", {0: 400})
    _until(lambda: _value(_scrape(http), "cauce_unflushed_bytes") == 0, "everything is flushed")
    after = _scrape(http)

    def gained(name: str, **labels: str) -> float:
        return _value(after, name, **labels) - _value(before, name, **labels)

    assert gained("cauce_topic_records_in_total", topic="measured") == 500
    assert gained("cauce_topic_bytes_in_total", topic="measured") > 500 * len("value-1")
    assert gained("cauce_topic_bytes_out_total", topic="measured") >= gained(
        "cauce_topic_bytes_in_total", topic="measured"
    )
    assert _value(after, "cauce_partition_high_watermark", topic="measured", partition="0") == 500
    assert _value(after, "cauce_group_lag_records", group="measuring", topic="measured") == 100
    assert 0 < _value(after, "cauce_group_lag_seconds", group="measuring", topic="measured") < 600
    assert _value(after, "cauce_leases") == 1 + 16
    assert _value(after, "cauce_wal_bytes") >= 0
    assert _value(after, "cauce_connections") >= 0
    for api in ("produce", "fetch", "metadata", "api_versions", "offset_commit"):
        assert gained("cauce_requests_total", api=api) >= 1, api
        assert gained("cauce_request_seconds_count", api=api) == gained("cauce_requests_total", api=api)
    for histogram in ("append", "wal_sync", "flush", "publish", "fetch"):
        assert gained(f"cauce_{histogram}_seconds_count") >= 1, histogram
        assert 0 < gained(f"cauce_{histogram}_seconds_sum") < 100, histogram
    assert sum(value for (name, _), value in after.items() if name == "cauce_store_requests_total") > 0
    for quiet in ("cauce_bad_frames_total", "cauce_connections_refused_total", "cauce_store_errors_total"):
        assert sum(value for (name, _), value in after.items() if name == quiet) == 0, quiet
    assert sum(value for (name, _), value in after.items() if name == "cauce_request_errors_total") == 0


def test_metrics_tell_of_transactions(node: CauceProcess, http: str) -> None:
    write(node.bootstrap, "transacted", ["plain"])
    before = _scrape(http)
    made = producer(node.bootstrap, "transacting")
    for ends_well in (True, False, True):
        transact(made, "transacted", [(0, b"value")], commit=ends_well)
    made.begin_transaction()
    made.produce("transacted", b"open")
    assert made.flush(_SECONDS) == 0
    assert _value(_scrape(http), "cauce_transactions_open") == 1
    made.commit_transaction(_SECONDS)
    _until(lambda: _value(_scrape(http), "cauce_transaction_markers_pending") == 0, "all markers are written")
    after = _scrape(http)

    def gained(name: str, **labels: str) -> float:
        return _value(after, name, **labels) - _value(before, name, **labels)

    assert gained("cauce_transactions_ended_total", outcome="committed") == 3
    assert gained("cauce_transactions_ended_total", outcome="aborted") == 1
    assert gained("cauce_transactions_timed_out_total") == 0
    assert gained("cauce_transaction_verification_seconds_count") == 4
    assert _value(after, "cauce_transactions_open") == 0


def test_every_metric_is_there(http: str) -> None:
    names = {name for name, _ in _scrape(http)}
    told = {family.name for family in text_string_to_metric_families(_get(f"{http}/metrics")[1])}
    declared = {family.name for family in Metrics().registry.collect()}
    assert declared <= told
    assert not {name for name in names if not name.startswith("cauce_")}


def test_lag_goes_down_with_a_member(node: CauceProcess, http: str) -> None:
    write(node.bootstrap, "followed", [str(number) for number in range(50)])
    commit(node.bootstrap, "following", "followed", {0: 0})

    def lag() -> float:
        return _value(_scrape(http), "cauce_group_lag_records", group="following", topic="followed")

    _until(lambda: lag() == 50, "the group is behind")
    consumer = Consumer({"bootstrap.servers": node.bootstrap, "group.id": "following", "enable.auto.commit": False})
    consumer.subscribe(["followed"])
    assert len(consumer.consume(50, _SECONDS)) == 50
    consumer.commit(asynchronous=False)
    consumer.close()
    _until(lambda: lag() == 0, "the group has caught up")


def test_labels_are_bounded_however_many_topics_there_are(node: CauceProcess, http: str) -> None:
    names = [f"many-{number:03}" for number in range(MAX_TOPICS + 20)]
    topics = [create_topics.CreatableTopic(name=name, num_partitions=1, replication_factor=1) for name in names]
    response = ask(node.bootstrap, create_topics.CreateTopicsRequest(topics=topics, timeout_ms=30_000))
    assert {row.error_code for row in response.topics} == {0}
    _until(lambda: _value(_scrape(http), "cauce_leases") >= len(names), "they are led")
    labels = _topic_labels(_scrape(http))
    for name in [name for name in names if name not in labels][:3]:  # which came first is nobody's to say
        write(node.bootstrap, name, ["x", "y"])
    samples = _scrape(http)
    assert _topic_labels(samples) == labels
    assert len(labels) == MAX_TOPICS + 1
    assert _value(samples, "cauce_topic_records_in_total", topic="other") >= 6
    assert _value(samples, "cauce_partition_high_watermark", topic="other", partition="0") >= 6


def _topic_labels(samples: Samples) -> set[str]:
    return {dict(labels)["topic"] for _, labels in samples if "topic" in dict(labels)}


def test_health_can_be_left_out(tmp_path: Path) -> None:
    with CauceProcess(tmp_path, options=["--set", "cauce.http="]) as node:
        _until(lambda: "bucket file:///" in node.output, "the node says what it keeps where")
        assert ", no health and metrics\n" in node.output
