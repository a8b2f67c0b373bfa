"""Every metric that a dashboard, an alert or an alarm names is exported by a node; every alert has a runbook."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from cauce.compactor_metrics import CompactorMetrics
from infra.metrics import Metrics
from tests.terraform.cost import table
from tests.terraform.hcl import ROOT

_DOCS = ROOT.parent / "docs"
_METRIC = re.compile(r"\bcauce_[a-z0-9_]+\b")
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_OBSERVABILITY = ROOT / "modules" / "observability"
_SECTIONS_OF_CLOUDWATCH = re.compile(r"^    ([a-z-]+) = \{$|#([a-z-]+)\"", re.MULTILINE)


def _exported() -> set[str]:
    """Names of samples as `/metrics` has them."""
    metrics = Metrics()
    metrics.registry.register(CompactorMetrics())
    names = set()
    for family in metrics.registry.collect():
        names.add(family.name + "_total" if family.type == "counter" else family.name)
        if family.type == "histogram":
            names |= {f"{family.name}_{part}" for part in ("bucket", "count", "sum")}
    return names


def _alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((_DOCS / "monitoring" / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _runbooks() -> set[str]:
    return set(_HEADING.findall((_DOCS / "runbooks.md").read_text(encoding="utf-8")))


def _named_in(*files: Path) -> set[str]:
    return {name for file in files for name in _METRIC.findall(file.read_text(encoding="utf-8"))}


def test_the_dashboard_and_the_alerts_name_metrics_that_exist() -> None:
    named = _named_in(
        _DOCS / "monitoring" / "grafana.json", _DOCS / "monitoring" / "alerts.yaml", _DOCS / "runbooks.md"
    )

    assert len(named) > 30
    assert named - _exported() == set()


def test_the_dashboard_shows_every_metric() -> None:
    dashboard = _named_in(_DOCS / "monitoring" / "grafana.json")
    shown = {re.sub(r"_(bucket|count|sum)$", "", name) for name in dashboard}
    hidden = {
        "cauce_compaction_last_run_timestamp_seconds",
        "cauce_compaction_records_total",
        "cauce_compaction_seconds_total",
    }
    hidden |= {"cauce_compaction_bytes_first_written_total", "cauce_compaction_unreadable_batches_total"}

    assert {name for name in _exported() if not re.search(r"_(bucket|count|sum)$", name)} - shown == hidden


def test_alarms_and_scaling_name_metrics_that_exist() -> None:
    named = _named_in(*_OBSERVABILITY.glob("*.tf"), *(ROOT / "modules" / "service").rglob("*.tf"))

    assert "cauce_compaction_backlog_bytes" in named
    assert named - _exported() == set()


def test_every_alert_has_a_sentence_and_a_runbook() -> None:
    alerts = _alerts()

    assert [alert["alert"] for alert in alerts if not alert["annotations"]["summary"].endswith(".")] == []
    assert {alert["annotations"]["runbook_url"].partition("#")[2] for alert in alerts} - _runbooks() == set()


def test_every_alarm_of_cloudwatch_has_a_runbook() -> None:
    text = (_OBSERVABILITY / "alarms.tf").read_text(encoding="utf-8")
    sections = {first or second for first, second in _SECTIONS_OF_CLOUDWATCH.findall(text)}

    assert len(sections) >= 12
    assert sections - _runbooks() == set()


def test_the_dashboard_is_whole() -> None:
    dashboard = json.loads((_DOCS / "monitoring" / "grafana.json").read_text(encoding="utf-8"))
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]

    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert [panel["title"] for panel in panels if not panel["targets"]] == []


def test_the_cost_table_is_what_the_arithmetic_gives() -> None:
    assert table() in (_DOCS / "cost.md").read_text(encoding="utf-8")
