"""The simulation as part of the suite: a few seeds, the same trace twice, and the rules of its loop."""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import infra.clock
from infra.segment.holders import Holders
from ingest.footer_walk import FooterWalk
from tests.checker.history import Operation, Poll, Send
from tests.planted import names
from tests.simulation.__main__ import run
from tests.simulation.code_digest import code_digest
from tests.simulation.planted import until_found
from tests.simulation.run import Durability, simulate
from tests.simulation.verdict import judge

SHORT_SECONDS = 12.0


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize(("seed", "durability"), [(1001, "object"), (1002, "wal"), (1003, "mixed")])
def test_a_seed_keeps_every_promise(seed: int, durability: Durability) -> None:
    result = simulate(seed, durability, fault_seconds=SHORT_SECONDS)
    assert result.findings == []
    assert result.acknowledged > 20
    assert result.effects


def test_takeovers_meet_segments_that_tell_of_holders(monkeypatch: pytest.MonkeyPatch) -> None:
    read = FooterWalk.read
    settled = []

    def counted(self: FooterWalk, holders: Mapping[int, Holders]) -> None:
        before = self._stretch.start
        read(self, holders)
        settled.append(bool(holders) and before > 0 and not self._upto)

    monkeypatch.setattr(FooterWalk, "read", counted)
    for seed in range(1001, 1011):  # which of them does so changes with what nodes ask for
        assert simulate(seed, "object", fault_seconds=SHORT_SECONDS).findings == []
        if any(settled):
            return
    pytest.fail("no takeover ended at a segment that tells of holders")


def test_a_seed_replays_exactly() -> None:
    once, again = (simulate(1004, fault_seconds=SHORT_SECONDS) for _ in range(2))
    assert (once.digest, once.events, once.operations) == (again.digest, again.events, again.operations)
    assert once.digest != simulate(1005, fault_seconds=SHORT_SECONDS).digest


def test_a_seed_does_the_same_in_a_process_of_its_own(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    assert run(range(1006, 1008), "object", results, processes=2) == 0
    rows = {row["seed"]: row for row in map(json.loads, results.read_text(encoding="utf-8").splitlines())}
    assert sorted(rows) == [1006, 1007]
    assert rows[1006]["digest"] == simulate(1006, "object").digest


def test_only_results_of_the_very_code_that_runs_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {
        "commit": "another",
        "seed": 1,
        "durability": "wal",
        "findings": [],
        "acknowledged": 7,
        "ambiguous": 0,
        "polled": 7,
        "effects": {},
    }
    results = tmp_path / "results.jsonl"
    rows = [{**row, "code": code_digest()}, {**row, "code": "0123456789", "seed": 2}]
    results.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    assert run(range(1, 2), "wal", results) == 0
    said = capsys.readouterr().out.split(" | ")
    assert said[1:6] == [code_digest(), "wal", "1-1", "1", "7"]
    assert len(results.read_text(encoding="utf-8").splitlines()) == len(rows)


def test_the_digest_is_of_the_loaded_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = code_digest()
    changed = tmp_path / "clock.py"
    changed.write_bytes(Path(str(infra.clock.__file__)).read_bytes() + b"\n")
    monkeypatch.setattr(infra.clock, "__file__", str(changed))
    assert code_digest() != before
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "cauce.cli.main", infra.clock)
    assert code_digest() != before  # it is loaded: it counts
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "bench.anything", infra.clock)
    assert code_digest() == before


def test_a_planted_bug_is_found() -> None:
    tried, result = until_found("epoch_starts_too_low", most=5)
    assert result is not None, f"{tried} seeds found nothing"
    assert len(names()) >= 12


def test_the_verdict_names_what_is_wrong() -> None:
    one = ("t", 0)
    history = [
        Operation(1, 0, "send", "ok", sends=(Send(one, 7, 0), Send(one, 8, 1))),
        Operation(2, 0, "poll", "ok", polls=(Poll(one, 0, 9),)),
    ]
    assert judge(history[:1], {one: [(0, 7), (1, 8)]}) == []
    assert [found.kind for found in judge(history, {one: [(0, 7)]})] == ["lost-write", "inconsistent-offset"]
    assert [found.kind for found in judge([], {one: [(0, 7), (2, 7)]})] == ["gap", "duplicate"]
