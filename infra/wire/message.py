"""The language of the message tables: a class per struct, a line per field. Knows no bytes and no particular API.

    @message("0-6", flexible="3+")
    class FindCoordinatorRequest:
        key: str = string("0-3")                                   # not on the wire outside its versions
        key_type: int = int8("1+")
        coordinator_keys: list[str] = array("string", "4+")

The right side says wire type, versions, where null is allowed, the tag if it is a tagged field, and Kafka's default.
`@message` and `@struct` make slotted classes of such, with what dataclasses have. Type checkers see ordinary attributes
with defaults. A field outside the version that is encoded is left out; one that was not decoded has its default.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar, dataclass_transform
from uuid import UUID

from infra.wire.message_versions import NONE, Versions

T = TypeVar("T")

Records: TypeAlias = bytes | memoryview | Sequence[bytes | memoryview] | None  # several buffers travel as one
NULL_UUID = UUID(int=0)
_UNSLOTTED = ("__dict__", "__weakref__")  # of the class as it was written, which has no slots


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One line of a table. `kind` is a primitive's name, "struct" or "array"; the latter two say of what in `of`."""

    kind: str
    name: str = ""
    of: Any = None  # a primitive's name or a struct class
    versions: Versions
    nullable: Versions = NONE
    tag: int | None = None
    default: Any = None

    def make_default(self) -> Any:
        """The default as a new object: lists and structs are never shared between messages."""
        return self.default() if callable(self.default) else self.default


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """What the codec reads: the fields in wire order, and for a top-level message its versions."""

    fields: tuple[Field, ...]
    versions: Versions = NONE
    flexible: Versions = NONE


def table_of(cls: type) -> Table:
    """The table behind a class made by `message` or `struct`; TypeError for any other class."""
    table = getattr(cls, "__table__", None)
    if not isinstance(table, Table):
        raise TypeError(f"{cls.__name__} is not a wire message")
    return table


@dataclass_transform(kw_only_default=True)
def message(versions: str, *, flexible: str = "none") -> Callable[[type[T]], type[T]]:
    """Make a top-level message: valid in `versions`, with compact lengths and tagged fields in the `flexible` ones."""

    def decorate(cls: type[T]) -> type[T]:
        return _build(cls, Versions.parse(versions), Versions.parse(flexible))

    return decorate


@dataclass_transform(kw_only_default=True)
def struct(cls: type[T]) -> type[T]:
    """Make a struct nested in messages; its versions are the message's."""
    return _build(cls, NONE, NONE)


def _build(cls: type[T], versions: Versions, flexible: Versions) -> type[T]:
    """What `dataclasses.dataclass(slots=True, kw_only=True)` makes, in a tenth of its time: a node has 250 of these."""
    lines = {name: line for name, line in vars(cls).items() if isinstance(line, Field)}
    for name, line in lines.items():
        object.__setattr__(line, "name", name)
    fields = tuple(lines.values())
    body = {name: value for name, value in vars(cls).items() if name not in lines and name not in _UNSLOTTED}
    body |= {
        "__slots__": tuple(lines),
        "__table__": Table(fields, versions, flexible),
        "__init__": _late_initializer(fields),
        "__eq__": _equal,
        "__hash__": None,
        "__repr__": _show,
    }
    return type(cls.__name__, cls.__bases__, body)


def _late_initializer(fields: tuple[Field, ...]) -> Callable[..., None]:
    """An `__init__` that writes the real one when the first message is made: most are never made by one process."""

    def initialize(self: Any, **values: Any) -> None:
        cls = type(self)
        cls.__init__ = _initializer(cls, fields)
        cls.__init__(self, **values)

    return initialize


