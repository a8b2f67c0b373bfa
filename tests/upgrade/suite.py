"""The wire suite's cases, run with client libraries against a cluster, and counted."""

import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.wire.aiokafka_client import AiokafkaClient
from tests.wire.cases import CASES as ALL_CASES
from tests.wire.cases import KINDS
from tests.wire.client import Client, LeftOut
from tests.wire.compatibility import PASS
from tests.wire.confluent_client import ConfluentClient
from tests.wire.kafka_python_client import KafkaPythonClient
from tests.wire.peers import run_suite

CLIENTS: tuple[type[Client], ...] = (ConfluentClient, AiokafkaClient, KafkaPythonClient)
_KINDS = [kind for kind in KINDS if kind != "transaction"]  # they wait until no node of an earlier release lives
CASES = {name: case for name, case in ALL_CASES.items() if name.partition("_")[0] in _KINDS}


@dataclass(slots=True)
class Tally:
    """How the cases went with one client."""

    client: str
    passed: int = 0
    left_out: int = 0
    failed: dict[str, str] = field(default_factory=dict)  # case → why
    notes: list[str] = field(default_factory=list)  # of cases that passed

    def __str__(self) -> str:
        return f"{self.client} {self.passed} passed, {self.left_out} left out, {len(self.failed)} failed"


def run_cases(
    bootstrap: str, nodes: int, stage: str, clients: Sequence[type[Client]], cases: Sequence[str] = tuple(CASES)
) -> list[Tally]:
    """Cases, one client library beside the other; `stage` keeps their names apart from other runs'."""
    with ThreadPoolExecutor(max(len(clients), 1)) as pool:  # none, where only peers were asked for
        return list(pool.map(lambda kind: _run(kind, bootstrap, nodes, stage, cases), clients))


def run_peers(commands: Mapping[str, list[str]], bootstrap: str, nodes: int, stage: str) -> list[Tally]:
    """The suites of clients outside Python, one after the other; a case that a suite lacks counts as left out."""
    tallies = []
    for name, command in commands.items():
        tally = Tally(name)
        for case, outcome, why in run_suite(command, bootstrap, nodes, stage, _KINDS):
            if outcome == PASS:
                tally.passed += 1
                tally.notes += [why] if why else []
            else:
                tally.failed[case] = why[:500]
        tally.left_out = len(CASES) - tally.passed - len(tally.failed)
        tallies.append(tally)
    return tallies


def _run(kind: type[Client], bootstrap: str, nodes: int, stage: str, cases: Sequence[str]) -> Tally:
    tally = Tally(kind.name)
    client = kind(bootstrap, node_count=nodes)
    try:
        for case in cases:
            try:
                CASES[case](client, f"{case.replace('_', '-')}.{client.name}.{stage}")
                tally.passed += 1
            except LeftOut:
                tally.left_out += 1
            except BaseException as error:  # noqa: BLE001  what a case raises is its outcome, pytest's Failed too
                last = traceback.extract_tb(error.__traceback__)[-1]
                tally.failed[case] = f"{type(error).__name__}: {error} ({last.name}:{last.lineno})"[:500]
    finally:
        client.close()
    tally.notes += client.notes
    return tally
