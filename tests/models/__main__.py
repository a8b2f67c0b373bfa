"""Explore the models, and see that each rule is needed.

    python -m tests.models                    what the default suite explores
    python -m tests.models --deep             bigger ones: minutes, and gigabytes with --most 0
    python -m tests.models --without fence    the counterexample where a rule is left out
    python -m tests.models --only wal         one model

Ends with 1 when a model does not hold, or holds without one of its rules.
"""

import argparse
import sys
from collections.abc import Sequence

from tests.models.catalogue import CATALOGUE
from tests.models.explorer import Modelled, explore


def main() -> None:
    parser = argparse.ArgumentParser(description="The protocols of the design, state by state.")
    parser.add_argument("--deep", action="store_true", help="bigger bounds")
    parser.add_argument("--most", type=int, default=3_000_000, help="states of one exploration; 0: all of them")
    parser.add_argument("--only", help="the model of that name")
    parser.add_argument("--without", help="print the counterexample where this rule is left out")
    arguments = parser.parse_args()
    chosen = [one for one in CATALOGUE if arguments.only in (None, one.name)]
    if not chosen:
        parser.error(f"the models are: {', '.join(one.name for one in CATALOGUE)}")
    if arguments.without is not None:
        sys.exit(_print_counterexamples(chosen, arguments.without))
    wrong = sum(_check(one, arguments.deep, arguments.most or None) for one in chosen)
    sys.exit(1 if wrong else 0)


def _check(modelled: Modelled, deep: bool, most: int | None) -> int:
    explored = explore(modelled.intact(deep=deep), most)
    print(f"{modelled.name}: {explored}", flush=True)
    wrong = int(explored.broken is not None)
    for name in modelled.rules:
        lacking = explore(modelled.lacking(name), most)
        found = f"found in {len(lacking.counterexample)} steps" if lacking.broken else "NOT FOUND"
        print(f"    without {name!r}: {found}, {lacking.broken or lacking}", flush=True)
        wrong += lacking.broken is None
    return wrong


def _print_counterexamples(chosen: Sequence[Modelled], rule: str) -> int:
    having = [one for one in chosen if rule in one.rules]
    for modelled in having:
        print(f"{modelled.name} without {rule!r} ({modelled.rules[rule].says}):\n{explore(modelled.lacking(rule))}")
    return 0 if having else 1


if __name__ == "__main__":
    main()
