"""Metrics: declared once, documented, bounded in labels."""

from prometheus_client import generate_latest

from infra.metrics import OTHER, BoundedLabels, Metrics


def test_two_nodes_in_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.connections.inc(3)
    assert one.registry.get_sample_value("cauce_connections") == 3
    assert other.registry.get_sample_value("cauce_connections") == 0


def test_every_metric_has_a_sentence_and_a_unit_of_prometheus() -> None:
    for family in Metrics().registry.collect():
        assert family.name.startswith("cauce_")
        assert family.documentation.endswith("."), family.name
        assert not family.name.endswith(("_ms", "_kb", "_mb")), family.name


def test_labels_are_bounded() -> None:
    label = BoundedLabels(2)
    assert [label(name) for name in ("a", "b", "c", "a", "d", "b")] == ["a", "b", OTHER, "a", OTHER, "b"]


def test_a_gauge_forgets_what_is_not_led_any_more() -> None:
    metrics = Metrics()
    metrics.replace_gauge(metrics.high_watermark, [(("orders", "0"), 5.0), (("orders", "1"), 7.0)])
    metrics.replace_gauge(metrics.high_watermark, [(("orders", "1"), 8.0)])
    text = generate_latest(metrics.registry).decode()
    rows = [line for line in text.splitlines() if line.startswith("cauce_partition_high_watermark{")]
    assert rows == ['cauce_partition_high_watermark{partition="1",topic="orders"} 8.0']
