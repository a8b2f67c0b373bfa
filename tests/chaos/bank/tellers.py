"""Those who transfer by themselves: mostly they commit; now and then they abort, crash, or come back as zombies."""

import random
import threading
import time

from confluent_kafka import KafkaException

from tests.chaos.bank.entries import draw_up
from tests.chaos.bank.journal import Journal
from tests.chaos.bank.till import Till
from tests.chaos.bank.topics import draw_amounts
from tests.chaos.client_log import logged
from tests.chaos.score import Score


class Teller(threading.Thread):
    """One transactional id, and its producers one after the other."""

    def __init__(self, bootstrap: str, score: Score, journal: Journal, *, name: str, rate: float) -> None:
        """`rate`: transactions a second, at the most."""
        super().__init__(name=name, daemon=True)
        self._brokers = bootstrap
        self._score = score
        self._journal = journal
        self._rate = rate
        self._random = random.Random(f"{score.seed} {name}")
        self._logged = logged(score, name, "eos")

    def run(self) -> None:
        """Until the run stops."""
        till: Till | None = None
        while not self._score.stopping.is_set():
            began = time.monotonic()
            try:
                till = self._transfer(till if till is not None and not till.broken else self._new_till())
            except KafkaException as failure:  # of a producer that could not begin
                self._score.add(f"beginnings told {failure.args[0].name()}")
                till = None
            self._score.stopping.wait(max(0.0, began + self._random.uniform(0, 2) / self._rate - time.monotonic()))

    def _new_till(self) -> Till:
        return Till(self._brokers, self.name, self._score, self._journal, self._random, **self._logged)

    def _transfer(self, till: Till) -> Till:
        transfers = [
            draw_up(draw_amounts(self._random), self._score.new_value) for _ in range(self._random.choice((1, 1, 2)))
        ]
        fate = self._random.random()
        if fate < 0.04:
            return till.outlived(transfers, self._new_till)
        if fate < 0.08:
            till.crash(transfers, written=fate < 0.06)
        elif fate < 0.2:
            till.abort(transfers)
        else:
            till.commit(transfers)
        return till
