"""Write, read, compact, clean, expire, delete and kill for a while; then everything must add up.

    python -m tests.soak --minutes 30 --seed 7 --kills 20

Readers of every age compare each record with what was acknowledged at its offset; what they do not get must have a
reason. A line every ten seconds tells how it goes. Ends with 1, and keeps the data folder, when something was wrong.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.soak.run import Plan, Soak


def main() -> None:
    parser = argparse.ArgumentParser(description="Everything at once for a while.")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--kills", type=int, default=0, help="kill -9 of the compactor or the node, spread over the time"
    )
    parser.add_argument("--rate", type=float, default=400, help="records a second")
    arguments = parser.parse_args()
    data = Path(tempfile.mkdtemp(prefix="cauce-soak-"))
    plan = Plan(seconds=60 * arguments.minutes, seed=arguments.seed, kills=arguments.kills, rate=arguments.rate)
    soak = Soak(data, plan)
    failures = soak.run()
    for sentence in failures[:20]:
        print(f"WRONG: {sentence}")
    counts = soak.score.counts
    print(f"seed {plan.seed}: {len(failures)} failures, {counts['acknowledged']} records acknowledged")
    if failures:
        print(f"what is left is in {data}")
    else:
        shutil.rmtree(data)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
