"""`cauce sql` against a real node."""

import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from cauce.testing import CauceProcess
from tests.cauce.commands import environment, fails, run, works
from tests.replay.compacted import compact, produce


@pytest.fixture(scope="module")
def at(cauce_node: CauceProcess) -> tuple[str, str]:
    produce(cauce_node.bootstrap, "payments", 600)
    compact(cauce_node, "payments", 0, [100, 250])
    return ("-b", cauce_node.bootstrap)


QUERY = "select value->>'status' as status, count(*) as n from payments where value is not null group by 1 order by 1"


def test_a_table_for_people(at: tuple[str, str]) -> None:
    assert [line.rstrip() for line in works("sql", QUERY, *at).lines] == [
        "status     n",
        "open     199",
        "settled  399",
    ]


def test_csv_and_json_for_programs(at: tuple[str, str]) -> None:
    assert works("sql", QUERY, "--format", "csv", *at).lines == ['"status","n"', '"open",199', '"settled",399']
    lines = works("sql", QUERY, "--format", "json", *at).lines
    assert [json.loads(line) for line in lines] == [{"status": "open", "n": 199}, {"status": "settled", "n": 399}]


def test_every_column(at: tuple[str, str]) -> None:
    query = 'select * from payments where partition = 0 and "offset" = 0'
    assert json.loads(works("sql", query, "--format", "json", *at).out) == {
        "partition": 0,
        "offset": 0,
        "timestamp": "2026-01-31 00:00:00+00",
        "key": "account-0",
        "value": None,
        "headers": [{"key": "trace", "value": "0"}],
        "key_bytes": None,
        "value_bytes": "\\xFF\\x00",
    }


def test_statements_on_stdin(at: tuple[str, str]) -> None:
    text = 'create table few as select * from payments where "offset" < 3;\nselect count(*) as n from few;'
    assert works("sql", "--format", "csv", *at, stdin=text).lines[-2:] == ['"n"', "6"]


def test_a_long_table_is_cut_and_says_so(at: tuple[str, str]) -> None:
    done = run("sql", "select range as r from range(3000)", *at)
    assert (done.code, len(done.lines)) == (0, 1001)
    assert "the first 1,000 rows" in done.err
    assert len(works("sql", "select range as r from range(3000)", "--format", "csv", *at).lines) == 3001


def test_mistakes_are_told(at: tuple[str, str]) -> None:
    assert run("sql", "select nope from payments", *at).err.startswith("cauce: Binder Error")
    assert "table, csv, json" in fails("sql", "select 1", "--format", "xml", *at)
    assert "cannot be reached" in fails("sql", "select * from payments", "-b", "127.0.0.1:1")


def test_the_prompt(at: tuple[str, str], tmp_path: Path) -> None:
    """Typed at a terminal: a statement over two lines, a mistake, another statement, and the end."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cauce", "sql", *at],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment() | {"HOME": str(tmp_path), "TERM": "dumb"},
    )
    os.close(slave)
    typed = b"select count(*) as n\n from payments;\nselect nope from payments;\nselect 40 + 2 as answer;\nexit\n"
    os.write(master, typed)
    said = b""
    with contextlib.suppress(OSError):  # what a terminal says when nobody has it open any longer
        while some := os.read(master, 4096):
            said += some
    os.close(master)
    assert process.wait(60) == 0, said
    assert b"600" in said
    assert b"Binder Error" in said
    assert b"42" in said
    assert "select 40 + 2 as answer;" in (tmp_path / ".cauce_sql_history").read_text()
