"""`python -m bench.beside`: what a replay beside it costs a producer, against a busy loop in the replay's place.

A producer sends 500 records of 1 KiB a second with acks=all and keeps the latency of each. Beside it, in turns, a full
replay of a compacted topic into Arrow and a loop that does nothing run on one and the same core, to which their process
is pinned; each turn is one window. The table has the medians of the windows' percentiles and of the ratios of pairs.
"""

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from bench.case import percentiles
from bench.compacted import TOPIC, compacted_topic, make_topic

_LIVE = "live"
_RECORD_BYTES = 1024
_SETTLE_SECONDS = 1.0  # of a window, not counted
_LOOPS = 100_000


class Sent(NamedTuple):
    """One acknowledged record: when it was sent, on the machine's monotonic clock, and how long it took."""

    at: float
    latency_ms: float


def send(bootstrap: str, rate: int, ready: Any, end: Any, out: Any) -> None:
    """Produce until told to end, then hand over every `Sent`; what was refused ends the run."""
    from confluent_kafka import Producer

    sent: list[Sent] = []
    failed: list[str] = []

    def delivered(error: Any, message: Any) -> None:
        if error is not None:
            failed.append(str(error))
        else:
            sent.append(Sent(time.monotonic() - message.latency(), message.latency() * 1000))

    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 0})
    value = os.urandom(_RECORD_BYTES)
    producer.produce(_LIVE, value)
    producer.flush(60)
    ready.release()
    due = time.monotonic()
    while not end.is_set():
        producer.produce(_LIVE, value, on_delivery=delivered)
        due += 1 / rate
        producer.poll(max(0.0, due - time.monotonic()))
    producer.flush(60)
    out.put((sent, failed))


def replay(bootstrap: str, core: int, ready: Any, run: Any, rows: Any) -> None:
    """Replay the whole topic again and again while `run` is set; count rows."""
    os.sched_setaffinity(0, {core})
    import cauce
    import reader.replay.session  # noqa: F401 - before it counts

    ready.release()
    while run.wait():
        for batch in cauce.replay(TOPIC, bootstrap=bootstrap):
            rows.value += len(batch)
            if not run.is_set():
                break


def spin(bootstrap: str, core: int, ready: Any, run: Any, rows: Any) -> None:
    """Keep the core busy while `run` is set."""
    os.sched_setaffinity(0, {core})
    ready.release()
    while run.wait():
        for _ in range(_LOOPS):
            pass


def _windows(neighbours: dict[str, Any], rounds: int, seconds: float) -> list[tuple[str, float, float]]:
    windows = []
    for number in range(rounds):
        order = list(neighbours) if number % 2 else list(neighbours)[::-1]
        for name in order:
            neighbours[name].set()
            began = time.monotonic()
            time.sleep(seconds)
            windows.append((name, began + _SETTLE_SECONDS, time.monotonic()))
            neighbours[name].clear()
            time.sleep(_SETTLE_SECONDS)
    return windows


def _measure(bootstrap: str, options: argparse.Namespace) -> tuple[dict[str, list[tuple[float, float]]], float]:
    """p50 and p99 of each window by its neighbour, and how many thousand rows a second the replay gave."""
    context = multiprocessing.get_context("spawn")
    core = max(os.sched_getaffinity(0))
    ready, end, out, rows = context.Semaphore(0), context.Event(), context.Queue(), context.Value("q", 0)
    beside: dict[str, Callable[..., None]] = {"a full replay": replay, "a busy loop": spin}
    neighbours = {name: context.Event() for name in beside}
    producer = context.Process(target=send, args=(bootstrap, options.rate, ready, end, out))
    others = [
        context.Process(target=target, args=(bootstrap, core, ready, neighbours[name], rows), daemon=True)
        for name, target in beside.items()
    ]
    for process in (producer, *others):
        process.start()
    for _ in (producer, *others):
        if not ready.acquire(timeout=120):
            raise SystemExit("a process did not begin")
    windows = _windows(neighbours, options.rounds, options.seconds)
    end.set()
    sent, failed = out.get(timeout=120)
    producer.join()
    for process in others:
        process.kill()
        process.join()
    if failed:
        raise SystemExit(f"{len(failed)} records were refused: {failed[0]}")
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in beside}
    for name, begin, until in windows:
        window = percentiles([one.latency_ms for one in sent if begin <= one.at < until])
        if window is None:
            raise SystemExit("a window without an acknowledgement: --seconds should be more")
        found[name].append(window[:2])
    return found, rows.value / 1000 / (options.rounds * options.seconds)


def main() -> None:
    """Make the topic, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.beside", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000, help="of the topic that is replayed")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=8.0, help="of a window")
    parser.add_argument("--rate", type=int, default=500, help="records a second")
    options = parser.parse_args()
    with compacted_topic(options.records, 4) as (node, _):
        make_topic(node.bootstrap, _LIVE, 1)
        found, rate = _measure(node.bootstrap, options)
    print(f"{options.rounds} alternations of {options.seconds:.0f} s; the replay gave {rate:.0f} k records/s\n")
    print("| beside | ack p50 ms | p99 ms |\n|---|---|---|")
    for name, windows in found.items():
        p50, p99 = (statistics.median(window[at] for window in windows) for at in (0, 1))
        print(f"| {name} | {p50:.2f} | {p99:.2f} |")
    pairs = list(zip(*found.values(), strict=True))
    ratios = [statistics.median(first[at] / second[at] for first, second in pairs) for at in (0, 1)]
    print(f"| ratio, median of pairs | {ratios[0]:.2f} | {ratios[1]:.2f} |")


if __name__ == "__main__":
    main()
