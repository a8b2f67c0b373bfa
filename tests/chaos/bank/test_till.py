"""A till whose client hangs is given up; its transaction was surely not committed."""

import random
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.bank import till as module
from tests.chaos.bank.entries import draw_up
from tests.chaos.bank.journal import Journal
from tests.chaos.bank.till import Till
from tests.chaos.score import Score


class HangingProducer:
    """Answers everything at once, but for the offsets."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.released = threading.Event()
        self.asked_to_commit = False

    def init_transactions(self, seconds: float) -> None: ...
    def begin_transaction(self) -> None: ...
    def produce(self, *record: Any, **more: Any) -> None: ...

    def send_offsets_to_transaction(self, positions: Any, group: Any, seconds: float) -> None:
        self.released.wait(60)

    def commit_transaction(self, seconds: float) -> None:
        self.asked_to_commit = True


def test_a_till_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[HangingProducer] = []

    def make(settings: dict[str, Any]) -> HangingProducer:
        made.append(HangingProducer(settings))
        return made[-1]

    monkeypatch.setattr(module, "Producer", make)
    monkeypatch.setattr(module, "_HANGS_SECONDS", 0.05)
    score, journal = Score(tmp_path / "history.jsonl", 1), Journal()
    till = Till("nowhere:1", "till", score, journal, random.Random(1))
    transfer = draw_up([(1, 5), (2, -5)], score.new_value)
    assert till.commit([transfer], ([], None)) is False
    assert till.broken
    assert transfer.committed is False
    assert score.counts["given up, hanging in librdkafka"] == 1
    made[0].released.set()
    assert not made[0].asked_to_commit
    score.close()
