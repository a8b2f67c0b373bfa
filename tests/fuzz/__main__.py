"""python -m tests.fuzz --inputs 100000 --seed 1 [--bootstrap 127.0.0.1:9092]

Sends hostile inputs to a node and reports what became of them. Without --bootstrap it starts a node of its own, lets a
real client work on it meanwhile, and looks at its memory, connections and log. With it, the node should be a throw-away
one: valid requests of every kind are among the inputs. Ends with 1 when the node no longer serves or shows a problem.
`--first N --inputs 1` sends input N again.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from infra.wire.client import parse_addresses
from tests.fuzz.node import fuzz_own_node
from tests.fuzz.run import Fuzz


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--connections", type=int, default=48)
    parser.add_argument("--bootstrap", help="HOST:PORT of a running node; otherwise one is started")
    parser.add_argument("--rounds", type=int, default=1, help="how often to send the same inputs to the own node")
    parser.add_argument("--log", type=Path, help="where to write what the own node printed")
    arguments = parser.parse_args()
    if arguments.bootstrap is None:
        numbers = range(arguments.first, arguments.first + arguments.inputs)
        found = fuzz_own_node(arguments.seed, [numbers] * arguments.rounds, arguments.connections, arguments.log)
        sys.stdout.write(f"{found}\n")
        return 1 if found.problems else 0
    (address,) = parse_addresses(arguments.bootstrap)
    fuzz = Fuzz(address.host, address.port, arguments.seed, arguments.connections)
    report = asyncio.run(fuzz.run(iter(range(arguments.first, arguments.first + arguments.inputs))))
    sys.stdout.write(f"{report}\n")
    return 0 if report.dead is None else 1


if __name__ == "__main__":
    sys.exit(main())
