"""How long partitions stand still when the node that leads them is killed, or is stopped as for an upgrade.

    python -m tests.chaos.takeovers --kills 50 --seed 7 --durability object
    python -m tests.chaos.takeovers --kills 50 --seed 7 --durability wal
    python -m tests.chaos.takeovers --kills 12 --seed 7 --how stop

At `object` others take over: the time from the kill until a write is acknowledged in every partition that the node
led, against the session time-out plus a second. At `wal` the partitions wait for the disk: the time from the start of
the process until the same, against five seconds. A clean stop, one node after the other: the longest between two
acknowledgements of a partition (one of which waits for a flush), against two seconds, when the node leaves and when
it comes back. The nodes themselves are asked for it, without a pause; when librdkafka went on, whose timers are its
own, stands beside it. In the end everything is read and checked: nothing is lost, nothing is there twice. Prints where
the time went.
"""

import argparse
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from cauce.testing import CauceProcess
from tests.cauce.cluster import ThreeNodes, eventually, nodes_on, shared_redis
from tests.cauce.kept import node_id
from tests.chaos.readers import read_to_end
from tests.chaos.score import Recovery, Score
from tests.chaos.takeover_load import Follower, SteadyWriter
from tests.chaos.takeover_log import Moment, session_seconds_left
from tests.chaos.takeover_probe import Pauses, Probe
from tests.checker.check import check
from tests.checker.history import Partition, read_history
from tests.servers import credentials, seaweed

TOPIC, PARTITIONS = "takeovers", 24  # so many that each node leads some
_SESSION_SECONDS = 6.0
_PROMISES = {"object": _SESSION_SECONDS + 1, "wal": 5.0, "stop": 2.0}  # seconds
_RATE = 200.0  # records a second
_LAST_POLL_SECONDS = 120.0
_TOOK = r"took [1-9]\d* leases of"


@dataclass(frozen=True)
class Measured:
    """One kill or stop: seconds, and what they consist of."""

    seconds: float
    parts: dict[str, float]

    @property
    def line(self) -> str:
        """As people read it."""
        return f"{self.seconds:.2f} s ({', '.join(f'{name} {part:.2f}' for name, part in self.parts.items())})"


class Trial:
    """A running cluster under load."""

    def __init__(self, cluster: ThreeNodes, redis: str, score: Score, seed: int) -> None:
        self.cluster = cluster
        self.chance = random.Random(seed)
        self._redis = redis
        self.score = score
        self.places: list[Partition] = [(TOPIC, number) for number in range(PARTITIONS)]
        self.writer = SteadyWriter(cluster.bootstrap, self.places, score, _RATE)
        self._follower = Follower(cluster.bootstrap, self.places, score)

    def start(self) -> None:
        """Clients begin."""
        self.cluster.create_topic(TOPIC, PARTITIONS)
        self.writer.start()
        self._follower.start()
        self.await_well()

    def finish(self) -> list[str]:
        """Everything gets its answer and is read; what is wrong, in sentences."""
        self.score.stopping.set()
        self.writer.join()
        self.score.read.set()
        self._follower.join()
        read_to_end(self.cluster.bootstrap, self.places, self.score, _LAST_POLL_SECONDS)
        self.score.close()
        findings = check(read_history(self.score.path))
        return [*self.score.wrong, *(f"{finding.kind}: {finding.sentence}" for finding in findings)]

    def await_well(self) -> None:
        """Until all nodes lead, all agree, and something sent after that is acknowledged everywhere."""
        self.cluster.await_leaders(TOPIC)
        watch = self.writer.watch()
        self._await_all(watch, self.places)

    def kill_and_take_over(self, number: int) -> Measured:
        """At `object`: until others acknowledge."""
        victim, led = self._victim(number)
        time.sleep(self.chance.uniform(0, _SESSION_SECONDS / 3))  # at any moment between two renewals
        lapse, killed = session_seconds_left(self._redis, node_id(victim)), Moment(self.cluster.nodes)
        watch, probe = self.writer.watch(), Probe(self.score, led)
        victim.kill()
        accepted = max(probe.ask([node.bootstrap for node in self.cluster.living]).values())
        self._await_all(watch, led)
        taken = max(killed.times_of(node, _TOOK)[-1] for node in self.cluster.living if killed.times_of(node, _TOOK))
        victim.start()
        self.await_well()
        seconds = max(watch.acknowledged[place] for place in led)
        return Measured(
            accepted,
            {
                "session lapsed": lapse,
                "leases taken": taken - lapse,
                "acknowledged": accepted - taken,
                "librdkafka, in all": seconds,
            },
        )

    def kill_and_come_back(self, number: int) -> Measured:
        """At `wal`: from the start of the process until it acknowledges; before or after its session has lapsed."""
        victim, led = self._victim(number)
        victim.kill()
        time.sleep(self.chance.uniform(0, _SESSION_SECONDS * 1.5))
        started, watch, probe = Moment(self.cluster.nodes), self.writer.watch(), Probe(self.score, led)
        with ThreadPoolExecutor(1) as asking:
            asked = asking.submit(probe.ask, [victim.bootstrap])
            victim.start()
            accepted = max(asked.result().values())
        self._await_all(watch, led)
        seconds = max(watch.acknowledged[place] for place in led)
        process, taken = started.times_of(victim, ".")[0], started.times_of(victim, _TOOK)[-1]
        self.await_well()
        return Measured(
            accepted,
            {
                "process up": process,
                "leases taken": taken - process,
                "acknowledged": accepted - taken,
                "librdkafka, in all": seconds,
            },
        )

    def stop_and_start(self, number: int) -> Measured:
        """A clean stop and a start, one node after the other."""
        victim, led = self._victim(number)
        self.writer.take_slowest()
        bootstraps = [node.bootstrap for node in self.cluster.nodes]
        leaving, began = self._pauses(bootstraps), time.monotonic()
        if victim.stop() != 0:
            self.score.fail(f"a node did not stop in order:\n{victim.output[-2000:]}")
        stopped = time.monotonic() - began
        self._await_all(self.writer.watch(), self.places)
        left = leaving.end()
        coming = self._pauses(bootstraps)
        victim.start()
        self.await_well()
        came = coming.end()
        others = max(pause for place, pause in left.items() if place not in led)
        parts = {"leaves": max(left[place] for place in led), "others meanwhile": others, "is back": max(came.values())}
        more = {"stop": stopped, "librdkafka, in all": self.writer.take_slowest()}
        return Measured(max(parts.values()), parts | more)

    def _pauses(self, bootstraps: Sequence[str]) -> Pauses:
        pauses = Pauses(self.score, self.places, bootstraps)
        pauses.start()
        return pauses

    def _victim(self, number: int) -> tuple[CauceProcess, list[Partition]]:
        victim = self.cluster.nodes[number % len(self.cluster.nodes)]
        leaders = self.cluster.leaders(TOPIC)
        return victim, [(TOPIC, number) for number, leader in leaders.items() if leader == node_id(victim)]

    def _await_all(self, watch: Recovery, places: Sequence[Partition]) -> None:
        eventually(f"{len(places)} partitions go on", lambda: watch.acknowledged.keys() >= set(places))


