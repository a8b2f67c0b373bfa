"""What a check found, in values: how it is, and when it is not well, what to do about it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    check: str
    state: State
    found: str
    mend: str = ""  # what to do; empty when it is well

    def row(self) -> dict[str, str]:
        """For a table, or JSON."""
        return asdict(self)


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", found)


def warning(check: str, found: str, mend: str) -> Finding:
    """A node runs like this, and not as well as it could."""
    return Finding(check, "warning", found, mend)


def failed(check: str, found: str, mend: str) -> Finding:
    """A node does not run like this, or loses what it should keep."""
    return Finding(check, "failed", found, mend)


def any_failed(findings: Iterable[Finding]) -> bool:
    """Whether a node should not be started."""
    return any(one.state == "failed" for one in findings)
