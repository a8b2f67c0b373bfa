"""Runs one case: makes its topic, produces, consumes, and reads the node's CPU time meanwhile."""

import psutil
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.case import Case, Figures, percentiles
from bench.load import consume, produce, run_together


def node_cpu_seconds(pid: int) -> float:
    """User and system time of the node and its children (the embedded Redis, engines' workers)."""
    node = psutil.Process(pid)
    total = 0.0
    for process in [node, *node.children(recursive=True)]:
        times = process.cpu_times()
        total += times.user + times.system
    return total


def make_topic(bootstrap: str, name: str, partitions: int) -> None:
    """A new topic, led."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics([NewTopic(name, partitions, 1)]).values():
        future.result(60)


def run_produce(bootstrap: str, pid: int, topic: str, case: Case, total_bytes: int) -> Figures:
    """Produce `total_bytes` of values, shared by the producers of the case."""
    each = max(1, total_bytes // case.record_bytes // case.producers)
    before = node_cpu_seconds(pid)
    results = run_together(produce, [(bootstrap, topic, case, each) for _ in range(case.producers)])
    cpu = node_cpu_seconds(pid) - before
    for result in results:
        if result.error:
            raise SystemExit(f"{case.name}: {result.error}")
    return Figures(
        records=each * case.producers,
        size=each * case.producers * case.record_bytes,
        seconds=max(result.ended for result in results) - min(result.began for result in results),
        node_cpu_seconds=cpu,
        latencies_ms=percentiles([latency for result in results for latency in result.latencies_ms]),
    )


def run_consume(bootstrap: str, pid: int, topic: str, case: Case, records: int) -> Figures:
    """One consumer process reads all partitions from the beginning."""
    before = node_cpu_seconds(pid)
    began, ended, read, size = run_together(consume, [(bootstrap, topic, list(range(case.partitions)), records)])[0]
    if read < records:
        raise SystemExit(f"{case.name}: only {read} of {records} records were read")
    return Figures(read, size, ended - began, node_cpu_seconds(pid) - before)
