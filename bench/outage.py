"""`python -m bench.outage`: the object store is away for minutes, under load.

A node on a real S3 server behind a faulty proxy, and idempotent librdkafka producers that offer a steady load. The
store answers 503, resets connections, and falls silent, in turn; then it is back. What was offered meanwhile is in the
producers' queues; beyond them the application waits, and with `--make-up` sends it all later. Memory and disk of the
node must stay within their budgets, producers may be told retriable errors only, and in the end everything is read
back: nothing lost, nothing doubled, all in order and where it was acknowledged. Ends with 1 when any of it does not
hold.

python -m bench.outage --minutes 10 --rate-mib 20 --durability object
"""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.outage_load import RECORD_BYTES, RETRIABLE, Load, Produced, Producers, problems, read_back
from bench.outage_place import MIB, Budgets, OutagePlace, outage_place, sleep_until
from bench.verdict import end_with
from tests.chaos.store_proxy import Outage

TOPIC = "orders"
_WAYS: tuple[Outage, ...] = ("503", "reset", "silence")
_BEFORE_SECONDS = 15.0
_AFTER_SECONDS = 30.0
_ROUNDS = 2  # of all ways
_TELL_SECONDS = 15.0
_LAST_TICK_SECONDS = 0.5  # ticks are so far apart, at the most: what the store's return brings is not in them


def _load_all(place: OutagePlace, options: argparse.Namespace) -> list[Load]:
    admin = AdminClient({"bootstrap.servers": place.node.bootstrap})
    config = {"cauce.durability": options.durability, "retention.ms": "-1"}
    admin.create_topics([NewTopic(TOPIC, 2 * options.producers, config=config)])[TOPIC].result(60)
    began = time.monotonic() + 3.0  # processes start
    rate = options.rate_mib * MIB / RECORD_BYTES / options.producers
    return [
        Load(
            bootstrap=place.node.bootstrap,
            topic=TOPIC,
            number=number,
            partitions=(2 * number, 2 * number + 1),
            records_per_second=rate,
            began=began,
            make_up=options.make_up,
        )
        for number in range(options.producers)
    ]


def _break_store(place: OutagePlace, budgets: Budgets, begin: float, seconds: float) -> float:
    """Away from `begin` on for so many seconds; answers when it was back, by the monotonic clock."""
    each = seconds / (_ROUNDS * len(_WAYS))
    for turn, way in enumerate(_WAYS * _ROUNDS):
        _watch(budgets, begin + turn * each)
        print(f"{time.monotonic() - begin:6.0f} s: {way}", flush=True)
        place.set_outage(way)
    _watch(budgets, begin + seconds)
    place.set_outage("")
    print(f"{time.monotonic() - begin:6.0f} s: back", flush=True)
    return time.monotonic()


def _watch(budgets: Budgets, until: float) -> None:
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(_TELL_SECONDS, left))
        if left > _TELL_SECONDS:
            sizes = ", ".join(f"{name} {size / MIB:.0f} MiB" for name, size in budgets.now.items())
            print(f"         {sizes}", flush=True)


def _times(results: Sequence[Produced], away: float, back: float) -> Iterator[tuple[str, float | str]]:
    """What the ticks of all producers say, as rows of a table."""
    grid = np.arange(min(one.ticks[0][0] for one in results), max(one.ticks[-1][0] for one in results), 0.25)
    sums = [
        sum(np.interp(grid, [t[0] for t in one.ticks], [t[at] for t in one.ticks]) for one in results)
        for at in (1, 2, 3)
    ]
    offered, sent, acknowledged = (np.asarray(one) * RECORD_BYTES for one in sums)
    at_back = int(np.searchsorted(grid, back))
    during = np.interp([away, back - _LAST_TICK_SECONDS], grid, acknowledged)
    before = np.interp([away - _BEFORE_SECONDS / 2, away], grid, acknowledged)
    yield "acknowledged before, MiB/s", float(np.diff(before)[0]) / MIB / (_BEFORE_SECONDS / 2)
    yield "acknowledged while it was away, MiB", float(np.diff(during)[0]) / MIB
    still = grid[(grid > away) & (acknowledged < during[1] - 1)]
    yield "acknowledging went on for, s", max(0.0, float(still[-1]) - away) if len(still) else 0.0
    queued, due = sent[at_back], offered[at_back]
    yield "in producers' queues when it was back, MiB", float(queued - acknowledged[at_back]) / MIB
    targets = {"first": during[1] + RECORD_BYTES, "all that was in queues": queued}
    if due > queued + RECORD_BYTES:
        yield "waiting in the application then, MiB", float(due - queued) / MIB
        targets["all that had been offered"] = due
    for name, target in targets.items():
        reached = grid[(grid > back) & (acknowledged >= target - 1)]
        yield f"{name} acknowledged after it was back, s", float(reached[0]) - back if len(reached) else "never"
    if len(reached):
        yield "that is, MiB/s", float(due - acknowledged[at_back]) / MIB / (float(reached[0]) - back)


