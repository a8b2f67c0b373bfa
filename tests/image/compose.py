"""The services of compose.yaml as processes of this machine: their own commands, environment and health checks.

Every service gets a loopback address of its own in place of its name and of 0.0.0.0, so that the ports stay as the file
has them. What the images bring is here as a package: Valkey, SeaweedFS, and Cauce itself.
"""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infra.view.embedded import find_server
from tests.image.dockerfile import ROOT

COMPOSE = ROOT / "compose.yaml"
_ENTRY = {"cauce": [sys.executable, "-m", "cauce"]}  # image → entry point
_START_SECONDS = 90.0
_UNITS = {"s": 1, "m": 60}


def services() -> dict[str, dict[str, Any]]:
    """The file's services, its anchors merged."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


def seconds(text: str) -> int:
    """Of `30s` or `1m`."""
    return int(text[:-1]) * _UNITS[text[-1]]


@dataclass
class Service:
    """One that runs."""

    name: str
    address: str
    process: "subprocess.Popen[bytes]"
    grace_seconds: int
    log: Path

    def stop(self) -> int:
        """As `docker compose stop` does it; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(self.grace_seconds)


class Composed:
    """All services of the file, started in the order that they ask for."""

    def __init__(self, folder: Path) -> None:
        net = random.SystemRandom().randrange(1 << 14)
        self.addresses = {
            name: f"127.{64 + net // 128}.{net % 128 + 1}.{number + 1}" for number, name in enumerate(services())
        }
        self.running: dict[str, Service] = {}
        self._folder = folder

    def start(self) -> None:
        """Start them all: those first on whom others depend, and go on when they are healthy."""
        waiting = services()
        while waiting:
            ready = [name for name, row in waiting.items() if not row.get("depends_on", {}).keys() & waiting.keys()]
            assert ready, "services depend on one another in a ring"
            for name in ready:
                self.running[name] = self._run(name, waiting[name])
            for name in ready:
                self._await_health(name, waiting.pop(name))

    def kill(self) -> None:
        """End what still runs."""
        for service in self.running.values():
            service.process.kill()
            service.process.wait()

    def _run(self, name: str, row: Mapping[str, Any]) -> Service:
        folder = self._folder / name
        folder.mkdir()
        words = [*_ENTRY.get(row["image"], []), *row["command"]]
        if words[0] == "server":  # SeaweedFS's image has `weed` for its entry point
            words = [str(Path(sys.executable).parent / "weed"), *words]
        elif words[0] == "valkey-server":  # protected mode takes only clients of 127.0.0.1, where containers have names
            words = [find_server(), *words[1:], "--bind", self.addresses[name], "--protected-mode", "no"]
        environment = {key: self._placed(name, str(text)) for key, text in row.get("environment", {}).items()}
        environment |= {"CAUCE_DATA": str(folder), "CAUCE_HTTP": f"{self.addresses[name]}:9644", "HOME": str(folder)}
        kept = {key: text for key, text in os.environ.items() if not key.startswith(("CAUCE_", "AWS_"))}
        log = folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [self._placed(name, str(word)).replace("-dir=/data", f"-dir={folder}") for word in words],
                env={**kept, "PYTHONPATH": str(ROOT), **environment},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return Service(name, self.addresses[name], process, seconds(row.get("stop_grace_period", "10s")), log)

    def _placed(self, of: str, word: str) -> str:
        """A word with addresses in place of names; a published port is reached where the node is."""
        word = re.sub(r"\b(0\.0\.0\.0|localhost)\b", self.addresses[of], word)
        for name, address in self.addresses.items():
            word = re.sub(rf"(?<=://){name}(?=:)|(?<=ip=){name}$", address, word)
        return word

    def _await_health(self, name: str, row: Mapping[str, Any]) -> None:
        check: Sequence[str] = row.get("healthcheck", {}).get("test", ())
        deadline = time.monotonic() + _START_SECONDS
        while check and not self._healthy(name, check):
            service = self.running[name]
            ended = service.process.poll() is not None or time.monotonic() > deadline
            assert not ended, f"{name} is not healthy:\n{service.log.read_text()[-2000:]}"
            time.sleep(0.2)  # polls with a deadline

    def _healthy(self, name: str, check: Sequence[str]) -> bool:
        words = [self._placed(name, word) for word in check[1:]]
        if words[0] == "valkey-cli":  # the package brings the server alone
            import redis

            try:
                return bool(redis.Redis(self.addresses[name]).execute_command(*words[1:]))
            except redis.RedisError:
                return False
        return subprocess.run(words, capture_output=True, check=False).returncode == 0


@contextmanager
def composed(folder: Path) -> Iterator[Composed]:
    """Everything up; ended with the with statement."""
    with ExitStack() as stack:
        found = Composed(folder)
        stack.callback(found.kill)
        found.start()
        yield found
