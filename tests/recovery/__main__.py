"""`python -m tests.recovery --seeds 1-20`: rounds of copied buckets; one line each."""

import argparse
import random
import tempfile
import time
from pathlib import Path

from tests.recovery.copies import copy_round

_LATE = (0.0, 0.02, 0.1, 0.3)


def main() -> None:
    """Run the rounds that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests.recovery", description=__doc__)
    parser.add_argument("--seeds", default="1-8", help="A or A-B")
    first, _, last = parser.parse_args().seeds.partition("-")
    for seed in range(int(first), int(last or first) + 1):
        dice = random.Random(-seed)
        kills, late = dice.randrange(3), dice.choice(_LATE)
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="cauce-") as folder:
            outcome = copy_round(Path(folder), seed, kills=kills, late=late)
        print(f"seed {seed}: {kills} kills, late {late}: {outcome}, {time.monotonic() - begun:.1f} s", flush=True)


if __name__ == "__main__":
    main()