def _wrong(budgets: Budgets, limits: dict[str, int], results: Sequence[Produced]) -> Iterator[str]:
    for name, limit in limits.items():
        size = budgets.greatest.get(name, 0)
        if size > limit:
            yield f"{name}: {size / MIB:.0f} MiB, above {limit / MIB:.0f}"
    for one in results:
        yield from (f"producer {one.number}: {failure}" for failure in one.failed[:5])
        yield from (f"producer {one.number} was told: {error}" for error in one.told if error not in RETRIABLE)


def _run(options: argparse.Namespace, folder: Path) -> list[str]:
    limits = {"node": options.node_mib * MIB, "compactor": 1024 * MIB, "WAL": options.wal_mib * MIB}
    settings = [f"cauce.wal.bytes={options.wal_mib * MIB}", *options.set]
    with outage_place(folder, settings) as place:
        budgets = Budgets(place.node)
        loads = _load_all(place, options)
        producers = Producers(loads)
        try:
            away = loads[0].began + _BEFORE_SECONDS
            back = _break_store(place, budgets, away, options.minutes * 60)
            sleep_until(back + _AFTER_SECONDS)
            results = producers.finish()
        finally:
            producers.kill()
        calm = dict(budgets.greatest)
        print("\n| | |\n|---|---|")
        print(
            f"| minutes away, MiB/s offered, durability | {options.minutes}, {options.rate_mib}, {options.durability} |"
        )
        for name, value in _times(results, away, back):
            print(f"| {name} | {value if isinstance(value, str) else format(value, ',.1f')} |")
        told = sum((one.told for one in results), Counter())
        print(f"| errors of batches, tried again | {', '.join(f'{n} {e}' for e, n in told.items()) or 'none'} |")
        print(f"| requests cut, refused, silent | {_counts(place)} |", flush=True)
        began = time.monotonic()
        found = read_back(place.node.bootstrap, TOPIC, 2 * options.producers)
        records = sum(len(rows) for rows, _ in found.values())
        acknowledged = sum(int((one.offsets >= 0).sum()) for one in results)
        print(f"| records acknowledged, read back | {acknowledged:,}, {records:,} ({time.monotonic() - began:.0f} s) |")
        budgets.close()
        for name, limit in limits.items():
            sizes = f"{calm.get(name, 0) / MIB:,.0f}, with the reading back {budgets.greatest.get(name, 0) / MIB:,.0f}"
            print(
                f"| greatest {'size' if name == 'WAL' else 'RSS'} of {name}, of MiB | {sizes}, of {limit / MIB:,.0f} |"
            )
        wrong = [*_wrong(budgets, limits, results), *problems(loads, results, found)]
        if options.log:
            Path(options.log).write_text(place.node.output)
        return wrong


def _counts(place: OutagePlace) -> str:
    return ", ".join(f"{place.store.counts[name]:,}" for name in ("resets", "refused", "silent"))


def main() -> None:
    """One table; what is wrong goes to standard error."""
    parser = argparse.ArgumentParser(prog="python -m bench.outage", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate-mib", type=float, default=20.0, help="MiB/s that all producers together offer")
    parser.add_argument("--durability", choices=["object", "wal"], default="object")
    parser.add_argument("--producers", type=int, default=2)
    parser.add_argument("--make-up", action="store_true", help="send later what was offered while queues were full")
    parser.add_argument("--node-mib", type=int, default=2048, help="RSS that the node may have")
    parser.add_argument("--wal-mib", type=int, default=4096, help="cauce.wal.bytes")
    parser.add_argument("--set", action="append", default=[], help="a setting of the node, NAME=VALUE")
    parser.add_argument(
        "--log", default="", help="file for what the node printed; without it only when something is wrong"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cauce-outage-") as folder:
        wrong = _run(options, Path(folder))
    end_with(wrong, "nothing lost, nothing doubled, all within its budget")


if __name__ == "__main__":
    main()
