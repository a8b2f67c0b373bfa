"""Source text in the making: lines, indentation, fresh names; and what a table means in one version."""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from infra.wire.codec_primitives import FORMATS
from infra.wire.message import Field, table_of


class Source:
    """A function body being written; `names` is what it may refer to when it is compiled."""

    def __init__(self, version: int, flexible: bool, names: dict[str, Any]) -> None:
        self.version = version
        self.flexible = flexible
        self.names = names
        self._lines: list[str] = []
        self._indent = 1
        self._count = 0

    def line(self, text: str) -> None:
        """Add one line at the present indentation."""
        self._lines.append("    " * self._indent + text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """A line that opens a block, and whatever is written inside."""
        self.line(head)
        self._indent += 1
        before = len(self._lines)
        yield
        if len(self._lines) == before:
            self.line("pass")
        self._indent -= 1

    def fresh(self, stem: str) -> str:
        """A local name nobody else has."""
        self._count += 1
        return f"{stem}{self._count}"

    def constant(self, stem: str, value: Any) -> str:
        """Make a value known to the code under a fresh name."""
        name = self.fresh(stem)
        self.names[name] = value
        return name

    def compile(self, head: str, title: str) -> Any:
        """Compile the body under `head`, a def line; answers the function."""
        text = "\n".join([head, *(self._lines or ["    pass"])]) + "\n"
        exec(compile(text, f"<{title} v{self.version}>", "exec"), self.names)
        function: Callable[..., Any] = self.names[head[4 : head.index("(")]]
        return function

    def fields(self, cls: type) -> tuple[list[Field], list[Field]]:
        """What a struct has in this version: its fields in wire order, and its tagged fields by tag."""
        here = [field for field in table_of(cls).fields if self.version in field.versions]
        tagged = [field for field in here if field.tag is not None and self.flexible]
        plain = [field for field in here if field.tag is None]
        return plain, sorted(tagged, key=lambda field: field.tag or 0)

    def may_be_null(self, field: Field) -> bool:
        """Whether null is allowed for the field in this version."""
        return self.version in field.nullable

    def least_size(self, of: Any) -> int:
        """The fewest bytes that one element of an array can take, at least 1."""
        if isinstance(of, str):
            return self._least(of, None)
        plain, _ = self.fields(of)
        size = sum(self._least(field.kind, field) for field in plain) + self.flexible
        return max(size, 1)

    def _least(self, kind: str, field: Field | None) -> int:
        if kind in FORMATS:
            return struct.calcsize(">" + FORMATS[kind])
        if kind == "struct" and field is not None:
            return 1 if self.may_be_null(field) else self.least_size(field.of)
        if self.flexible:
            return 1
        return 2 if kind == "string" else 4
