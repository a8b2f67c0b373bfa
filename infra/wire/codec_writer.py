"""Writes and compiles the encode function of one message in one version; the mirror of the reader, and as flat."""

import struct
from collections.abc import Callable
from typing import Any, TypeAlias

from infra.wire.codec_primitives import FORMATS, put_string_length, put_tags, uvarint
from infra.wire.codec_source import Source
from infra.wire.message import Field

Encoder: TypeAlias = Callable[[Any, bytearray], None]  # (message, out)


def compile_encoder(cls: type, version: int, flexible: bool) -> Encoder:
    """The encode function of a message class; the version is one that its table has."""
    names = {
        "joined": _joined,
        "pack": struct.pack,
        "put_string_length": put_string_length,
        "put_tags": put_tags,
        "uvarint": uvarint,
    }
    writer = _Writer(version, flexible, names)
    writer.struct("message", cls)
    encoder: Encoder = writer.compile("def encode(message, out):", f"encode {cls.__name__}")
    return encoder


def _joined(data: Any) -> Any:
    """Record data as one buffer."""
    return b"".join(data) if isinstance(data, (list, tuple)) else data


class _Writer(Source):
    """In the code it writes, `out` is the bytearray; inside a tagged field another name stands for it."""

    def __init__(self, version: int, flexible: bool, names: dict[str, Any]) -> None:
        super().__init__(version, flexible, names)
        self._out = "out"
        self._run: list[tuple[str, str]] = []  # struct format and expression of fixed-size values not yet written

    def struct(self, source: str, cls: type) -> None:
        plain, tagged = self.fields(cls)
        for field in plain:
            self._value(f"{source}.{field.name}", field)
        self._write_run()
        if self.flexible:
            self._tags(source, tagged)

    def _value(self, source: str, field: Field) -> None:
        if field.kind in FORMATS:
            self._fixed(source, field.kind)
        elif field.kind == "struct":
            self._nested(source, field)
        elif field.kind == "array":
            self._array(source, field)
        else:
            self._text_or_bytes(source, field.kind, self.may_be_null(field))

    def _fixed(self, source: str, kind: str) -> None:
        self._run.append((FORMATS[kind], f"{source}.bytes" if kind == "uuid" else source))

    def _write_run(self) -> None:
        if not self._run:
            return
        pack = self.constant("pack", struct.Struct(">" + "".join(form for form, _ in self._run)).pack)
        self.line(f"{self._out} += {pack}({', '.join(source for _, source in self._run)})")
        self._run = []

    def _length(self, length: str, wire_format: str) -> None:
        """Write a length or count; null is -1."""
        if not self.flexible:
            self._run.append((wire_format, length))
            self._write_run()
            return
        self._write_run()
        with self.block(f"if {length} < 127:"):
            self.line(f"{self._out}.append({length} + 1)")
        with self.block("else:"):
            if wire_format == "h":
                self.line(f"put_string_length({self._out}, {length})")
            else:
                self.line(f"{self._out} += uvarint({length} + 1)")

    def _text_or_bytes(self, source: str, kind: str, nullable: bool) -> None:
        local, length = self.fresh("v"), self.fresh("n")
        value = {"string": f"{local}.encode()", "bytes": local, "records": f"joined({local})"}[kind]
        self.line(f"{local} = {source}")
        if nullable:
            with self.block(f"if {local} is None:"):
                self.line(f"{local}, {length} = b'', -1")
            with self.block("else:"):
                self._measured(local, length, value)
        else:
            self._measured(local, length, value)
        self._length(length, "h" if kind == "string" else "i")
        self.line(f"{self._out} += {local}")

    def _measured(self, local: str, length: str, value: str) -> None:
        if value != local:
            self.line(f"{local} = {value}")
        self.line(f"{length} = len({local})")

    def _nested(self, source: str, field: Field) -> None:
        if not self.may_be_null(field):
            self._write_run()
            self.struct(source, field.of)
            return
        local = self.fresh("v")
        self._write_run()
        self.line(f"{local} = {source}")
        with self.block(f"if {local} is None:"):
            self.line(f"{self._out}.append(255)")
        with self.block("else:"):
            self.line(f"{self._out}.append(1)")
            self.struct(local, field.of)

    def _array(self, source: str, field: Field) -> None:
        local, length = self.fresh("v"), self.fresh("n")
        self.line(f"{local} = {source}")
        if self.may_be_null(field):
            self.line(f"{length} = -1 if {local} is None else len({local})")
        else:
            self.line(f"{length} = len({local})")
        self._length(length, "i")
        if field.of in FORMATS and field.of != "uuid":
            with self.block(f"if {length} > 0:"):
                self.line(f"{self._out} += pack(f'>{{{length}}}{FORMATS[field.of]}', *{local})")
            return
        element = self.fresh("e")
        with self.block(f"for {element} in {local} or ():"):
            if field.of == "uuid":
                self.line(f"{self._out} += {element}.bytes")
            elif isinstance(field.of, str):
                self._text_or_bytes(element, field.of, False)
            else:
                self.struct(element, field.of)

    def _tags(self, source: str, tagged: list[Field]) -> None:
        """Write the tagged fields that end a struct: those that differ from their default."""
        if not tagged:
            self.line(f"{self._out}.append(0)")
            return
        section, value, outer = self.fresh("tagged"), self.fresh("out"), self._out
        self.line(f"{section} = []")
        for field in tagged:
            default = self.constant("default", field.make_default())
            with self.block(f"if {source}.{field.name} != {default}:"):
                self.line(f"{value} = bytearray()")
                self._out = value
                self._value(f"{source}.{field.name}", field)
                self._write_run()
                self._out = outer
                self.line(f"{section}.append(({field.tag}, {value}))")
        self.line(f"put_tags({outer}, {section})")
