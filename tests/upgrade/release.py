"""What a node of a test runs: this release, or an earlier one, taken from the repository's own history.

The commit of an earlier release stands in `tests/fixtures/<release>/commit`, beside what it wrote, and nowhere else.
"""

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.fixtures.unpack import unpack

_ROOT = Path(__file__).parents[2]
_FIXTURES = _ROOT / "tests" / "fixtures"
_PACKAGES = ("cauce", "infra", "ingest", "reader", "compactor")
EARLIER = "0.1.0"


class Absent(Exception):
    """The repository's history, which has the earlier release, is not here."""


@dataclass(frozen=True, slots=True)
class Release:
    """A folder that has a release's packages, and what its nodes are told that others would not understand."""

    name: str
    folder: Path
    options: tuple[str, ...] = ()

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables of a process that is to run this release, wherever it was started and whatever is installed."""
        return {"PYTHONPATH": str(self.folder), "PYTHONSAFEPATH": "1"}

    def check(self) -> None:
        """Make sure that a process with this environment finds all packages in the folder."""
        code = f"import {', '.join(_PACKAGES)}\nfor one in ({', '.join(_PACKAGES)}): print(one.__file__)"
        environment = {**os.environ, **self.environment}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        places = [Path(line) for line in done.stdout.splitlines()]
        assert len(places) == len(_PACKAGES), done.stdout
        assert all(place.is_relative_to(self.folder) for place in places), done.stdout


def present(*options: str) -> Release:
    """The release that this file belongs to."""
    return Release("new", _ROOT, options)


def earlier(folder: Path, name: str = EARLIER) -> Release:
    """An earlier release, unpacked below `folder`. Raises `Absent`."""
    commit = (_FIXTURES / name / "commit").read_text(encoding="utf-8").strip()
    command = ["git", "-C", str(_ROOT), "archive", "--format=tar", commit, *_PACKAGES]
    try:
        done = subprocess.run(command, capture_output=True, check=True)
    except FileNotFoundError:
        raise Absent("there is no git on this machine") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        raise Absent(f"the commit {commit} of release {name} is not in this repository ({said})") from None
    target = folder / name
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        unpack(archive, target)
    return Release("old", target)
