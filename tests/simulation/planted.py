"""`python -m tests.simulation.planted [NAME …] [--most N]`: whether the general simulation finds each planted bug.

Each is planted in turn, and seeds are run, at durability object, wal and mixed in turn, until one fails. Prints how
many seeds that took, and what was found.
"""

import argparse
import gc
import logging
import sys

from tests.planted import description, names, planted
from tests.simulation.run import DURABILITIES, Result, simulate


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 1 when one was not found."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.planted", description=__doc__)
    parser.add_argument("names", nargs="*", help="all when none is given")
    parser.add_argument("--most", type=int, default=60, help="seeds for each at the most")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    given = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    gc.freeze()
    missed = 0
    for name in given.names or names():
        tried, result = until_found(name, given.first, given.most)
        if result is None:
            missed += 1
            print(f"| {name} | not found in {tried} | | {description(name)} |", flush=True)
        else:
            kinds = ", ".join(sorted({one.kind for one in result.findings}))
            print(f"| {name} | {tried} | {kinds} | {description(name)} |", flush=True)
    return 1 if missed else 0


def until_found(name: str, first: int = 1, most: int = 60) -> tuple[int, Result | None]:
    """How many seeds were run, and the run that failed."""
    with planted(name):
        for tried in range(1, most + 1):
            result = simulate(first + tried - 1, DURABILITIES[tried % len(DURABILITIES)])
            if result.findings:
                return tried, result
    return most, None


if __name__ == "__main__":
    sys.exit(main())
