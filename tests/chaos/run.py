"""Carries a schedule out on a world with clients, and judges what came of it."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.faults import KINDS
from tests.chaos.report import Outcome, Report, totals
from tests.chaos.schedule import BETWEEN_STORMS_SECONDS, Planned
from tests.chaos.score import Score
from tests.chaos.workload import WORKLOADS
from tests.chaos.world import Durability, World, running
from tests.checker.check import check
from tests.checker.history import read_history

_RECOVERY_SECONDS = 45.0  # then a fault's line says what has not come back
_WELL_SECONDS = 150.0


class Conductor:
    """Begins and ends the faults of a schedule, each in a thread of its own."""

    def __init__(
        self,
        world: World,
        score: Score,
        report: Report,
        settle_seconds: float | None = None,
        storm_patience: float = 0.0,
    ) -> None:
        """`storm_patience`: a storm waits for so many seconds until the cluster is well again."""
        self._settle_seconds = settle_seconds
        self._storm_patience = storm_patience
        self._world = world
        self._score = score
        self._report = report
        self._lock = threading.Lock()
        self._under_way: set[Planned] = set()
        self._acting: set[Planned] = set()  # begun, and not ended yet

    def carry_out(self, planned: Sequence[Planned]) -> None:
        """All of them; returns when the last is settled."""
        began, ended, threads = time.monotonic(), 0.0, []
        for fault in planned:
            time.sleep(max(0.0, began + fault.at - time.monotonic()))
            if fault.at >= ended + BETWEEN_STORMS_SECONDS:
                began += self._await_well()
            ended = max(ended, fault.end)
            thread = threading.Thread(target=self._carry_out, args=(fault,), name=fault.kind, daemon=True)
            thread.start()
            threads.append(thread)
        for thread in threads:
            thread.join()

    def _await_well(self) -> float:
        """Seconds that passed until all faults had ended and the cluster was well, or the patience was over."""
        began = time.monotonic()
        while self._acting and time.monotonic() < began + self._storm_patience:
            time.sleep(0.3)  # polls with a deadline
        left = began + self._storm_patience - time.monotonic()
        if left > 0:
            self._world.await_well(left)
        return time.monotonic() - began

    def _carry_out(self, fault: Planned) -> None:
        kind, trouble = KINDS[fault.kind], []
        with self._lock:
            self._under_way.add(fault)
            self._acting.add(fault)
            beside = {one.kind for one in self._under_way} - {fault.kind}
        before = self._totals()
        from_begin = self._score.watch()
        for act in (kind.begin, kind.end):
            try:
                act(self._world, fault)
            except Exception as error:  # noqa: BLE001 (a fault that cannot be made is told, the run goes on)
                trouble.append(f"trouble: {error!r}")
            if act is kind.begin:
                time.sleep(fault.seconds)
        from_end = self._score.watch()
        with self._lock:
            self._acting.discard(fault)
            beside |= {one.kind for one in self._under_way} - {fault.kind}

        def took() -> dict[str, int]:
            grown = self._totals() - before
            return {name: grown[name] for name in kind.effects if grown[name]}

        self._settle(
            kind.settle if self._settle_seconds is None else self._settle_seconds,
            lambda: from_end.acknowledged and from_end.polled and took(),
        )
        with self._lock:
            self._under_way.discard(fault)
        grown = self._totals() - before
        outcome = Outcome(
            fault,
            sorted(beside),
            from_begin,
            from_end,
            took(),
            grown["acknowledged"],
            grown["ambiguous"],
            "; ".join(trouble),
        )
        self._score.unwatch(from_begin)
        self._score.unwatch(from_end)
        with self._lock:
            self._report.outcomes.append(outcome)
            print(outcome.line, flush=True)

    def _totals(self) -> Counter[str]:
        return self._world.evidence.totals(self._world.everybody) + self._score.counts.copy()

    def _settle(self, seconds: float, came: Callable[[], object]) -> None:
        """At least so long, and until everything came that is waited for, or it is late."""
        begin = time.monotonic()
        while time.monotonic() < begin + seconds or (time.monotonic() < begin + _RECOVERY_SECONDS and not came()):
            if self._score.stopping.wait(0.2):
                return


@dataclass(frozen=True)
class Run:
    """What to do."""

    seed: int
    durability: Durability
    planned: Sequence[Planned]
    kinds: Sequence[str]  # that could have been drawn
    rate: float = 100.0  # records a second
    session_seconds: float = 6.0
    settle_seconds: float | None = None  # after each fault; None: as its kind has it
    workload: str = "log"
    storm_patience: float = 0.0  # seconds for which a storm waits until the cluster is well
    planted: str = ""  # modules of tests.planted, with commas


def run(folder: Path, plan: Run) -> list[str]:
    """A whole run; answers what is wrong, in sentences."""
    score, report = Score(folder / "history.jsonl", plan.seed), Report(plan.kinds)
    workload = WORKLOADS[plan.workload]
    with running(folder, workload.topics, plan.seed, plan.durability, plan.session_seconds, plan.planted) as world:
        print(f"disks are full by {world.nodes[0].disk.kind}; clocks jump inside the nodes", flush=True)
        clients = workload.crowd(world.bootstrap, score, plan.rate)
        clients.start()
        try:
            conductor = Conductor(world, score, report, plan.settle_seconds, plan.storm_patience)
            conductor.carry_out(plan.planned)
            world.heal()
            if problem := world.await_well(_WELL_SECONDS):
                score.fail(f"{_WELL_SECONDS:.0f} s after everything was healed {problem}")
            clients.finish()
        finally:
            clients.abandon()
    score.close()
    counted = world.evidence.totals(world.everybody)
    counted["ends of nodes by themselves"] = sum(node.ended_by_itself for node in world.everybody)
    for line in (*report.of_kinds(), *totals(score, counted)):
        print(line)
    for text, count in world.evidence.errors.most_common(15):
        print(f"logged {count} times: {text}")
    wrong = list(score.wrong)
    wrong += [f"{name} never took effect" for name in report.without_effect()]
    wrong += [f"{finding.kind}: {finding.sentence}" for finding in check(read_history(score.path))]
    if not score.counts["acknowledged"]:
        wrong.append("nothing was acknowledged: the run says nothing")
    return wrong
