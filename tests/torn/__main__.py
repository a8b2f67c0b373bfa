"""`python -m tests.torn`: every step with every fault, at both durabilities; minutes, nearly all of it waiting."""

import argparse
import sys
import time

from tests.torn.held_node import STEPS
from tests.torn.steps import OBJECT, WAL, Fault, held_cluster, tear


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torn", description=__doc__)
    parser.add_argument("--durability", choices=[OBJECT, WAL], action="append")
    parser.add_argument("--fault", choices=list(Fault), action="append", type=Fault)
    parser.add_argument("--step", choices=STEPS, action="append")
    words = parser.parse_args()
    for durability in words.durability or [OBJECT, WAL]:
        with held_cluster(durability) as cluster:
            for fault in words.fault or Fault:
                for step in words.step or STEPS:
                    begun = time.monotonic()
                    tear(cluster, step, fault)
                    print(f"{durability} {step} {fault}: whole, {time.monotonic() - begun:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
