"""What every sink can do. A sink knows rows and how to make them durable, nothing of topics or clusters."""

from typing import Protocol

import pyarrow as pa

from infra.error_code import ErrorCode
from infra.errors import Refused
from reader.replay.progress import Progress


class Sink(Protocol):
    """Written by one thread. Whatever goes wrong is `Refused` (with what to do) or `Unavailable`."""

    name: str  # for messages
    schema: pa.Schema  # `BYTES` or `TEXT`: the form in which it takes records
    commit_bytes: int  # of Arrow, after which what was written is made durable

    def progress(self) -> Progress | None:
        """What the last commit kept, None when no replay is under way here. Raises `Corrupt`."""

    def begin(self, schema: pa.Schema, *, resumed: bool) -> None:
        """Get ready for rows of this schema: anew (`Refused` when something is there) or behind the last commit."""

    def write(self, rows: pa.RecordBatch) -> None:
        """Take rows; they may stay in memory until the commit."""

    def commit(self, progress: Progress) -> None:
        """Make all that was written durable, and keep the progress with it."""

    def finish(self) -> None:
        """All is there: give it its final name and forget the progress."""

    def close(self) -> None:
        """Let go of files and connections, also when it did not come to its end."""


def occupied(name: str) -> Refused:
    """The error for a target that is there already."""
    return Refused(ErrorCode.INVALID_REQUEST, f"{name} is there already: remove it, or choose another name")