def _initializer(cls: type, fields: tuple[Field, ...]) -> Any:
    names: dict[str, Any] = {"MAKE": object()}
    parameters, steps = [], []
    for line in fields:
        names[f"default_{line.name}"] = line.default
        if callable(line.default):
            parameters.append(f"{line.name}=MAKE")
            steps.append(f" self.{line.name} = default_{line.name}() if {line.name} is MAKE else {line.name}")
        else:
            parameters.append(f"{line.name}=default_{line.name}")
            steps.append(f" self.{line.name} = {line.name}")
    star = "*, " if parameters else ""
    source = f"def __init__(self, {star}{', '.join(parameters)}):\n" + ("\n".join(steps) or " pass")
    exec(source, names)  # the names are those of a table of ours
    made = names["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"  # for the TypeError of a field that does not exist
    return made


def _values(message: Any) -> tuple[Any, ...]:
    return tuple(getattr(message, line.name) for line in message.__table__.fields)


def _equal(self: Any, other: Any) -> Any:
    return _values(self) == _values(other) if type(other) is type(self) else NotImplemented


def _show(self: Any) -> str:
    fields = ", ".join(f"{line.name}={getattr(self, line.name)!r}" for line in self.__table__.fields)
    return f"{type(self).__qualname__}({fields})"


def _line(kind: str, versions: str, nullable: str, tag: int | None, default: Any, of: Any = None) -> Any:
    return Field(
        kind=kind,
        of=of,
        versions=Versions.parse(versions),
        nullable=Versions.parse(nullable),
        tag=tag,
        default=default,
    )


def boolean(versions: str = "0+", *, tag: int | None = None, default: bool = False) -> Any:
    """One byte, zero or not."""
    return _line("bool", versions, "none", tag, default)


def int8(versions: str = "0+", *, tag: int | None = None, default: int = 0) -> Any:
    """Signed, 1 byte."""
    return _line("int8", versions, "none", tag, default)


def int16(versions: str = "0+", *, tag: int | None = None, default: int = 0) -> Any:
    """Signed, 2 bytes, big-endian as all of them."""
    return _line("int16", versions, "none", tag, default)


def uint16(versions: str = "0+", *, tag: int | None = None, default: int = 0) -> Any:
    """Unsigned, 2 bytes."""
    return _line("uint16", versions, "none", tag, default)


def int32(versions: str = "0+", *, tag: int | None = None, default: int = 0) -> Any:
    """Signed, 4 bytes."""
    return _line("int32", versions, "none", tag, default)


def uint32(versions: str = "0+", *, tag: int | None = None, default: int = 0) -> Any:
    """Unsigned, 4 bytes."""
    return _line("uint32", versions, "none", tag, default)


def int64(versions: str = "0+", *, tag: int | None = None, default: int = 0) -> Any:
    """Signed, 8 bytes."""
    return _line("int64", versions, "none", tag, default)


def float64(versions: str = "0+", *, tag: int | None = None, default: float = 0.0) -> Any:
    """IEEE double, 8 bytes."""
    return _line("float64", versions, "none", tag, default)


def uuid(versions: str = "0+", *, tag: int | None = None, default: UUID = NULL_UUID) -> Any:
    """16 bytes; all zero is Kafka's "no id"."""
    return _line("uuid", versions, "none", tag, default)


def string(versions: str = "0+", *, nullable: str = "none", tag: int | None = None, default: str | None = "") -> Any:
    """UTF-8 behind a 2-byte length (compact when flexible), at most 32,767 bytes."""
    return _line("string", versions, nullable, tag, default)


def octets(versions: str = "0+", *, nullable: str = "none", tag: int | None = None, default: bytes | None = b"") -> Any:
    """Bytes behind a 4-byte length (compact when flexible); decoded as a copy."""
    return _line("bytes", versions, nullable, tag, default)


def record_data(
    versions: str = "0+", *, nullable: str = "none", tag: int | None = None, default: bytes | None = None
) -> Any:
    """Record batches: bytes too, but decoded as a memoryview of the frame, without a copy."""
    return _line("records", versions, nullable, tag, default)


def array(
    of: str | type, versions: str = "0+", *, nullable: str = "none", tag: int | None = None, null: bool = False
) -> Any:
    """A list of structs or of a primitive named as on the wire; `null` makes None the default instead of []."""
    return _line("array", versions, nullable, tag, None if null else list, of)


def nested(of: type, versions: str = "0+", *, nullable: str = "none", tag: int | None = None) -> Any:
    """One struct in place; where it is nullable, None is the default, and it cannot be a tagged field."""
    if tag is not None and nullable != "none":
        raise ValueError("a tagged struct that may be null has no table")
    return _line("struct", versions, nullable, tag, of if nullable == "none" else None, of)
