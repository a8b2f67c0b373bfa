"""Carries the records of a session into a sink, and keeps how far that got each time the sink has made them durable."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from infra.error_code import ErrorCode
from infra.errors import Refused
from reader.replay.progress import Progress
from reader.replay.session import ReplaySession
from reader.replay.sinks.port import Sink

Observe = Callable[[int, int, int], None]
"""Told after each batch: how many offsets it moved on, records and bytes (of Arrow) in it."""


@dataclass(frozen=True, slots=True)
class Summary:
    """How a transfer ended."""

    records: int  # in the sink, those of earlier runs too
    written: int  # by this run
    bytes: int  # of Arrow, by this run
    complete: bool  # False: it was stopped


class Transfer:
    """One run."""

    def __init__(
        self, session: ReplaySession, sink: Sink, *, resume: bool = False, stop: threading.Event | None = None
    ) -> None:
        """Looks what the sink holds. Raises `Refused` when that does not fit what is asked for.

        Once `stop` is set, from any thread or a signal, the run ends after the batch that is being written.
        """
        self._session = session
        self._sink = sink
        self._stop = stop or threading.Event()
        begun = Progress(str(session.facts.topic_id), described(session), dict(session.spans))
        kept = sink.progress()
        if kept is not None and not resume:
            raise Refused(
                ErrorCode.INVALID_REQUEST, f"{sink.name} holds a replay that is not finished: go on with --resume"
            )
        if kept is not None:
            kept.check(begun)
        self.progress = kept or begun
        sink.begin(session.selection(sink.schema).out, resumed=kept is not None)
        if kept is None:
            sink.commit(begun)  # the ends are settled from here on, whatever happens

    @property
    def left(self) -> int:
        """Offsets still to be delivered."""
        return sum(map(len, self.progress.left.values()))

    def run(self, observe: Observe = lambda *_: None) -> Summary:
        """To the end, or until it is stopped. Raises what the session and the sink raise; what was kept stays true."""
        positions = {one: span.start for one, span in self.progress.left.items()}
        pending = pending_records = written = size = 0
        selection = self._session.selection(self._sink.schema)
        for partition, next_offset, rows in self._session.delivered(selection, self.progress.left):
            if rows.num_rows:
                self._sink.write(rows)
            moved, positions[partition] = next_offset - positions[partition], next_offset
            pending, pending_records = pending + rows.nbytes, pending_records + rows.num_rows
            written, size = written + rows.num_rows, size + rows.nbytes
            observe(moved, rows.num_rows, rows.nbytes)
            if pending >= self._sink.commit_bytes:
                self._keep(positions, pending_records)
                pending = pending_records = 0
            if self._stop.is_set():
                break
        self._keep(positions, pending_records)
        complete = not self.left
        if complete:
            self._sink.finish()
        return Summary(self.progress.records, written, size, complete)

    def _keep(self, positions: dict[int, int], records: int) -> None:
        progress = self.progress.advanced(positions, records)
        self._sink.commit(progress)
        self.progress = progress


def described(session: ReplaySession) -> dict[str, str | list[int] | list[str] | None]:
    """A request in plain values, to compare it with another."""
    request = session.request
    return {
        "topic": request.topic,
        "partitions": None if request.partitions is None else sorted(request.partitions),
        "start": None if request.start is None else str(request.start),
        "end": None if request.end is None else str(request.end),
        "key": None if request.key is None else request.key.hex(),
        "columns": None if request.columns is None else list(request.columns),
    }
