"""`python -m bench.history`: millions of transactions produced, compacted, and read back every way there is.

A seeded topic is produced with librdkafka, compacted by the node's compactor, and read through Fetch, replay, its
Iceberg table and (where pyspark and Java are present) Spark. Every reading must give the digest that the seed gives.
Prints one row a step, and the greatest RSS of the node's processes.

python -m bench.history --records 20000000
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.digest import Digest
from bench.history_load import expected_digest, produce_all
from bench.history_ways import TABLE_WAYS, WAYS, Place, compacted, in_table
from bench.memory import PeakMemory
from cauce.testing import CauceProcess

TOPIC = "transactions"
_COMPACT_SECONDS = 3600.0


def _step(name: str, records: int, action: Callable[[], object]) -> object:
    began = time.monotonic()
    answer = action()
    seconds = time.monotonic() - began
    print(f"| {name} | {seconds:.1f} | {records / seconds / 1000:.0f} |", flush=True)
    return answer


def _await(what: str, records: int, count: Callable[[], int]) -> None:
    deadline = time.monotonic() + _COMPACT_SECONDS
    while (done := count()) < records:
        if time.monotonic() > deadline:
            raise SystemExit(f"only {done} of {records} records were {what}")
        time.sleep(1.0)


def _node(arguments: argparse.Namespace, folder: Path) -> CauceProcess:
    settings = [*arguments.set, "cauce.compaction.interval.ms=1000", "cauce.compaction.age.ms=10000"]
    return CauceProcess(folder, options=[word for one in settings for word in ("--set", one)])


def _make_topic(bootstrap: str, partitions: int, table: bool) -> None:
    config = {"retention.ms": "-1"} | ({"cauce.table": "iceberg"} if table else {})
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(TOPIC, partitions, config=config)])[TOPIC].result(60)


def _differences(expected: Digest, found: Digest) -> Iterator[str]:
    for partition, wanted in expected.partitions.items():
        got = found.partitions.get(partition)
        if got != wanted:
            yield f"partition {partition}: {got} instead of {wanted}"


def _run(arguments: argparse.Namespace, folder: Path) -> int:
    count, partitions = arguments.records, arguments.partitions
    each = count // partitions
    failed = 0
    with _node(arguments, folder) as node, PeakMemory(node.pid) as memory:
        table = not TABLE_WAYS.isdisjoint(arguments.ways)
        _make_topic(node.bootstrap, partitions, table)
        place = Place(node.bootstrap, folder)
        print("| step | s | k records/s |\n|---|---|---|", flush=True)
        _step("produce", count, lambda: produce_all(node.bootstrap, TOPIC, arguments.seed, partitions, each))
        _step("compaction's rest", count, lambda: _await("compacted", each * partitions, lambda: compacted(place)))
        if table:
            _step("table's rest", count, lambda: _await("in the table", each * partitions, lambda: in_table(place)))
        expected = expected_digest(arguments.seed, partitions, each)
        for name in arguments.ways:
            found = _step(name, count, partial(WAYS[name], place, TOPIC))
            if found is None:
                print(f"{name} was left out", file=sys.stderr)
                continue
            assert isinstance(found, Digest)
            for difference in _differences(expected, found):
                failed += 1
                print(f"{name}: {difference}", file=sys.stderr)
        print(memory.report())
    print(f"{expected.rows} records: " + ("all readings agree" if not failed else f"{failed} differences"))
    return 1 if failed else 0


def main() -> None:
    parser = argparse.ArgumentParser(description="Produce, compact and read back a long history every way there is.")
    parser.add_argument("--records", type=int, default=20_000_000)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ways", nargs="*", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--set", action="append", default=[], help="a setting of the node, NAME=VALUE")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cauce-history-") as folder:
        raise SystemExit(_run(arguments, Path(folder)))


if __name__ == "__main__":
    main()
