"""A whole node under hostile inputs, in a process of its own: its memory, connections and log tell the damage."""

import asyncio
import os
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import psutil
from prometheus_client.parser import text_string_to_metric_families

from cauce.testing import CauceProcess
from tests.fuzz.honest import HonestClient
from tests.fuzz.run import Fuzz, Report

_HTTP = re.compile(r"metrics on (http://\S+)")
_ERROR_LINE = re.compile(r"\S+ (error|critical)\b")
_SETTLE_SECONDS = 30.0
# What the honest client writes is not held for long: else a slow machine, which gives it time, grows the node by it.
_SETTINGS = ("group.initial.rebalance.delay.ms=0", "cauce.tail.bytes=0", "cauce.flush.interval.ms=200")


@dataclass(slots=True)
class NodeReport:
    """What the rounds did to the node. `rss_bytes`: before the first round, then after each."""

    rounds: list[Report] = field(default_factory=list)
    rss_bytes: list[int] = field(default_factory=list)
    strange_connections: int = 0  # open at the end, and not the honest client's
    handler_errors: int = 0  # but of Produce with acks=0: there a refusal can only be told by closing
    honest_errors: list[str] = field(default_factory=list)
    honest_records: int = 0
    error_lines: list[str] = field(default_factory=list)
    exit_code: int | None = None  # of stopping the node cleanly

    @property
    def problems(self) -> list[str]:
        """Everything that must not be; memory is judged by the caller."""
        found = [f"round {number}: {report.dead}" for number, report in enumerate(self.rounds) if report.dead]
        if self.strange_connections:
            found.append(f"{self.strange_connections} connections were left behind")
        if self.handler_errors:
            found.append(f"{self.handler_errors} handlers raised")
        if self.exit_code != 0:
            found.append(f"the node ended with {self.exit_code}")
        if not self.honest_records:
            found.append("the honest client read nothing")
        return found + self.honest_errors[:20] + self.error_lines[:20]

    def __str__(self) -> str:
        sizes = " → ".join(f"{size / 2**20:.1f}" for size in self.rss_bytes)
        lines = [str(report) for report in self.rounds]
        lines += [f"RSS of the node, MiB: {sizes}", f"honest client: {self.honest_records} records written and read"]
        return "\n".join(lines + [f"PROBLEM: {problem}" for problem in self.problems])


def fuzz_own_node(
    seed: int,
    rounds: Sequence[range],
    connections: int,
    log: Path | None = None,
    enough: Callable[[Sequence[int]], bool] = lambda rss_bytes: False,
) -> NodeReport:
    """Start a node, send it each range of input numbers in turn while a real client works, and look at what is left.

    `log`: where to write what the node printed. `enough` is asked after each round, by the sizes so far, whether the
    rounds that are left may be spared.
    """
    with tempfile.TemporaryDirectory(prefix="cauce-fuzz-") as folder:
        node = CauceProcess(Path(folder), options=[word for one in _SETTINGS for word in ("--set", one)])
        report = NodeReport()
        try:
            with node:
                _run_rounds(node, report, seed, rounds, connections, enough)
                report.exit_code = node.stop()
        finally:
            if log is not None:
                log.write_text(node.output)
        report.error_lines = _error_lines(node.output)
        return report


def _run_rounds(
    node: CauceProcess,
    report: NodeReport,
    seed: int,
    rounds: Sequence[range],
    connections: int,
    enough: Callable[[Sequence[int]], bool],
) -> None:
    host, _, port = node.bootstrap.rpartition(":")
    process = psutil.Process(node.pid)
    with HonestClient(node.bootstrap) as honest:
        report.rss_bytes.append(process.memory_info().rss)
        for numbers in rounds:
            report.rounds.append(asyncio.run(Fuzz(host, int(port), seed, connections).run(iter(numbers))))
            if not node.running:
                break
            report.strange_connections = _strange_connections(node, int(port))
            report.rss_bytes.append(process.memory_info().rss)
            if enough(report.rss_bytes):
                break
    report.honest_errors = honest.errors
    report.honest_records = honest.consumed
    if node.running:
        report.handler_errors = int(_metric(node, "cauce_request_errors_total", but_api="produce"))


def _strange_connections(node: CauceProcess, port: int) -> int:
    """Connections that the node counts beyond those of this process, once it had time to notice what was closed."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        strange = int(_metric(node, "cauce_connections")) - _own_connections(port)
        if strange <= 0 or time.monotonic() > deadline:
            return strange
        time.sleep(0.1)


def _own_connections(port: int) -> int:
    connections = psutil.Process(os.getpid()).net_connections("tcp")
    return sum(
        1 for one in connections if one.status == psutil.CONN_ESTABLISHED and one.raddr and one.raddr.port == port
    )


def _metric(node: CauceProcess, name: str, but_api: str = "") -> float:
    """The sum of a metric's samples, but those of one API."""
    found = _HTTP.search(node.output)
    assert found is not None, node.output
    with urlopen(found[1] + "/metrics", timeout=10) as answer:
        text = answer.read().decode()
    families = text_string_to_metric_families(text)
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return sum(sample.value for sample in samples if not but_api or sample.labels.get("api") != but_api)


def _error_lines(log: str) -> list[str]:
    """Lines of level error or above, and of each traceback what was raised."""
    found, in_traceback = [], False
    for line in log.splitlines():
        if line.startswith("Traceback"):
            in_traceback = True
        elif _ERROR_LINE.match(line):
            found.append(line)
        elif in_traceback and line and line[0] != " ":
            in_traceback = False
            found.append(line)
    return found
