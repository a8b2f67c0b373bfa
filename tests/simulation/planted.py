"""`python -m tests.simulation.planted [NAME …] [--most N]`: whether the general simulation finds each planted bug.

Each is planted in turn, and seeds are run, at durability object, wal and mixed in turn or at one of them, until one
fails. Prints which code ran, how many seeds it took, and what was found.
"""

import argparse
import gc
import logging
import sys
from collections.abc import Sequence

from tests.planted import description, names, planted
from tests.simulation.code_digest import code_digest, commit
from tests.simulation.run import DURABILITIES, Durability, Result, simulate


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 1 when one was not found."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.planted", description=__doc__)
    parser.add_argument("names", nargs="*", help="all when none is given")
    parser.add_argument("--most", type=int, default=60, help="seeds for each at the most")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--durability", choices=DURABILITIES, help="of the topics; all in turn when it is not given")
    given = parser.parse_args(arguments)
    durabilities = (given.durability,) if given.durability else DURABILITIES
    logging.disable(logging.CRITICAL)
    gc.freeze()
    print(f"commit {commit()}, code {code_digest()}")
    missed = 0
    for name in given.names or names():
        tried, result = until_found(name, given.first, given.most, durabilities)
        if result is None:
            missed += 1
            print(f"| {name} | not found in {tried} | | {description(name)} |", flush=True)
        else:
            kinds = ", ".join(sorted({one.kind for one in result.findings}))
            print(f"| {name} | {tried} | {kinds} | {description(name)} |", flush=True)
    return 1 if missed else 0


def until_found(
    name: str, first: int = 1, most: int = 60, durabilities: Sequence[Durability] = DURABILITIES
) -> tuple[int, Result | None]:
    """How many seeds were run, and the run that failed."""
    with planted(name):
        for seed in range(first, first + most):
            result = simulate(seed, durabilities[seed % len(durabilities)])
            if result.findings:
                return seed - first + 1, result
    return most, None


if __name__ == "__main__":
    sys.exit(main())
