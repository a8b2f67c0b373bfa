"""`cauce replay TOPIC --to …`: a topic's records into files, tables, topics or a pipe, as fast as they can be read."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

from cauce.cli.options import BOOTSTRAP, AsJson, Bootstrap, Bucket, CommandConfig
from cauce.cli.output import INTERRUPTED, fail, print_json, sentences
from cauce.cli.places import parse_place
from cauce.cli.session import check_bootstrap

if TYPE_CHECKING:
    from reader.replay.transfer import Summary, Transfer

_GO_ON = "the same command with --resume goes on"


@sentences
def replay(
    topic: Annotated[str, typer.Argument(help="Topic to read.")],
    to: Annotated[
        str,
        typer.Option(
            help="FOLDER (Parquet), FILE.arrow, FILE.csv, FILE.jsonl, duckdb:FILE?table=NAME, kafka://HOST:PORT/TOPIC, "
            "or - for stdout."
        ),
    ],
    file_format: Annotated[
        str | None, typer.Option("--format", help="parquet, arrow, csv or jsonl, where the name does not say it.")
    ] = None,
    partition: Annotated[list[int] | None, typer.Option("--partition", "-p", help="Only these partitions.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="First offset, or time (2026-01-31T12:00:00Z).")] = None,
    until: Annotated[str | None, typer.Option("--until", help="End (exclusive): offset or time.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Only records with this key.")] = None,
    columns: Annotated[
        str | None,
        typer.Option("--columns", help="Some of partition,offset,timestamp,key,value,headers, with commas."),
    ] = None,
    keep_partitions: Annotated[
        bool, typer.Option("--keep-partitions", help="To a topic: into the partition that a record came from.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an earlier run stopped.")] = False,
    bootstrap: Bootstrap = BOOTSTRAP,
    command_config: CommandConfig = None,
    bucket: Bucket = None,
    as_json: AsJson = False,
) -> None:
    """Copy the records of a topic, up to where it ends now.

    History comes straight from the bucket, the rest from the leaders.
    """
    from reader.replay.request import ReplayRequest
    from reader.replay.session import Connection, ReplaySession
    from reader.replay.sinks.open import open_sink
    from reader.replay.transfer import Transfer

    check_bootstrap(bootstrap)
    if to == "-" and (resume or as_json):
        fail("--resume and --json need a file, table or topic to write to, not stdout")
    request = ReplayRequest(
        topic=topic,
        partitions=tuple(partition) if partition else None,
        start=None if start is None else parse_place(start),
        end=None if until is None else parse_place(until),
        key=None if key is None else key.encode(),
        columns=None if columns is None else tuple(name.strip() for name in columns.split(",")),
    )
    with ReplaySession(
        request, Connection(bootstrap=bootstrap, bucket=bucket, command_config=command_config)
    ) as session:
        sink = open_sink(to, topic=topic, file_format=file_format, keep_partitions=keep_partitions)
        with closing(sink), _stopping() as stop:
            summary = _run(Transfer(session, sink, resume=resume, stop=stop), shows=not as_json)
    if as_json:
        print_json({"topic": topic, "to": to, **_fields(summary)})
    elif to != "-" and summary.complete:
        print(f"{summary.records:,} records in {to}")
    if not summary.complete:
        print(
            f"cauce: stopped after {summary.records:,} records" + ("" if to == "-" else f"; {_GO_ON}"), file=sys.stderr
        )
        raise typer.Exit(INTERRUPTED)


def _run(transfer: "Transfer", *, shows: bool) -> "Summary":
    from infra.errors import Unavailable

    with _bar(transfer.left, shows and sys.stderr.isatty()) as observe:
        try:
            return transfer.run(observe)
        except Unavailable as error:
            raise Unavailable(f"{error.message}; {_GO_ON}") from error


def _fields(summary: "Summary") -> dict[str, Any]:
    return {
        "records": summary.records,
        "written": summary.written,
        "bytes": summary.bytes,
        "complete": summary.complete,
    }


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Set by the first Ctrl-C, which so stops cleanly; the second one ends the command at once."""
    stop = threading.Event()

    def on_signal(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop.set()

    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _bar(offsets: int, shown: bool) -> Iterator[Callable[[int, int, int], None]]:
    """A bar on stderr, over offsets; yields what is told of each batch."""
    columns: list[ProgressColumn] = [
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[records]:,} records"),
        _Rate(),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=Console(stderr=True), disable=not shown, transient=True) as progress:
        task = progress.add_task("replay", total=offsets, records=0, size=0)
        done = {"records": 0, "size": 0}

        def observe(moved: int, records: int, size: int) -> None:
            done["records"] += records
            done["size"] += size
            progress.update(task, advance=moved, records=done["records"], size=done["size"])

        yield observe


class _Rate(ProgressColumn):
    """Records and bytes a second since the beginning."""

    def render(self, task: Any) -> str:
        seconds = task.elapsed or 0
        if not seconds:
            return ""
        return f"{task.fields['records'] / seconds:,.0f}/s {task.fields['size'] / seconds / 1e6:,.0f} MB/s"
