"""`python -m bench`: produce and consume with librdkafka against a node of its own; prints a Markdown table.

python -m bench                              every case, 1 GiB for 1 KiB records, 256 MiB for 100 B
python -m bench --mib 64 --only 1024B        smaller and fewer
"""

import argparse
import tempfile
from pathlib import Path

from bench.case import Case, Figures, all_cases
from bench.run import make_topic, run_consume, run_produce
from cauce.testing import CauceProcess

_HEAD = (
    "| load | produce MB/s | k records/s | ack p50 ms | p99 | p99.9 | node CPU s/GiB "
    "| consume MB/s | k records/s | node CPU s/GiB |\n|---|---|---|---|---|---|---|---|---|---|"
)


def _row(case: Case, produced: Figures, consumed: Figures) -> str:
    p50, p99, p999 = produced.latencies_ms or (0.0, 0.0, 0.0)
    return (
        f"| {case.record_bytes} B, acks={case.acks}, {case.producers} producers, {case.partitions} partitions "
        f"| {produced.mb_per_second:.0f} | {produced.records_per_second / 1000:.0f} "
        f"| {p50:.1f} | {p99:.1f} | {p999:.1f} | {produced.cpu_per_gib:.2f} "
        f"| {consumed.mb_per_second:.0f} | {consumed.records_per_second / 1000:.0f} | {consumed.cpu_per_gib:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Produce and consume with librdkafka against a node of its own.")
    parser.add_argument("--mib", type=int, default=1024, help="MiB of 1 KiB records a case; 100 B cases take a quarter")
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    parser.add_argument("--set", action="append", default=[], help="a setting of the node, NAME=VALUE")
    arguments = parser.parse_args()
    cases = [case for case in all_cases() if arguments.only in case.name]
    options = [word for setting in arguments.set for word in ("--set", setting)]
    with tempfile.TemporaryDirectory(prefix="cauce-bench-") as folder:
        with CauceProcess(Path(folder), options=options) as node:
            print(_HEAD, flush=True)
            for number, case in enumerate(cases):
                topic = f"bench-{number}"
                make_topic(node.bootstrap, topic, case.partitions)
                size = (arguments.mib << 20) // (1 if case.record_bytes >= 1024 else 4)
                produced = run_produce(node.bootstrap, node.pid, topic, case, size)
                consumed = run_consume(node.bootstrap, node.pid, topic, case, produced.records)
                print(_row(case, produced, consumed), flush=True)


if __name__ == "__main__":
    main()
