"""A range of protocol versions as the tables write it: "3+", "0-6", "2" or "none"."""

from dataclasses import dataclass
from functools import cache

_OPEN = 0x7FFF  # API versions are 16 bit


@dataclass(frozen=True, slots=True)
class Versions:
    """From `first` to `last`, both included; empty when last < first."""

    first: int
    last: int = _OPEN

    @staticmethod
    @cache  # a few dozen texts stand in some two thousand lines
    def parse(text: str) -> "Versions":
        """Read "3+", "0-6", "2" or "none"; ValueError otherwise."""
        if text == "none":
            return NONE
        if text.endswith("+"):
            return Versions(int(text[:-1]))
        first, _, last = text.partition("-")
        return Versions(int(first), int(last or first))

    def __contains__(self, version: int) -> bool:
        return self.first <= version <= self.last

    def __bool__(self) -> bool:
        return self.first <= self.last

    def numbers(self) -> range:
        """Each version; only for ranges with an end."""
        return range(self.first, self.last + 1)

    def __str__(self) -> str:
        if not self:
            return "none"
        return f"{self.first}+" if self.last == _OPEN else f"{self.first}-{self.last}"


NONE = Versions(0, -1)
