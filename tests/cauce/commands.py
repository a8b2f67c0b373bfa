"""The `cauce` command as a user runs it: a process of its own, with words, stdin and what it printed."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from typer.testing import CliRunner

from cauce.cli.main import app

_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed as one JSON document."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """What it printed, line by line."""
        return self.out.splitlines()


def environment() -> dict[str, str]:
    """This process's own, without what would change the meaning of a command."""
    return {name: text for name, text in os.environ.items() if not name.startswith("CAUCE_")} | {"COLUMNS": "200"}


def run(*words: str, stdin: str | bytes = "", more: Sequence[tuple[str, str]] = ()) -> Done:
    """Run `cauce WORDS` to its end. `more`: environment variables."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    command = [sys.executable, "-m", "cauce", *words]
    done = subprocess.run(
        command, input=given, capture_output=True, timeout=_SECONDS, env=environment() | dict(more), check=False
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def runs(*words: str, stdin: str | bytes = "", more: Sequence[tuple[str, str]] = ()) -> Done:
    """Run a command, as a process of its own, that succeeds and has nothing to complain of."""
    done = run(*words, stdin=stdin, more=more)
    assert (done.code, done.err) == (0, ""), done
    return done


def works(*words: str, stdin: str | bytes = "") -> Done:
    """The same within this process: there are many of these, and Python takes its time to start."""
    done = _within(words, stdin)
    assert (done.code, done.err) == (0, ""), done
    return done


def ends(*words: str) -> Done:
    """A command, within this process, that may end with any code."""
    return _within(words, "")


def fails(*words: str, stdin: str | bytes = "") -> str:
    """A command, within this process, that fails with one sentence on stderr and nothing on stdout; the sentence."""
    done = _within(words, stdin)
    assert (done.code, done.out) == (1, ""), done
    [line] = done.err.splitlines()
    assert line.startswith("cauce: "), done
    return line.removeprefix("cauce: ")


def _within(words: Sequence[str], stdin: str | bytes) -> Done:
    unset = dict.fromkeys(os.environ.keys() & {"CAUCE_BOOTSTRAP", "CAUCE_CONFIG"})
    done = CliRunner(env=unset).invoke(app, words, input=stdin, prog_name="cauce")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Done(done.exit_code, done.stdout, done.stderr)


def fails_to_start(*words: str) -> str:
    """Run `cauce up` or `cauce node` that ends with one sentence, which may stand below lines of the log."""
    done = run(*words)
    assert (done.code, done.out) == (1, ""), done
    assert "Traceback" not in done.err, done
    line = done.err.splitlines()[-1]
    assert line.startswith("cauce: "), done
    return line.removeprefix("cauce: ")
