"""Writes and compiles the decode function of one message in one version.

The function is flat: nested structs and arrays are loops in place, neighbouring fixed-size values are read by one
struct call. Each length is checked against the bytes left before anything is allocated by it.
"""

import struct
from collections.abc import Callable
from typing import Any, TypeAlias
from uuid import UUID

from infra.wire.codec_primitives import FORMATS, MAX_STRING_BYTES, bad_length, read_tag, read_uvarint, skip_tags
from infra.wire.codec_source import Source
from infra.wire.message import Field

Decoder: TypeAlias = Callable[[memoryview, int, int], tuple[Any, int]]  # (buffer, position, end) -> (message, position)


def compile_decoder(cls: type, version: int, flexible: bool) -> Decoder:
    """The decode function of a message class; the version is one that its table has."""
    names = {
        "UUID": UUID,
        "bad_length": bad_length,
        "read_tag": read_tag,
        "read_uvarint": read_uvarint,
        "skip_tags": skip_tags,
        "unpack_from": struct.unpack_from,
    }
    reader = _Reader(version, flexible, names)
    reader.struct("message", cls)
    reader.line("return message, p")
    decoder: Decoder = reader.compile("def decode(b, p, end):", f"decode {cls.__name__}")
    return decoder


class _Reader(Source):
    """In the code it writes: `b` the buffer, `p` the position, `end` where the buffer ends."""

    def __init__(self, version: int, flexible: bool, names: dict[str, Any]) -> None:
        super().__init__(version, flexible, names)
        self._run: list[tuple[str, str]] = []  # struct format and target of fixed-size values not yet read

    def struct(self, target: str, cls: type) -> None:
        plain, tagged = self.fields(cls)
        arguments = []
        for field in plain:
            local = self.fresh("v")
            arguments.append(f"{field.name}={local}")
            self._value(local, field)
        self._read_run()
        if self.flexible:
            arguments += self._tags(tagged)
        self.line(f"{target} = {self.constant(cls.__name__, cls)}({', '.join(arguments)})")

    def _value(self, target: str, field: Field) -> None:
        if field.kind in FORMATS:
            self._fixed(target, field.kind)
        elif field.kind == "struct":
            self._nested(target, field)
        elif field.kind == "array":
            self._array(target, field)
        else:
            self._text_or_bytes(target, field.kind, field.name, self.may_be_null(field))

    def _fixed(self, target: str, kind: str) -> None:
        self._run.append((FORMATS[kind], target))

    def _read_run(self) -> None:
        """Read what has gathered, in one call."""
        if not self._run:
            return
        layout = struct.Struct(">" + "".join(form for form, _ in self._run))
        unpack = self.constant("unpack", layout.unpack_from)
        self.line(f"{', '.join(target for _, target in self._run)}, = {unpack}(b, p)")
        self.line(f"p += {layout.size}")
        for form, target in self._run:
            if form == "16s":
                self.line(f"{target} = UUID(bytes={target})")
        self._run = []

    def _length(self, wire_format: str) -> str:
        """Read a length or count; null is -1."""
        length = self.fresh("n")
        if not self.flexible:
            self._run.append((wire_format, length))
            self._read_run()
            return length
        self._read_run()
        self.line(f"{length} = b[p]")
        with self.block(f"if {length} < 128:"):
            self.line("p += 1")
        with self.block("else:"):
            self.line(f"{length}, p = read_uvarint(b, p)")
        self.line(f"{length} -= 1")
        return length

    def _text_or_bytes(self, target: str, kind: str, name: str, nullable: bool) -> None:
        length = self._length("h" if kind == "string" else "i")
        if nullable:
            with self.block(f"if {length} == -1:"):
                self.line(f"{target} = None")
            with self.block("else:"):
                self._span(target, kind, name, length)
        else:
            self._span(target, kind, name, length)

    def _span(self, target: str, kind: str, name: str, length: str) -> None:
        stop = self.fresh("s")
        self.line(f"{stop} = p + {length}")
        too_long = f" or {length} > {MAX_STRING_BYTES}" if kind == "string" and self.flexible else ""
        with self.block(f"if {length} < 0 or {stop} > end{too_long}:"):
            self.line(f"bad_length({name!r}, {length})")
        form = {"string": "str(b[p:{}], 'utf-8')", "bytes": "bytes(b[p:{}])", "records": "b[p:{}]"}[kind]
        self.line(f"{target} = {form.format(stop)}")
        self.line(f"p = {stop}")

    def _nested(self, target: str, field: Field) -> None:
        if not self.may_be_null(field):
            self._read_run()
            self.struct(target, field.of)
            return
        marker = self.fresh("n")
        self._fixed(marker, "int8")
        self._read_run()
        with self.block(f"if {marker} < 0:"):
            self.line(f"{target} = None")
        with self.block("else:"):
            self.struct(target, field.of)

    def _array(self, target: str, field: Field) -> None:
        length = self._length("i")
        if self.may_be_null(field):
            with self.block(f"if {length} == -1:"):
                self.line(f"{target} = None")
            with self.block("else:"):
                self._elements(target, field, length)
        else:
            self._elements(target, field, length)

    def _elements(self, target: str, field: Field, length: str) -> None:
        least = self.least_size(field.of)
        with self.block(f"if {length} < 0 or {length} * {least} > end - p:"):
            self.line(f"bad_length({field.name!r}, {length})")
        if field.of in FORMATS:
            form = FORMATS[field.of]
            if form == "16s":
                self.line(f"{target} = [UUID(bytes=bytes(b[i:i + 16])) for i in range(p, p + {length} * 16, 16)]")
            else:
                self.line(f"{target} = list(unpack_from(f'>{{{length}}}{form}', b, p))")
            self.line(f"p += {length} * {least}")
            return
        element = self.fresh("e")
        self.line(f"{target} = []")
        with self.block(f"for _ in range({length}):"):
            if isinstance(field.of, str):
                self._text_or_bytes(element, field.of, field.name, False)
            else:
                self.struct(element, field.of)
            self.line(f"{target}.append({element})")

    def _tags(self, tagged: list[Field]) -> list[str]:
        """Read the tagged fields that end a struct; answers its arguments for them."""
        locals_ = [self.fresh("v") for _ in tagged]
        for field, local in zip(tagged, locals_, strict=True):
            made = self.constant("default", field.default)
            self.line(f"{local} = {made}{'()' if callable(field.default) else ''}")
        with self.block("if not b[p]:"):
            self.line("p += 1")
        with self.block("else:"):
            if tagged:
                self._known_tags(tagged, locals_)
            else:
                self.line("p = skip_tags(b, p, end)")
        return [f"{field.name}={local}" for field, local in zip(tagged, locals_, strict=True)]

    def _known_tags(self, tagged: list[Field], locals_: list[str]) -> None:
        count, tag, stop = self.fresh("n"), self.fresh("t"), self.fresh("s")
        self.line(f"{count}, p = read_uvarint(b, p)")
        with self.block(f"for _ in range({count}):"):
            self.line(f"{tag}, p, {stop} = read_tag(b, p, end)")
            for field, local in zip(tagged, locals_, strict=True):
                with self.block(f"if {tag} == {field.tag}:"):
                    self._value(local, field)
                    self._read_run()
                    with self.block(f"if p != {stop}:"):
                        self.line(f"bad_length({field.name!r}, {stop} - p)")
            self.line(f"p = {stop}")
