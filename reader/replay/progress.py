"""How far a replay into a sink has got, and the file that remembers it, so that another run can go on from there."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from infra.disk import OS_DISK
from infra.error_code import ErrorCode
from infra.errors import Corrupt, Refused
from reader.replay.plan import Span

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Progress:
    """What was asked for, and which offsets of it are not yet in the sink."""

    topic_id: str
    request: Mapping[str, Any]  # as given: another request cannot go on from here
    left: Mapping[int, Span]  # of each partition; the ends were settled when the replay began
    records: int = 0  # in the sink

    def advanced(self, positions: Mapping[int, int], records: int) -> Self:
        """After everything below these offsets, and so many more records, got into the sink."""
        left = {one: Span(positions.get(one, span.start), span.end) for one, span in self.left.items()}
        return replace(self, left=left, records=self.records + records)

    def check(self, begun: "Progress") -> None:
        """Raise `Refused` unless this one, read back, belongs to the replay that is about to go on."""
        if self.topic_id != begun.topic_id:
            raise _refused("the topic was deleted and created again since that replay began")
        if dict(self.request) != dict(begun.request):
            raise _refused(f"the unfinished replay was asked for {json.dumps(self.request)}: ask for the same again")

    def encode(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {
            "format": _FORMAT,
            "topic_id": self.topic_id,
            "request": dict(self.request),
            "left": {str(one): [span.start, span.end] for one, span in self.left.items()},
            "records": self.records,
        }

    @classmethod
    def decode(cls, plain: Any, where: str) -> Self:
        """From plain values. Raises `Corrupt`."""
        try:
            if plain["format"] > _FORMAT:
                raise _refused(f"{where} was written by a newer release")
            left = {int(one): Span(int(start), int(end)) for one, (start, end) in plain["left"].items()}
            return cls(str(plain["topic_id"]), dict(plain["request"]), left, int(plain["records"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Corrupt(f"{where} is not what a replay keeps: {error!r}; remove it and begin again") from error


class Kept(NamedTuple):
    """What a progress file says."""

    progress: Progress
    sink: Mapping[str, Any]  # the sink's own


class ProgressFile:
    """Replaced as a whole at each step, durably."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> Kept | None:
        """What was kept last, None when there is none. Raises `Corrupt`, `Refused`."""
        try:
            plain = json.loads(self.path.read_bytes())
            return Kept(Progress.decode(plain["progress"], str(self.path)), dict(plain["sink"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise Corrupt(f"{self.path} is not what a replay keeps; remove it and begin again") from error

    def save(self, progress: Progress, sink: Mapping[str, Any]) -> None:
        """Keep this instead. What it speaks of must be durable by now."""
        draft = self.path.with_name(self.path.name + ".new")
        with draft.open("wb") as file:
            file.write(json.dumps({"progress": progress.encode(), "sink": dict(sink)}).encode())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)
        OS_DISK.sync_folder(self.path.parent)

    def remove(self) -> None:
        """There is nothing to go on with any longer."""
        self.path.unlink(missing_ok=True)


def _refused(sentence: str) -> Refused:
    return Refused(ErrorCode.INVALID_REQUEST, sentence)
