"""Every fault of the design's table at once, on a real cluster under load from real clients.

    python -m tests.chaos --minutes 10 --seed 7 --durability object
    python -m tests.chaos --workload bank --minutes 10 --seed 7 --durability wal

Prints a line for each fault and what each kind of fault did; ends with 1, and keeps history and logs, when a promise
was broken or a kind of fault that was drawn never took effect.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.faults import SECONDS, kinds_at
from tests.chaos.run import Run, run
from tests.chaos.schedule import draw
from tests.chaos.workload import WORKLOADS

_INSIDE = "CHAOS_NAMESPACE"


def in_a_namespace_of_its_own() -> None:
    """Start this program again where it may mount small disks for its nodes, if the machine lets us."""
    if _INSIDE in os.environ or shutil.which("unshare") is None:
        return
    words = ["unshare", "--user", "--map-root-user", "--mount"]
    probe = [*words, "sh", "-c", "mount -t tmpfs -o size=64k none /tmp"]
    if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
        os.environ[_INSIDE] = "1"
        os.execvp(words[0], [*words, sys.executable, "-m", "tests.chaos", *sys.argv[1:]])


def main() -> None:
    parser = argparse.ArgumentParser(description="Every fault at once, on a cluster under load.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--durability", choices=("object", "wal"), default="object")
    parser.add_argument("--workload", choices=sorted(WORKLOADS), default="log")
    parser.add_argument("--rate", type=float, default=100, help="records a second")
    parser.add_argument("--session", type=float, default=6, help="session time-out of the nodes, in seconds")
    parser.add_argument(
        "--patient",
        type=float,
        default=0,
        help="seconds for which a storm waits for a cluster that is well",
    )
    parser.add_argument("--only", help="kinds of faults, with commas")
    parser.add_argument("--planted", default="", help="modules of tests.planted whose bugs the nodes have, with commas")
    parser.add_argument("--keep", action="store_true", help="keep history and logs of a run that is well, too")
    arguments = parser.parse_args()
    in_a_namespace_of_its_own()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no node is left over
    kinds = arguments.only.split(",") if arguments.only else kinds_at(arguments.durability)
    kinds = [kind for kind in kinds if kind not in WORKLOADS[arguments.workload].left_out]
    planned = draw(arguments.seed, 60 * arguments.minutes, kinds, SECONDS)
    folder = Path(tempfile.mkdtemp(prefix="cauce-chaos-"))
    began = time.monotonic()
    print(f"seed {arguments.seed}, durability {arguments.durability}, {len(planned)} faults; in {folder}", flush=True)
    plan = Run(
        seed=arguments.seed,
        durability=arguments.durability,
        planned=planned,
        kinds=kinds,
        rate=arguments.rate,
        session_seconds=arguments.session,
        workload=arguments.workload,
        storm_patience=arguments.patient,
        planted=arguments.planted,
    )
    wrong = run(folder, plan)
    for sentence in wrong[:30]:
        print(f"WRONG: {sentence}")
    print(f"seed {arguments.seed} at {arguments.durability}: {len(wrong)} wrong after {time.monotonic() - began:.0f} s")
    if wrong or arguments.keep:
        print(f"history.jsonl and the logs of the nodes are in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.flush()
    os._exit(1 if wrong else 0)  # a client that does not close would keep this process


if __name__ == "__main__":
    main()
