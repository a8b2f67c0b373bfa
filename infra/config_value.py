"""Kafka config values: the types of DescribeConfigs, and parsing with messages that say what to write instead."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

LONG_MAX = 2**63 - 1
INT_MAX = 2**31 - 1


# What Java's parsers read too: Python's own take underscores, letters of other scripts, and words such as nan.
_INTEGER = re.compile(r"[+-]?[0-9]{1,30}")
_NUMBER = re.compile(r"[+-]?(?=\.?[0-9])[0-9]{0,30}(\.[0-9]{0,30})?([eE][+-]?[0-9]{1,3})?")


class ConfigType(IntEnum):
    """`config_type` of DescribeConfigs (KIP-569)."""

    BOOLEAN = 1
    STRING = 2
    INT = 3
    LONG = 5
    DOUBLE = 6
    LIST = 7
    PASSWORD = 9


class BadValue(ValueError):
    """A value that its config cannot take; the message says which values it can."""


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word not in ("true", "false"):
        raise BadValue("must be true or false")
    return word == "true"


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text.strip()):
        raise BadValue("must be a whole number")
    return int(text)


def _double(text: str) -> float:
    if not _NUMBER.fullmatch(text.strip()):
        raise BadValue("must be a number")
    return float(text)


def _list(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


_GREATEST = {ConfigType.INT: INT_MAX, ConfigType.LONG: LONG_MAX}
_PARSERS: dict[ConfigType, Callable[[str], Any]] = {
    ConfigType.BOOLEAN: _boolean,
    ConfigType.STRING: str.strip,
    ConfigType.INT: _integer,
    ConfigType.LONG: _integer,
    ConfigType.DOUBLE: _double,
    ConfigType.LIST: _list,
    ConfigType.PASSWORD: str,
}


@dataclass(frozen=True, slots=True)
class ConfigDef:
    """One config: name, type, default as text, what it takes, and one sentence of documentation."""

    name: str
    type: ConfigType
    default: str
    doc: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    fixed: str = ""  # why only the default is taken, empty when other values are obeyed
    synonym: str = ""  # the broker config that gives a topic config its default

    def parse(self, text: str) -> Any:
        """The typed value; raises `BadValue`."""
        value = _PARSERS[self.type](text)
        if self.choices:
            self._check_choices(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            self._check_range(value)
        if self.fixed and value != _PARSERS[self.type](self.default):
            raise BadValue(f"takes only {self.default or 'an empty value'} here: {self.fixed}")
        return value

    def _check_choices(self, value: Any) -> None:
        words = value if isinstance(value, tuple) else (value,)
        if not words or any(word not in self.choices for word in words):
            raise BadValue(
                f"must be {'a list of' if isinstance(value, tuple) else 'one of'} "
                + ", ".join(choice or "nothing" for choice in self.choices)
            )

    def _check_range(self, value: float) -> None:
        greatest = _GREATEST.get(self.type, math.inf)
        low = -greatest if self.low is None else self.low
        high = greatest if self.high is None else self.high
        if not low <= value <= high:
            raise BadValue(f"must be between {low} and {high}")
