"""`python -m bench.replay`: replay into Arrow and DuckDB against consuming the same topic into Arrow.

Card transactions (about 200 bytes) are produced and compacted; then rounds of every way to read them, one by one,
each in a process of its own whose start and imports do not count. "Times" compares the median seconds with those of
confluent-kafka's `consume(10_000)` into Arrow batches of all columns, "times less CPU" the CPU of client and node.
"""

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bench.case import MB
from bench.compacted import SEED, TOPIC, compacted_topic
from bench.load import run_together
from bench.run import node_cpu_seconds
from bench.transactions import transactions

_SHARE = 20  # one part in so many of the topic is the pruned range
_AGGREGATES = {
    "sql: sum of a JSON field by another": "select value->>'currency' as currency, count(*) as n, "
    f"sum((value->>'amount')::double) as amount from {TOPIC} group by currency",
    "sql: count and newest by key": f"select key, count(*), max(timestamp) from {TOPIC} group by key",
}
_IDLE_POLLS = 60
_CONSUME, _ALL, _SMALL = "consume(10_000)", "all columns", "offset, timestamp, key"
_RANGE = f"all columns, 1/{_SHARE} of the time"
_TITLES = ("s", "k records/s", "MB/s", "client CPU s", "node CPU s", "times", "times less CPU")


@dataclass(frozen=True, slots=True)
class Read:
    """One way once: wall seconds, CPU of the reading process, rows, and bytes of keys and values that it was given."""

    seconds: float
    cpu_seconds: float
    rows: int
    size: int
    node_cpu_seconds: float = 0.0


def consume(bootstrap: str, expected: int) -> tuple[int, int]:
    """Everything, as Arrow batches with all columns; rows and bytes."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "bench-replay",
            "enable.auto.commit": False,
            "fetch.message.max.bytes": 8 << 20,
            "queued.max.messages.kbytes": 256 << 10,
            "check.crcs": False,
        }
    )
    numbers = consumer.list_topics(TOPIC, 30).topics[TOPIC].partitions
    consumer.assign([TopicPartition(TOPIC, number, 0) for number in numbers])
    rows = size = idle = 0
    while rows < expected and idle < _IDLE_POLLS:
        messages = consumer.consume(10_000, 1.0)
        idle = 0 if messages else idle + 1
        batch = _as_batch(messages)
        rows, size = rows + len(batch), size + _size(batch)
    consumer.close()
    return rows, size


def _as_batch(messages: list[Any]) -> pa.RecordBatch:
    from reader.replay.request import BYTES

    columns = [
        [message.partition() for message in messages],
        [message.offset() for message in messages],
        [message.timestamp()[1] for message in messages],
        [message.key() for message in messages],
        [message.value() for message in messages],
        [message.headers() or () for message in messages],
    ]
    return pa.record_batch([pa.array(column, field.type) for column, field in zip(columns, BYTES, strict=True)], BYTES)


def replay(options: Mapping[str, Any], bootstrap: str, expected: int) -> tuple[int, int]:
    """`cauce.replay`, batch by batch; rows and bytes."""
    import cauce

    rows = size = 0
    for batch in cauce.replay(TOPIC, bootstrap=bootstrap, **options):
        rows, size = rows + len(batch), size + _size(batch)
    return rows, size


def sql(statement: str, bootstrap: str, expected: int) -> tuple[int, int]:
    """What `cauce sql` does for a statement; rows that it went through."""
    import cauce
    from reader.replay.sql import SqlSession

    session = SqlSession(lambda: [TOPIC], lambda name: cauce.scan(name, bootstrap=bootstrap, text=True))
    answer = pa.Table.from_batches(session.run(statement).batches())
    session.close()
    return pc.sum(answer[1]).as_py(), 0


def _size(batch: pa.RecordBatch) -> int:
    names = [name for name in ("key", "value") if name in batch.schema.names]
    return sum(pc.sum(pc.binary_length(batch[name])).as_py() or 0 for name in names)


def _read(way: Callable[[str, int], tuple[int, int]], bootstrap: str, expected: int, begin: Any, out: Any) -> None:
    _import_all()
    begin.wait()
    began, cpu = time.monotonic(), time.process_time()
    rows, size = way(bootstrap, expected)
    out.put(Read(time.monotonic() - began, time.process_time() - cpu, rows, size))


def _import_all() -> None:
    """What a program does once, before the clock starts; the first Arrow array also imports pandas where that is."""
    import confluent_kafka  # noqa: F401

    import cauce  # noqa: F401
    import reader.replay.session
    import reader.replay.sql  # noqa: F401

    pa.array([1])


def _ways(each: int) -> dict[str, Callable[[str, int], tuple[int, int]]]:
    start, end = _time_of(each // 2), _time_of(each // 2 + each // _SHARE)
    return {
        _CONSUME: consume,
        _ALL: partial(replay, {}),
        _SMALL: partial(replay, {"columns": ["offset", "timestamp", "key"]}),
        _RANGE: partial(replay, {"start": start, "end": end}),
        **{name: partial(sql, statement) for name, statement in _AGGREGATES.items()},
    }


def _time_of(offset: int) -> datetime:
    for table in transactions(SEED, 0, offset + 1):
        last = table
    found: datetime = last["timestamp"][-1].as_py()
    return found


def _row(name: str, reads: list[Read], base: list[Read]) -> str:
    def median(value: Callable[[Read], float], of: list[Read] = reads) -> float:
        return statistics.median(value(read) for read in of)

    def cpu(read: Read) -> float:
        return read.cpu_seconds + read.node_cpu_seconds

    seconds = median(lambda read: read.seconds)
    times = median(lambda read: read.seconds, base) / seconds
    size = reads[0].size / MB / seconds
    return (
        f"| {name} | {seconds:.2f} | {reads[0].rows / 1000 / seconds:,.0f} | {f'{size:,.0f}' if size else ''} "
        f"| {median(lambda read: read.cpu_seconds):.2f} | {median(lambda read: read.node_cpu_seconds):.2f} "
        f"| {times:.1f} | {median(cpu, base) / median(cpu):.1f} |"
    )


def main() -> None:
    """Produce, compact, read in rounds, print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.replay", description=__doc__)
    parser.add_argument("--records", type=int, default=2_000_000)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    each = options.records // options.partitions
    expected = each * options.partitions
    reads: dict[str, list[Read]] = defaultdict(list)
    with compacted_topic(options.records, options.partitions) as (node, _):
        for _ in range(options.rounds):
            for name, way in _ways(each).items():
                before = node_cpu_seconds(node.pid)
                [read] = run_together(_read, [(way, node.bootstrap, expected)])
                if name != _RANGE and read.rows != expected:
                    raise SystemExit(f"{name}: {read.rows} of {expected} records came")
                node_cpu = node_cpu_seconds(node.pid) - before
                reads[name].append(Read(read.seconds, read.cpu_seconds, read.rows, read.size, node_cpu))
    print(f"{expected:,} records; medians of {options.rounds} rounds\n")
    print(f"| way | {' | '.join(_TITLES)} |\n|{'---|' * (len(_TITLES) + 1)}")
    for name, found in reads.items():
        print(_row(name, found, reads[_CONSUME]))


if __name__ == "__main__":
    main()