def measure(trial: Trial, how: str, kills: int) -> list[Measured]:
    """All kills or stops, a line for each."""
    promise = _PROMISES[how]
    act = {"object": trial.kill_and_take_over, "wal": trial.kill_and_come_back, "stop": trial.stop_and_start}[how]
    measured = []
    for number in range(kills):
        psutil.cpu_percent()
        one = act(number)
        busy, load = psutil.cpu_percent(), psutil.getloadavg()[0]
        measured.append(one)
        verdict = "" if one.seconds <= promise else f", OVER {promise:.0f} s"
        print(f"{number + 1:3}: {one.line}{verdict}; machine {busy:.0f} % busy, load {load:.1f}", flush=True)
    return measured


def summary(measured: Sequence[Measured], promise: float) -> list[str]:
    """Median, 90th of 100, and the most of the whole and of its parts."""
    lines = []
    series = {"in all": [one.seconds for one in measured]}
    series |= {name: [one.parts[name] for one in measured] for name in measured[0].parts}
    for name, seconds in series.items():
        ninth = statistics.quantiles([*seconds, *seconds], n=10)[-1]
        lines.append(f"{name}: median {statistics.median(seconds):.2f} s, p90 {ninth:.2f} s, most {max(seconds):.2f} s")
    kept = sum(one.seconds <= promise for one in measured)
    return [*lines, f"the promise of {promise:.0f} s was kept {kept} times of {len(measured)}"]


@contextmanager
def running(folder: Path, durability: str, seed: int) -> Iterator[Trial]:
    """The cluster and its load."""
    settings = {"cauce.durability": durability, "cauce.session.timeout.ms": str(round(_SESSION_SECONDS * 1000))}
    with credentials(), seaweed() as store, shared_redis(folder) as redis:
        with nodes_on(folder, store.url("takeovers"), redis, settings) as cluster:
            trial = Trial(cluster, redis, Score(folder / "history.jsonl", seed), seed)
            try:
                trial.start()
                yield trial
            finally:
                trial.score.stopping.set()
                trial.score.read.set()
                for at, node in enumerate(cluster.nodes):
                    (folder / f"node-{at}.log").write_text(node.output)


def main() -> None:
    """Run what the command line names; ends with 1 when anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.takeovers", description="Kill who leads.")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--durability", choices=("object", "wal"), default="object")
    parser.add_argument("--how", choices=("kill", "stop"), default="kill")
    parser.add_argument("--keep", action="store_true", help="keep history and logs of a run that is well, too")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no node is left over
    how = "stop" if arguments.how == "stop" else arguments.durability
    folder = Path(tempfile.mkdtemp(prefix="cauce-takeovers-"))
    with running(folder, arguments.durability, arguments.seed) as trial:
        measured = measure(trial, how, arguments.kills)
        wrong = trial.finish()
    counts = ", ".join(f"{name} {count}" for name, count in sorted(trial.score.counts.items()) if count)
    print("\n".join([*summary(measured, _PROMISES[how]), f"clients: {counts}"]))
    for sentence in wrong[:20]:
        print(f"WRONG: {sentence}")
    print(f"seed {arguments.seed} at {arguments.durability}, {arguments.how}: {len(wrong)} wrong")
    if wrong or arguments.keep:
        print(f"history.jsonl and the logs of the nodes are in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
