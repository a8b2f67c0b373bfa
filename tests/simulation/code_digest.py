"""Which code a result is of: a digest of the sources of what a simulating process has loaded.

A change anywhere else (command line, docs, Terraform, other tests) leaves it as it is, so results go on counting. It is
told by a process that has imported the simulation and nothing beside it, as `python -m tests.simulation` does.
"""

import subprocess
import sys
from hashlib import blake2b
from pathlib import Path

_FOLDER = Path(__file__).parents[2]
_ROOMS = ("infra", "ingest", "reader", "compactor", "cauce", "tests.simulation", "tests.checker", "tests.disk_twin")
_ONLY_ASKS = ("tests.simulation.__main__", "tests.simulation.planted", "tests.simulation.test_")


def code_digest() -> str:
    """Ten hex digits over names and sources of the loaded modules, in the order of their names."""
    digest = blake2b(digest_size=5)
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is not None and _counts(name):
            source = Path(file).read_bytes()
            digest.update(f"{name} {len(source)}\n".encode() + source)
    return digest.hexdigest()


def commit() -> str:
    """Where the code that runs can be found; `+` when files differ from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=_FOLDER, capture_output=True, text=True, check=True).stdout

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "*.py")
    return git("rev-parse", "--short=10", "HEAD").strip() + ("+" if changed.strip() else "")


def _counts(name: str) -> bool:
    inside = any(name == room or name.startswith(f"{room}.") for room in _ROOMS)
    return inside and not name.startswith(_ONLY_ASKS)
