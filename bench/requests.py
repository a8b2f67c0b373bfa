"""`python -m bench.requests`: what the object store is asked for each GiB in, each GiB replayed, and each idle hour.

Counts by kind come from the node's metrics, the compactor's included; a replay reads the bucket by itself, so its own
requests are counted where it runs. Once with durability `wal` (large flushes, seldom) and once with `object` (small
ones, often); GiB are of keys and values as produced. Idle is measured for a while and scaled to an hour.
"""

import argparse
import asyncio
import re
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from bench.case import GIB
from bench.compacted import SEED, TOPIC, await_compaction, make_topic, new_node
from bench.history_load import produce_all
from cauce.testing import CauceProcess
from infra.store.counted import CountedStore
from infra.store.folder import FolderStore
from infra.wire.client import Client
from reader.replay.bucket import Bucket
from reader.replay.cluster import ClusterSource
from reader.replay.hot import LeaderSource
from reader.replay.request import ReplayRequest
from reader.replay.selection import Selection
from reader.replay.stream import ReplayStream

KINDS = ("create", "get", "head", "list", "delete")
_RECORD_BYTES = 191  # of key and value of a transaction, about
_COMPACTION = "cauce_compaction_store_"
_SETTLE_SECONDS = 5.0


class Requests:
    """Reads a node's metrics; each look gives what came since the one before."""

    def __init__(self, node: CauceProcess) -> None:
        [self._address] = re.findall(r"health and metrics on (http://\S+)", node.output)
        self._before: Counter[tuple[str, str]] = Counter()
        self.since()

    def since(self) -> Counter[tuple[str, str]]:
        """Requests by (process, kind)."""
        now = self._now()
        gained, self._before = now - self._before, now
        return gained

    def _now(self) -> Counter[tuple[str, str]]:
        with urllib.request.urlopen(f"{self._address}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        counts: Counter[tuple[str, str]] = Counter()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == "cauce_store_requests_total":
                    counts["node", sample.labels["kind"]] += int(sample.value)
                elif sample.name.startswith(_COMPACTION) and sample.name.endswith("s_total"):
                    kind = sample.name.removeprefix(_COMPACTION).removesuffix("s_total")
                    if kind in KINDS:
                        counts["compactor", kind] += int(sample.value)
        return counts


async def replayed(bootstrap: str, bucket: Path, columns: tuple[str, ...] | None) -> Counter[tuple[str, str]]:
    """Replay all of the topic and count its requests, as they are where the bucket is no folder."""
    counts: Counter[tuple[str, str]] = Counter()

    def observe(kind: str, outcome: str, seconds: float, size: int) -> None:
        counts["replay", kind] += 1

    client = Client(bootstrap, "bench")
    source = ClusterSource(client)
    await source.connect(30.0)
    facts = await source.topic(TOPIC)
    spans = await source.spans(facts, ReplayRequest(topic=TOPIC))
    reads = Bucket(CountedStore(FolderStore(bucket), observe))
    leader = LeaderSource(client, TOPIC, facts.topic_id)
    stream = ReplayStream(facts.topic_id, spans, reads, leader, Selection(columns=columns))
    async for _ in stream.batches():
        pass
    await reads.close()
    await client.close()
    return counts


def _row(what: str, durability: str, counts: Counter[tuple[str, str]], divisor: float) -> None:
    for process in dict.fromkeys(name for name, _ in counts) or ["node"]:
        figures: list[Any] = [f"{counts[process, kind] / divisor:,.0f}" for kind in KINDS]
        print(f"| {what} | {durability} | {process} | {' | '.join(figures)} |", flush=True)


def _run(durability: str, options: argparse.Namespace) -> None:
    settings = [*options.set, f"cauce.durability={durability}", "cauce.compaction.age.ms=20000"]
    with new_node(settings) as (node, place):
        requests = Requests(node)
        make_topic(node.bootstrap, TOPIC, options.partitions)
        each = (options.mib << 20) // _RECORD_BYTES // options.partitions
        size = each * options.partitions * _RECORD_BYTES / GIB
        requests.since()
        produce_all(node.bootstrap, TOPIC, SEED, options.partitions, each)
        await_compaction(place, each * options.partitions)
        time.sleep(_SETTLE_SECONDS)
        _row("a GiB in", durability, requests.since(), size)
        for columns in (None, ("offset", "timestamp", "key")):
            counts = asyncio.run(replayed(node.bootstrap, place.bucket, columns))
            _row(
                f"a GiB replayed, {'three' if columns else 'all'} columns", durability, counts + requests.since(), size
            )
        time.sleep(_SETTLE_SECONDS)
        requests.since()
        time.sleep(options.idle_seconds)
        _row("an idle hour", durability, requests.since(), options.idle_seconds / 3600)


def main() -> None:
    """One table."""
    parser = argparse.ArgumentParser(prog="python -m bench.requests", description=__doc__)
    parser.add_argument("--mib", type=int, default=256, help="of records produced")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--idle-seconds", type=float, default=180.0)
    parser.add_argument("--durability", nargs="*", default=["wal", "object"])
    parser.add_argument("--set", action="append", default=[], help="a setting of the node, NAME=VALUE")
    options = parser.parse_args()
    print(f"{options.mib} MiB in {options.partitions} partitions; idle for {options.idle_seconds:.0f} s, scaled\n")
    print(f"| for | durability | of | {' | '.join(KINDS)} |\n|{'---|' * (3 + len(KINDS))}")
    for durability in options.durability:
        _run(durability, options)


if __name__ == "__main__":
    main()
