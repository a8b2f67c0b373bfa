"""The Terraform code as data: blocks, their arguments, variables and outputs, read with python-hcl2."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import hcl2

ROOT = Path(__file__).resolve().parents[2] / "terraform"
_META = frozenset({"count", "for_each", "depends_on", "lifecycle", "provider", "connection", "provisioner"})
_MARKS = ("__is_block__", "__comments__", "__inline_comments__", "__start_line__", "__end_line__")


@dataclass(frozen=True)
class Block:
    """A resource or data source."""

    file: Path
    kind: str  # resource, data
    type: str  # aws_vpc …
    name: str
    body: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}: {self.type}.{self.name}"

    @property
    def prevents_destroy(self) -> bool:
        """Whether its lifecycle says prevent_destroy."""
        lives = self.body.get("lifecycle", ())
        return any(life.get("prevent_destroy") is True for life in lives)


def folders() -> list[Path]:
    """Every folder that holds a module or an example, the root first."""
    return sorted({file.parent for file in ROOT.rglob("*.tf") if ".terraform" not in file.parts})


@cache
def read(folder: Path) -> list[tuple[Path, Mapping[str, Any]]]:
    """The parsed files of one folder. Raises what the parser raises."""
    parsed = []
    for file in sorted(folder.glob("*.tf")):
        with file.open(encoding="utf-8") as text:
            parsed.append((file, hcl2.load(text)))
    return parsed


def blocks(folder: Path) -> Iterator[Block]:
    """Resources and data sources of one folder."""
    for file, parsed in read(folder):
        for kind in ("resource", "data"):
            for entry in parsed.get(kind, ()):
                for type_, named in _items(entry):
                    for name, body in _items(named):
                        yield Block(file, kind, unquote(type_), unquote(name), body)


def named(folder: Path, kind: str) -> dict[str, Mapping[str, Any]]:
    """Variables, outputs or modules of one folder, by name."""
    found = {}
    for _, parsed in read(folder):
        for entry in parsed.get(kind, ()):
            for name, body in _items(entry):
                found[unquote(name)] = body
    return found


def arguments(body: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a block sets: arguments and nested blocks (of dynamic ones the contents), without Terraform's own."""
    for name, value in _items(body):
        if name in _META:
            continue
        if name == "dynamic":
            for entry in value:
                for nested, dynamic in _items(entry):
                    yield unquote(nested), dynamic["content"]
        else:
            yield name, value


def is_block(value: Any) -> bool:
    """Whether a value is a list of nested blocks."""
    return isinstance(value, list) and any(isinstance(one, dict) and "__is_block__" in one for one in value)


def unquote(text: str) -> str:
    """A literal string without its quotes."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _items(entry: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in entry.items() if name not in _MARKS)
