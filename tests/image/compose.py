"""The services of compose.yaml, and of what is laid over it, as processes of this machine: their own commands,
environment, secrets and health checks.

Every service gets a loopback address of its own in place of its name and of 0.0.0.0, so that the ports stay as the file
has them. What the images bring is here as a package: Valkey, SeaweedFS, and Cauce itself.
"""

import os
import random
import re
import shutil
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
SECURE = ROOT / "compose.secure.yaml"
_ENTRY = {"cauce": [sys.executable, "-m", "cauce"]}  # image → entry point
_START_SECONDS = 90.0
_UNITS = {"s": 1, "m": 60}
_TAKES_THE_PLACE = ("command", "test")  # lists of these names; others are added to
_SECRETS = "/run/secrets"


def document(*files: Path) -> dict[str, Any]:
    """The files as one, their anchors merged, each laid over those before it as `docker compose -f … -f …` does it."""
    found: dict[str, Any] = {}
    for file in files:
        found = _laid_over(found, yaml.safe_load(file.read_text()))
    return found


def _laid_over(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(under)
    for name, value in over.items():
        below = under.get(name)
        if isinstance(value, dict) and isinstance(below, dict):
            found[name] = _laid_over(below, value)
        elif isinstance(value, list) and isinstance(below, list) and name not in _TAKES_THE_PLACE:
            found[name] = below + value
        else:
            found[name] = value
    return found


def services(*files: Path) -> dict[str, dict[str, Any]]:
    """The services of compose.yaml with these files laid over it."""
    found: dict[str, dict[str, Any]] = document(COMPOSE, *files)["services"]
    return found


def secret_files(row: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, str]:
    """Name below /run/secrets → file, of a service's secrets and those that the document gives."""
    long = [{"source": one, "target": one} if isinstance(one, str) else one for one in row.get("secrets", ())]
    return {one["target"]: given[one["source"]]["file"] for one in long}


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
    """All services of the files, started in the order that they ask for."""

    def __init__(self, folder: Path, *over: Path, settings: Mapping[str, str] | None = None) -> None:
        """`over`: files laid over compose.yaml; their secrets are looked for in `folder`. `settings`: further variables
        of every node."""
        self._document = document(COMPOSE, *over)
        net = random.SystemRandom().randrange(1 << 14)
        self.addresses = {
            name: f"127.{64 + net // 128}.{net % 128 + 1}.{number + 1}"
            for number, name in enumerate(self._document["services"])
        }
        self.running: dict[str, Service] = {}
        self._folder = folder
        self._settings = dict(settings or {})

    def start(self) -> None:
        """Start them all: those first on whom others depend, and go on when they are healthy."""
        waiting = dict(self._document["services"])
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
        self._hand_over_secrets(name, row)
        words = [*_ENTRY.get(row["image"], []), *row["command"]]
        if words[0] == "server":  # SeaweedFS's image has `weed` for its entry point
            words = [str(Path(sys.executable).parent / "weed"), *words]
        elif words[0] == "valkey-server":  # protected mode takes only clients of 127.0.0.1, where containers have names
            words = [find_server(), *words[1:], "--bind", self.addresses[name], "--protected-mode", "no"]
        environment = {key: self._placed(name, str(text)) for key, text in row.get("environment", {}).items()}
        environment |= self._settings if row["image"] in _ENTRY else {}
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

    def _hand_over_secrets(self, name: str, row: Mapping[str, Any]) -> None:
        """Each service has a folder in place of /run/secrets, with what it is given and no more."""
        for target, file in secret_files(row, self._document.get("secrets", {})).items():
            place = self._secrets_of(name) / target
            place.parent.mkdir(exist_ok=True)
            shutil.copyfile(self._folder / file, place)

    def _secrets_of(self, name: str) -> Path:
        return self._folder / f"{name}-secrets"

    def _placed(self, of: str, word: str) -> str:
        """A word with addresses in place of names; a published port is reached where the node is."""
        word = word.replace(_SECRETS, str(self._secrets_of(of)))
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
def composed(found: Composed) -> Iterator[Composed]:
    """Everything up; ended with the with statement."""
    with ExitStack() as stack:
        stack.callback(found.kill)
        found.start()
        yield found
