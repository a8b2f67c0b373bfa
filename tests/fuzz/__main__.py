"""python -m tests.fuzz --inputs 100000 --seed 1 --bootstrap 127.0.0.1:9092

Sends hostile inputs to a running node (a throw-away one: valid requests of every kind are among them) and reports
what became of them. Ends with 1 when the node no longer serves. `--first N --inputs 1` sends input N again.
"""

import argparse
import asyncio
import sys

from infra.wire.client import parse_addresses
from tests.fuzz.run import Fuzz


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--connections", type=int, default=48)
    parser.add_argument("--bootstrap", default="127.0.0.1:9092")
    arguments = parser.parse_args()
    (address,) = parse_addresses(arguments.bootstrap)
    fuzz = Fuzz(address.host, address.port, arguments.seed, arguments.connections)
    numbers = iter(range(arguments.first, arguments.first + arguments.inputs))
    report = asyncio.run(fuzz.run(numbers))
    sys.stdout.write(f"{report}\n")
    return 0 if report.dead is None else 1


if __name__ == "__main__":
    sys.exit(main())
