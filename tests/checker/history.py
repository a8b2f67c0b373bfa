"""The history of a run: what each client asked for and what it was told, one JSON object a line.

Whoever drives clients writes operations as they end; the checker reads them. This file knows the shapes and the file
format and nothing of what is right or wrong in a history.
"""

import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self, get_args

Partition = tuple[str, int]
Kind = Literal["send", "poll", "subscribe", "assign", "commit", "crash"]
Status = Literal["ok", "fail", "info"]

_KINDS = frozenset(get_args(Kind))
_STATUSES = frozenset(get_args(Status))


class Send(NamedTuple):
    """One record sent with acks=all: `offset` is the one acknowledged, or None where no acknowledgement came."""

    partition: Partition
    value: int
    offset: int | None = None


class Poll(NamedTuple):
    """One record that a consumer (read_committed) handed to its application."""

    partition: Partition
    offset: int
    value: int


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of one process, written when it ended.

    - `process`: a client that does one thing after the other; `index` rises within it. Values are unique over a
      history.
    - `status`: `ok`, it happened; `fail`, it surely did not; `info`, nobody knows, and it may still happen later.
      Whoever stops while an operation runs writes it as `info`, or its values look as if nobody had sent them.
    - `sends` in the order of sending: a send with an offset was acknowledged (also in an `info` operation); one without
      is as unknown as its operation. Producers are idempotent, so their own retries neither double nor reorder.
    - `polls` in the order of receipt; they count whatever the status, as a consumer hands out nothing that is not safe.
    - `transaction`: the name of one transaction, unique within its process (a transactional.id is not, one transaction
      after the other has it). One operation may be the whole transaction, or several share the name. `committed`
      stands on the operation that ended it: True committed, False surely aborted, None not ended here or unknown.
      A transaction is committed only after each of its sends was acknowledged.
    - `began`, `ended`: seconds on one clock that all processes share and that never goes back; `began` is taken before
      the first request leaves, `ended` after the last answer came.
    - `repositioned`: the partitions whose reading position was set anew during this operation (a rebalance, a seek).
      Empty with `subscribe`, `assign` and `crash` means all of them.
    """

    process: int
    index: int
    kind: Kind
    status: Status
    sends: tuple[Send, ...] = ()
    polls: tuple[Poll, ...] = ()
    transaction: str | None = None
    committed: bool | None = None
    began: float = 0.0
    ended: float = 0.0
    repositioned: tuple[Partition, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in _KINDS or self.status not in _STATUSES:
            raise ValueError(f"an operation of kind {self.kind!r} and status {self.status!r}")
        if self.ended < self.began:
            raise ValueError(f"an operation that ended at {self.ended}, before it began at {self.began}")
        if self.transaction is None:
            if self.committed is not None:
                raise ValueError("an operation without a transaction can be neither committed nor aborted")
            if self.status == "fail" and any(send.offset is not None for send in self.sends):
                raise ValueError(
                    "a failed operation has an acknowledged send: write what failed as an operation of its own"
                )


def encode(operation: Operation) -> str:
    """One line, without its newline; fields that hold their default are left out."""
    fields: dict[str, Any] = {
        "process": operation.process,
        "index": operation.index,
        "kind": operation.kind,
        "status": operation.status,
    }
    if operation.sends:
        fields["sends"] = [[*send.partition, send.value, send.offset] for send in operation.sends]
    if operation.polls:
        fields["polls"] = [[*poll.partition, poll.offset, poll.value] for poll in operation.polls]
    if operation.transaction is not None:
        fields["transaction"] = operation.transaction
    if operation.committed is not None:
        fields["committed"] = operation.committed
    fields["began"] = operation.began
    fields["ended"] = operation.ended
    if operation.repositioned:
        fields["repositioned"] = operation.repositioned
    return json.dumps(fields, separators=(",", ":"))


def decode(line: str | bytes, partitions: dict[Partition, Partition] | None = None) -> Operation:
    """The operation of a line; equal partitions become one object where the caller keeps `partitions` between lines.

    Raises ValueError on anything else than a whole line of `encode`.
    """
    seen = {} if partitions is None else partitions

    def partition(topic: str, number: int) -> Partition:
        return seen.setdefault((topic, number), (topic, number))

    fields = json.loads(line)
    try:
        return Operation(
            fields["process"],
            fields["index"],
            fields["kind"],
            fields["status"],
            tuple([Send(partition(topic, n), value, offset) for topic, n, value, offset in fields.get("sends", ())]),
            tuple([Poll(partition(topic, n), offset, value) for topic, n, offset, value in fields.get("polls", ())]),
            fields.get("transaction"),
            fields.get("committed"),
            fields["began"],
            fields["ended"],
            tuple([partition(topic, n) for topic, n in fields.get("repositioned", ())]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not an operation: {error!r}") from error


class HistoryWriter:
    """Appends operations to a file, each in one write that is flushed, from any thread.

    What a killed writer left of a last line is cut off when the file is opened again.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        if path.exists():
            _cut_torn_line(path)
        self._file = path.open("ab", buffering=0)

    def write(self, operation: Operation) -> None:
        line = encode(operation).encode() + b"\n"
        with self._lock:
            self._file.write(line)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def write_history(path: Path, history: Iterable[Operation]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(encode(operation) + "\n" for operation in history)


def read_history(path: Path) -> list[Operation]:
    """All operations of a file in its order; a last line without its newline is one that a dying writer left: skipped.

    Raises ValueError with the line's number on any other line that is no operation.
    """
    return list(_operations(path))


def _operations(path: Path) -> Iterator[Operation]:
    partitions: dict[Partition, Partition] = {}
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                yield decode(line, partitions)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from error


def _cut_torn_line(path: Path) -> None:
    with path.open("rb+") as file:
        whole = 0
        for line in file:
            if line.endswith(b"\n"):
                whole += len(line)
        file.truncate(whole)
