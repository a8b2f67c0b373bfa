"""A Dockerfile taken apart into stages and instructions: as much of its language as ours uses, and no more."""

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCKERFILE = ROOT / "Dockerfile"
_KNOWN = frozenset(
    "RUN COPY ENV WORKDIR USER VOLUME EXPOSE HEALTHCHECK STOPSIGNAL ENTRYPOINT CMD".split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Instruction:
    """One of a stage's, its continuation lines joined."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """The words of the exec form, else as a shell would split them."""
        return json.loads(self.text) if self.text.startswith("[") else shlex.split(self.text)


@dataclass
class Stage:
    """What begins with FROM."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def last(self, name: str) -> Instruction:
        """The one of its kind that counts."""
        return [one for one in self.instructions if one.name == name][-1]


def parse(text: str) -> list[Stage]:
    """The stages; an instruction that is not known here fails, so that none is passed over."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    stages: list[Stage] = []
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        name, _, rest = line.partition(" ")
        if name == "FROM":
            base, _, alias = rest.partition(" AS ")
            stages.append(Stage(base.strip(), alias.strip()))
        else:
            assert name in _KNOWN, f"{name} is not known to these tests"
            stages[-1].instructions.append(Instruction(name, rest.strip()))
    return stages


def stages() -> list[Stage]:
    """Those of the project's own Dockerfile."""
    return parse(DOCKERFILE.read_text())


def allowed(path: str) -> bool:
    """Whether .dockerignore lets a file or folder at the top of the repository into the build."""
    lines = (ROOT / ".dockerignore").read_text().split()
    assert "*" in lines, "everything is left out but what is named"
    return f"!{path}" in lines
