"""`cauce sql "select …"`: SQL over topics by DuckDB, one statement or a prompt."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cauce.cli.options import BOOTSTRAP, Bootstrap, Bucket, CommandConfig
from cauce.cli.output import fail, sentences
from cauce.cli.session import check_bootstrap, with_admin

if TYPE_CHECKING:
    from reader.replay.dataset import TopicDataset
    from reader.replay.sql import SqlSession

_HISTORY = Path("~/.cauce_sql_history")
_GREETING = "SQL over the topics of {bootstrap}; statements end with ;  Ctrl-D leaves."
_PROMPT, _MORE = "cauce> ", "   ...> "


@sentences
def sql(
    query: Annotated[str | None, typer.Argument(help="SQL; without it, a prompt, or what stands on stdin.")] = None,
    file_format: Annotated[str, typer.Option("--format", help="table, csv or json (an object a line).")] = "table",
    memory: Annotated[str, typer.Option(help="What DuckDB may use; beyond it, it writes to the disk.")] = "1GB",
    bootstrap: Bootstrap = BOOTSTRAP,
    command_config: CommandConfig = None,
    bucket: Bucket = None,
) -> None:
    """Query topics with SQL. A topic is a table: partition, offset, timestamp, key, value, headers."""
    from cauce.cli.sql_output import FORMATS, shower
    from reader.replay.sql import SqlSession

    check_bootstrap(bootstrap)
    if file_format not in FORMATS:
        fail(f"--format {file_format!r} is not known; write {', '.join(FORMATS)}")
    topics = _topics(bootstrap, command_config)
    session = SqlSession(topics, lambda name: _open(name, bootstrap, bucket, command_config), memory=memory)
    show = shower(file_format)
    try:
        if query is None and sys.stdin.isatty():
            _prompt(session, show, bootstrap)
        else:
            _run(session, sys.stdin.read() if query is None else query, show)
    finally:
        session.close()


def _topics(bootstrap: str, command_config: Path | None) -> Callable[[], list[str]]:
    return lambda: [topic.name for topic in with_admin(bootstrap, command_config, lambda admin: admin.topics())]


def _open(name: str, bootstrap: str, bucket: str | None, command_config: Path | None) -> "TopicDataset":
    from cauce.reading import scan

    return scan(name, bootstrap=bootstrap, bucket=bucket, text=True, command_config=command_config)


def _run(session: "SqlSession", text: str, show: Callable[[Any], None]) -> None:
    for statement in session.statements(text):
        show(session.run(statement))


def _prompt(session: "SqlSession", show: Callable[[Any], None], bootstrap: str) -> None:
    from infra.errors import CauceError

    print(_GREETING.format(bootstrap=bootstrap))
    with_history = _history()
    for text in _statements():
        try:
            _run(session, text, show)
        except CauceError as error:
            print(f"cauce: {error.message}", file=sys.stderr)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
    with_history()


def _statements() -> Iterator[str]:
    """What is typed, up to a semicolon at the end of a line; an empty or unfinished text is given up by Ctrl-C."""
    lines: list[str] = []
    while True:
        try:
            line = input(_MORE if lines else _PROMPT)
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print()
            lines = []
            continue
        if not lines and line.strip().rstrip(";").lower() in ("exit", "quit"):
            return
        lines.append(line)
        if line.rstrip().endswith(";"):
            yield "\n".join(lines)
            lines = []
        elif not "".join(lines).strip():
            lines = []


def _history() -> Callable[[], None]:
    """Lines of earlier prompts; answers what keeps those of this one."""
    try:
        import readline
    except ImportError:
        return lambda: None
    path = _HISTORY.expanduser()
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    readline.set_history_length(1000)
    return lambda: _keep(path)


def _keep(path: Path) -> None:
    import readline

    with contextlib.suppress(OSError):
        readline.write_history_file(path)
