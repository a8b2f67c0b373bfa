"""`python -m tests.simulation --seeds A-B`: run seeds, and remember which were run.

    --durability object|wal|mixed   of the topics (mixed: one of each)
    --results FILE                  a JSON line for each seed; seeds that it has for this very code are not run again
    --processes N                   so many seeds at a time, each in a process of its own (1)
    --trace                         one seed: print every event, and what the nodes log

The last line goes into docs/reliability/simulation.md.
"""

import argparse
import gc
import json
import logging
import sys
from collections.abc import Iterator
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import process_time
from typing import Any

from tests.simulation.code_digest import code_digest, commit
from tests.simulation.run import Durability, simulate

_SEEDS_A_PROCESS = 200  # so that what a run leaves behind does not grow for ever


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 1 when a seed failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", required=True, help="A-B, or one seed")
    parser.add_argument("--durability", choices=("object", "wal", "mixed"), default="mixed")
    parser.add_argument("--results", type=Path)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--trace", action="store_true")
    given = parser.parse_args(arguments)
    first, _, last = given.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    gc.freeze()  # what the imports made need not be looked through after each run
    if given.trace:
        logging.basicConfig(level=logging.INFO, format="    %(name)s: %(message)s", stream=sys.stdout)
    else:
        logging.disable(logging.CRITICAL)
    return run(seeds, given.durability, given.results, given.processes, print if given.trace else None)


def run(seeds: range, durability: Durability, results: Path | None, processes: int = 1, tell: Any = None) -> int:
    """Run what `results` does not have; say what failed at once, and everything together at the end."""
    at, code = commit(), code_digest()
    rows = _read(results, code, durability)
    done = {row["seed"] for row in rows}
    for ran in _each([seed for seed in seeds if seed not in done], durability, processes, tell):
        row = {"commit": at, "code": code, **ran}
        rows.append(row)
        if row["findings"]:
            print(f"seed {row['seed']} ({durability}) failed:", *row["findings"][:10], sep="\n    ", flush=True)
        if results is not None:
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
    mine = [row for row in rows if row["seed"] in seeds]
    failed = sorted(row["seed"] for row in mine if row["findings"])
    print(line(mine, at, code, durability, seeds))
    if failed:
        print(f"failed: {failed}")
    return 1 if failed else 0


def _each(seeds: list[int], durability: Durability, processes: int, tell: Any) -> Iterator[dict[str, Any]]:
    """A row for each, in the order in which they end."""
    if processes == 1:
        yield from (_row(seed, durability, tell) for seed in seeds)
        return
    with get_context("fork").Pool(processes, maxtasksperchild=_SEEDS_A_PROCESS) as pool:
        yield from pool.imap_unordered(partial(_row, durability=durability), seeds)


def line(rows: list[dict[str, Any]], at: str, code: str, durability: str, seeds: range) -> str:
    """A row of the table in docs/reliability/simulation.md."""

    def total(name: str) -> int:
        return sum(row[name] for row in rows)

    faults = sum(sum(row["effects"].values()) for row in rows)
    failed = sum(bool(row["findings"]) for row in rows)
    return (
        f"| {at} | {code} | {durability} | {seeds.start}-{seeds.stop - 1} | {len(rows)} | {total('acknowledged')} "
        f"| {total('ambiguous')} | {total('polled')} | {faults} | {failed} |"
    )


def _row(seed: int, durability: Durability, tell: Any = None) -> dict[str, Any]:
    began = process_time()
    result = simulate(seed, durability, tell=tell)
    return {
        "seed": result.seed,
        "durability": result.durability,
        "digest": result.digest,
        "findings": [f"{one.kind}: {one.sentence}" for one in result.findings],
        "acknowledged": result.acknowledged,
        "ambiguous": result.ambiguous,
        "polled": result.polled,
        "effects": result.effects,
        "cpu_seconds": round(process_time() - began, 2),
    }


def _read(results: Path | None, code: str, durability: str) -> list[dict[str, Any]]:
    if results is None or not results.exists():
        return []
    rows = [json.loads(text) for text in results.read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if row.get("code") == code and row["durability"] == durability]


if __name__ == "__main__":
    sys.exit(main())
