"""What a node and its compactor process tell each other, and how totals outlive a process."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from cauce.compactor_metrics import CompactorMetrics
from compactor.document import Document, Report
from compactor.meter import Meter
from infra.errors import BadStart, NotFound
from infra.settings import load_settings
from infra.store.counted import CountedStore
from infra.store.memory import MemoryObjectStore


def test_a_document_carries_the_settings_as_they_came_out() -> None:
    flags = {"cauce.redis": "redis://:secret@host:1", "cauce.roles": "compactor", "cauce.compaction.bytes": "7"}
    settings = load_settings(flags, environment={})
    found = Document.decode(Document(settings, 3, "unix:///run/redis.sock").encode())
    assert (found.node_id, found.redis_url) == (3, "unix:///run/redis.sock")
    assert dict(found.settings.values) == dict(settings.values)
    assert found.settings.bucket == settings.bucket


@pytest.mark.parametrize("line", [b"", b"{}\n", b"[1]\n", b"hello\n", b'{"settings": 1, "node_id": 1, "redis": ""}\n'])
def test_what_is_no_document_is_refused(line: bytes) -> None:
    with pytest.raises(BadStart, match="started by its node"):
        Document.decode(line)


def test_a_report_is_what_the_meter_says() -> None:
    meter = Meter()
    meter.add("bytes_first_written", 100)
    meter.add("bytes_out", 250)
    meter.ran(7000)
    meter.backlog("a", 5)
    meter.backlog("b", 6)
    meter.backlog("a", 0)
    report = Report.decode(Report.of(meter).encode())
    assert report is not None
    assert report.totals["runs"] == 1
    assert report.gauges == {"backlog_bytes": 6, "write_amplification": 2.5, "last_run_timestamp_seconds": 7}
    with pytest.raises(KeyError):
        meter.add("nonsense")


def test_requests_to_the_store_are_counted_by_kind() -> None:
    meter = Meter()
    store = CountedStore(MemoryObjectStore(), meter.asked_store)

    async def ask() -> None:
        await store.create("a/b", b"body")
        await asyncio.gather(store.get("a/b"), store.get_range("a/b", 1, 2), store.head("a/b"))
        assert [info.key async for info in store.list("a/")] == ["a/b"]
        await store.delete(["a/b"])
        with pytest.raises(NotFound):
            await store.get("a/b")
        meter.asked_store("get", "error", 1.0, 0)

    asyncio.run(ask())
    totals = meter.totals()
    kinds = ("creates", "gets", "heads", "lists", "deletes", "errors")
    assert [totals[f"store_{kind}"] for kind in kinds] == [1, 4, 1, 1, 1, 1]


@pytest.mark.parametrize("line", [b"", b"hello\n", b'{"totals": {}}\n', b'{"totals": {"a": "x"}, "gauges": {}}\n'])
def test_other_lines_are_no_report(line: bytes) -> None:
    assert Report.decode(line) is None


def test_totals_go_on_when_the_process_starts_again() -> None:
    metrics, registry = CompactorMetrics(), CollectorRegistry()
    registry.register(metrics)

    def shown(name: str) -> float | None:
        return registry.get_sample_value(f"cauce_compaction_{name}")

    assert (shown("records_total"), shown("starts_total")) == (0, 0)
    for records in (5, 8):
        metrics.begin()
        metrics.take(Report({"records": records - 1}, {"backlog_bytes": 1}))
        metrics.take(Report({"records": records}, {"backlog_bytes": records}))
    assert (shown("records_total"), shown("starts_total"), shown("backlog_bytes")) == (13, 2, 8)


def test_every_metric_has_a_sentence_and_a_unit_of_prometheus() -> None:
    for family in CompactorMetrics().collect():
        assert family.name.startswith("cauce_compaction_")
        assert family.documentation.endswith("."), family.name
        assert not family.name.endswith(("_ms", "_kb", "_mb")), family.name
