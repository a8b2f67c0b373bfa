"""Random histories of a small cluster: nothing live is ever deleted, and in the end nothing dead is left.

`python -m tests.compactor_garbage.histories --histories 2000` runs many more than the test suite does.
"""

import argparse
import asyncio
from collections.abc import Sequence
from random import Random

from tests.compactor_garbage.cluster import GRACE_MS, UNDELETE_MS, Crashed, Oracle, SmallCluster

STEPS = (
    *("create", "delete", "undelete", "lead", "lead", "flush", "flush", "flush", "flush_late", "compact", "compact"),
    *("merge", "retain", "finish_slow", "probe", "collect", "collect", "minutes", "minutes", "hours"),
)
BESIDE = ("collect", "create", "undelete", "delete", "lead", "flush", "finish_slow", *("",) * 7)
Step = tuple[str, str, int]  # what happens, what beside it, and at which request all die; beyond 30 they live


async def run_history(steps: Sequence[Step], seed: int) -> SmallCluster:
    """Let it all happen, then let time pass, and compare the bucket with what is needed."""
    cluster = await SmallCluster(seed).start()
    oracle = Oracle(cluster)

    def check(keys: Sequence[str]) -> None:
        cluster.discover()
        live = oracle.needed().intersection(keys)
        assert not live, f"deleted although they are needed: {sorted(live)}"

    cluster.store.before_delete = check
    await cluster.create()
    for name, beside, dies_in in steps:
        await oracle.look()
        cluster.store.dies_in = dies_in // 2 if dies_in <= 30 else None
        cluster.store.dies_after = dies_in % 2 == 1
        outcomes = await asyncio.gather(
            *(getattr(cluster, one)() for one in (name, beside) if one), return_exceptions=True
        )
        cluster.store.dies_in = None
        for outcome in outcomes:
            if isinstance(outcome, Crashed):
                cluster.forget_leaders()
            elif outcome is not None:
                raise outcome
        cluster.discover()
        await oracle.look()
        oracle.check_readable()
        oracle.check_names()
    await _settle(cluster, oracle)
    return cluster


async def _settle(cluster: SmallCluster, oracle: Oracle) -> None:
    cluster.clock.seconds += UNDELETE_MS / 1000
    await cluster.lead_all()
    for _ in range(12):
        cluster.clock.seconds += GRACE_MS / 1000
        for collector in cluster.collectors:
            report = await collector.run()
            assert not report.missing
            assert not report.damaged
            assert not report.unknown
        oracle.check_readable()
    cluster.discover()
    there = set(cluster.store.keys())
    assert (await cluster.check()).findings == ()
    assert there == oracle.needed(), (sorted(there - oracle.needed()), sorted(oracle.needed() - there))


def random_steps(random: Random, most: int = 150) -> list[Step]:
    """A history as Hypothesis might make it."""
    return [
        (random.choice(STEPS), random.choice(BESIDE), random.randrange(300)) for _ in range(random.randrange(5, most))
    ]


def main() -> None:
    """Many histories from a seed; the first that fails says its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    words = parser.parse_args()
    deleted = collected = 0
    for seed in range(words.seed, words.seed + words.histories):
        try:
            cluster = asyncio.run(run_history(random_steps(Random(seed)), seed))
        except BaseException:
            print(f"seed {seed} fails: --histories 1 --seed {seed}")
            raise
        deleted += sum(len(report.deleted) for report in cluster.reports)
        collected += len(cluster.reports)
    print(
        f"{words.histories} histories, {collected} cycles, {deleted} objects deleted on the way: nothing lost or left"
    )


if __name__ == "__main__":
    main()
