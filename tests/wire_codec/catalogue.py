"""Every top-level message there is, and random values for it. Not a test: what the tests here draw from."""

import importlib
import pkgutil
import string
from collections.abc import Iterator
from random import Random
from typing import Any, TypeAlias
from uuid import UUID

import infra.wire.messages
from infra.error_code import ErrorCode
from infra.wire.message import Field, table_of

MessageVersion: TypeAlias = tuple[type, int]

_BITS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}
_UNSIGNED_BITS = {"uint16": 16, "uint32": 32}
_NAMED_SIZES = (0, 1, 20, 126, 127, 128, 300)  # around where a compact length takes a second byte
_LETTERS = string.ascii_letters + "äß€🌊"


def message_classes() -> Iterator[type]:
    """All classes made by `@message` in infra.wire.messages."""
    for found in pkgutil.iter_modules(infra.wire.messages.__path__):
        module = importlib.import_module(f"{infra.wire.messages.__name__}.{found.name}")
        for item in vars(module).values():
            if isinstance(item, type) and item.__module__ == module.__name__ and table_of(item).versions:
                yield item


def every_version() -> list[MessageVersion]:
    """All pairs of message class and version."""
    return [(cls, version) for cls in message_classes() for version in table_of(cls).versions.numbers()]


def sample(random: Random, cls: type, version: int, *, tame: bool = False) -> Any:
    """A message with random values in the fields of `version`; the others keep their defaults.

    Tame values are known error codes and sensible times, for readers that give numbers a meaning.
    """
    values = {}
    for field in table_of(cls).fields:
        if version in field.versions:
            values[field.name] = _value(random, field, version, tame)
    return cls(**values)


def _value(random: Random, field: Field, version: int, tame: bool) -> Any:
    if version in field.nullable and random.random() < 0.25:
        return None
    if field.tag is not None and random.random() < 0.3:
        return field.make_default()
    if field.kind == "array":
        return [_one(random, field.of, field.name, version, tame) for _ in range(random.choice((0, 1, 1, 2, 3)))]
    return _one(random, field.of if field.kind == "struct" else field.kind, field.name, version, tame)


def _one(random: Random, of: Any, name: str, version: int, tame: bool) -> Any:
    if isinstance(of, type):
        return sample(random, of, version, tame=tame)
    if of in _BITS:
        return (
            _tame_integer(random, name) if tame else _integer(random, -(2 ** (_BITS[of] - 1)), 2 ** (_BITS[of] - 1) - 1)
        )
    if of in _UNSIGNED_BITS:
        return _integer(random, 0, 2 ** _UNSIGNED_BITS[of] - 1)
    if of == "bool":
        return random.random() < 0.5
    if of == "float64":
        return random.choice((0.0, -1.5, 1e300, random.uniform(-1, 1)))
    if of == "uuid":
        return UUID(int=_integer(random, 0, 2**128 - 1))
    if of == "string":
        return "".join(random.choice(_LETTERS) for _ in range(random.choice(_NAMED_SIZES)))
    return random.randbytes(random.choice(_NAMED_SIZES))


def _integer(random: Random, least: int, greatest: int) -> int:
    return random.choice((least, greatest, 0, max(least, -1), random.randint(least, greatest)))


def _tame_integer(random: Random, name: str) -> int:
    if "error_code" in name:
        return random.choice(list(ErrorCode)).value
    return random.randint(0, 100)
