"""What commands print: tables for people, JSON for programs, and errors as one sentence on stderr."""

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, NoReturn, ParamSpec, TypeVar

import typer

from infra.errors import CauceError

P = ParamSpec("P")
R = TypeVar("R")

FAILED = 1
INTERRUPTED = 130


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def as_fields(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with the names of columns as programs like them: `high watermark` becomes `high_watermark`."""
    return [{name.replace(" ", "_"): value for name, value in row.items()} for row in rows]


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], as_json: bool, empty: str = "") -> None:
    """Rows as a table with these columns, or all of them as JSON."""
    if as_json:
        print_json(as_fields(rows))
        return
    if not rows:
        print(empty or "nothing to show")
        return
    from rich.console import Console  # here: a node that starts prints no table
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in columns:
        right = all(isinstance(row.get(column), int | float) for row in rows)
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if row.get(column) is None else str(row[column]) for column in columns))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def muted() -> logging.Logger:
    """A logger for a Kafka client: what it says beside its errors would come on top of our one sentence."""
    logger = logging.getLogger("cauce.cli.client")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger


def fail(sentence: str) -> NoReturn:
    """End the command with one sentence that says what to do."""
    print(f"cauce: {sentence}", file=sys.stderr)
    raise typer.Exit(FAILED)


def sentences(command: Callable[P, R]) -> Callable[P, R]:
    """Turn the errors we know into one sentence and an exit code; Ctrl-C is a clean stop."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except CauceError as error:
            fail(error.message)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # The reader of our output left, which is no failure; Python must not find out again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None

    return run
