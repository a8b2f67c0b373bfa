"""The examples of engines, run as a user runs them on real flights, against the same sums made from the data itself."""

import json
import subprocess
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from cauce.testing import CauceProcess
from examples.flights import load_flights
from tests.engines.engines import absent
from tests.engines.filled import EAGER, FilledTopic

_EXAMPLES = Path(__file__).parents[2] / "examples"
_FLIGHTS = 6000


@dataclass(frozen=True)
class Flights:
    """A topic of flights, half of them in record segments, and what examples have to print of it."""

    bootstrap: str
    lines: list[str]


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flights]:
    folder = tmp_path_factory.mktemp("node")
    rows = load_flights(_FLIGHTS)
    with CauceProcess(folder, options=EAGER) as node:
        admin = AdminClient({"bootstrap.servers": node.bootstrap})
        admin.create_topics([NewTopic("flights", 3)])["flights"].result(30)
        _produce(node.bootstrap, rows[: _FLIGHTS // 2])
        FilledTopic(node.bootstrap, "flights", 3).await_compacted()
    with CauceProcess(folder, node.bootstrap) as node:
        _produce(node.bootstrap, rows[_FLIGHTS // 2 :])
        yield Flights(node.bootstrap, _expected(rows))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("engine", ["Polars", "Dask", "Spark"])
def test_delays_by_airline(engine: str, flights: Flights) -> None:
    reason = absent(engine)
    if reason is not None:
        warnings.warn(f"the example of {engine} was left out: {reason}", stacklevel=1)
        pytest.skip(reason)
    script = _EXAMPLES / f"{engine.lower()}_flights.py"
    done = subprocess.run(
        [sys.executable, str(script), "--bootstrap", flights.bootstrap], capture_output=True, text=True, timeout=580
    )
    assert done.returncode == 0, done.stdout + done.stderr
    first, *lines = done.stdout.splitlines()
    assert first.startswith(f"{_FLIGHTS:,} flights in ")
    assert sorted(lines[: len(flights.lines)]) == flights.lines
    assert lines[len(flights.lines) :] == ([f"{_FLIGHTS:,} flights streamed"] if engine == "Spark" else [])


def _produce(bootstrap: str, rows: list[tuple[bytes | None, bytes]]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5})
    for key, value in rows:
        producer.produce("flights", value, key)
    assert producer.flush(60) == 0


def _expected(rows: list[tuple[bytes | None, bytes]]) -> list[str]:
    found: dict[str, list[Any]] = defaultdict(list)
    for _, value in rows:
        flight = json.loads(value)
        found[flight["carrier"]].append(flight["dep_delay"])
    lines = []
    for carrier, delays in found.items():
        known = [delay for delay in delays if delay is not None]
        lines.append(f"{carrier} {len(delays)} {sum(known) / len(known):.2f}")
    return sorted(lines)
