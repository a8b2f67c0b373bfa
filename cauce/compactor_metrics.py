"""A compactor process's metrics in its node's registry (`cauce_compaction_…`); totals go on when it starts again."""

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from compactor.document import Report
from compactor.meter import COUNTERS, GAUGES

_PREFIX = "cauce_compaction_"


class CompactorMetrics(Collector):
    """What the last report said, on top of what earlier processes had come to. Register it with a registry."""

    def __init__(self) -> None:
        self._before: Mapping[str, float] = dict.fromkeys(COUNTERS, 0.0)
        self._report = Report({}, {})
        self._starts = 0

    def begin(self) -> None:
        """A process begins: its totals start at 0."""
        self._starts += 1
        self._before = self._totals()
        self._report = Report({}, self._report.gauges)

    def take(self, report: Report) -> None:
        """The running process's newest report."""
        self._report = report

    def collect(self) -> Iterator[Metric]:
        """As `prometheus_client` asks for it."""
        totals = self._totals()
        for name, sentence in COUNTERS.items():
            yield CounterMetricFamily(_PREFIX + name, sentence, value=totals[name])
        for name, sentence in GAUGES.items():
            yield GaugeMetricFamily(_PREFIX + name, sentence, value=self._report.gauges.get(name, 0.0))
        yield CounterMetricFamily(_PREFIX + "starts", "Starts of this node's compactor process.", value=self._starts)

    def _totals(self) -> dict[str, float]:
        return {name: self._before[name] + self._report.totals.get(name, 0.0) for name in COUNTERS}
