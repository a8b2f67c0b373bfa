"""Test against a real node: a pytest fixture that gives a bootstrap string in about a second.

    def test_my_service(cauce_bootstrap):
        producer = confluent_kafka.Producer({"bootstrap.servers": cauce_bootstrap})

The plugin is found by pytest once cauce is installed. `cauce_bootstrap` is one node for the whole test session; tests
keep out of one another's way by topic names of their own. Without pytest, use `CauceProcess` in a with statement.
"""

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

_START_SECONDS = 120.0  # a start takes one; a machine that is busy with other tests may need many
_STOP_SECONDS = 30.0
_LISTENING = re.compile(r"listening on (\S+)|running without listeners")
_GREETED = "health and metrics"  # the last line that every node prints once it serves; those before it are read by then


class CauceProcess:
    """`cauce up` or `cauce node` as a process of its own, on a data folder that is kept between starts."""

    module = "cauce"
    """What `python -m` runs."""

    def __init__(
        self,
        data: Path,
        listen: str = "127.0.0.1:0",
        options: Sequence[str] = (),
        command: str = "up",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`listen`: HOST:PORT, or PROTOCOL://HOST:PORT for one that is not plain text.

        `options`: further words of the command line, for example `["--set", "num.partitions=4"]`.

        `command`: `node` for one of a cluster, whose options name the `--bucket` and `--redis` that the nodes share.
        `environment`: variables that it has beside those of this process.
        """
        self._environment = dict(environment or {})
        self._command = command
        self.data = data
        self.bootstrap = listen  # HOST:PORT as clients are told; the port is real once started
        self._listen = listen  # where it listens when started again: the same place
        self._options = list(options)
        self._process: subprocess.Popen[str] | None = None
        self._lines: list[str] = []

    @property
    def pid(self) -> int:
        """Process id of the running node."""
        assert self._process is not None, "the node is not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def output(self) -> str:
        """What the node printed so far, for messages about failures."""
        return "".join(self._lines)

    def start(self) -> Self:
        """Start the node and wait until it says where it listens, or that it does not.

        Raises `RuntimeError` with what it printed.
        """
        command = [sys.executable, "-m", self.module, self._command, "--data", str(self.data), "--listen", self._listen]
        self._process = subprocess.Popen(
            command + self._options,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **self._environment},
        )
        ready: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._follow, args=(self._process, ready), daemon=True).start()
        with contextlib.suppress(queue.Empty):
            address = ready.get(timeout=_START_SECONDS)
            if address:
                self.bootstrap = address
                if self._listen.endswith(":0"):
                    protocol, separator, _ = self._listen.rpartition("://")
                    self._listen = protocol + separator + address
                return self
        self.kill()
        raise RuntimeError(f"the node did not start:\n{self.output}")

    def stop(self, within_seconds: float = _STOP_SECONDS) -> int:
        """Stop cleanly and answer the exit code. Raises `RuntimeError` when it takes longer."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(within_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"the node did not stop:\n{self.output}") from None

    def kill(self) -> None:
        """End it as `kill -9` does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.running:
            self.stop()

    def _follow(self, process: subprocess.Popen[str], ready: "queue.Queue[str]") -> None:
        assert process.stdout is not None
        address = ""
        for line in process.stdout:
            self._lines.append(line)
            if found := _LISTENING.search(line):
                address = found[1] or self.bootstrap
            if address and _GREETED in line:
                ready.put(address)
        ready.put("")


@pytest.fixture(scope="session")
def cauce_node() -> Iterator[CauceProcess]:
    """A running node for the whole test session, on a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="cauce-") as folder:
        settings = {
            "group.initial.rebalance.delay.ms": "0",
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": "200",  # a test of a time-out waits for it
        }
        options = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
        with CauceProcess(Path(folder), options=options) as node:
            yield node


@pytest.fixture(scope="session")
def cauce_bootstrap(cauce_node: CauceProcess) -> str:
    """HOST:PORT of that node."""
    return cauce_node.bootstrap
