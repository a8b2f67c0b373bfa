"""What clients do in a chaos run, chosen by name: another workload brings its own topics and clients, and no faults."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tests.chaos.bank import topics as bank_topics
from tests.chaos.bank.clients import BankClients
from tests.chaos.clients import Clients
from tests.chaos.score import Score
from tests.chaos.topics import TOPICS, ChaosTopic


class Crowd(Protocol):
    """All clients of a run."""

    def start(self) -> None:
        """All of them."""

    def finish(self) -> None:
        """On a cluster that is well: all gets its answer and is read to its end; what is wrong, the score is told."""

    def abandon(self) -> None:
        """Stop without a care."""


@dataclass(frozen=True)
class Workload:
    """One kind of load."""

    topics: Sequence[ChaosTopic]  # there before the clients are
    crowd: Callable[[str, Score, float], Crowd]  # bootstrap, score, records a second
    left_out: Collection[str] = ()  # kinds of faults that need other clients


WORKLOADS: Mapping[str, Workload] = {
    "log": Workload(TOPICS, Clients),
    "bank": Workload(bank_topics.TOPICS, BankClients, ("topics",)),
}
