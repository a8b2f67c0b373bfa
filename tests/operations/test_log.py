"""Logs: one line each, for people or for programs."""

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from infra.log import JsonFormatter, TextFormatter, set_up_logging


@pytest.fixture
def record() -> logging.LogRecord:
    try:
        raise ValueError("broken")
    except ValueError:
        return logging.LogRecord("cauce.node", logging.WARNING, "x.py", 1, "lost %d of “%s”", (3, "ü"), sys.exc_info())


@pytest.fixture
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_json_is_one_object_a_line(record: logging.LogRecord) -> None:
    line = JsonFormatter().format(record)
    assert "\n" not in line
    row = json.loads(line)
    assert (row["level"], row["logger"], row["message"]) == ("warning", "cauce.node", "lost 3 of “ü”")
    assert row["time"].endswith("+00:00")
    assert "ValueError: broken" in row["exception"]


def test_text_is_for_people(record: logging.LogRecord) -> None:
    first, *trace = TextFormatter().format(record).splitlines()
    assert first.endswith("warning cauce.node: lost 3 of “ü”")
    assert trace[-1] == "ValueError: broken"


def test_levels(restored: None, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("info", "json")
    log = logging.getLogger("infra.test")
    log.debug("hidden")
    log.info("shown")
    logging.getLogger("aiobotocore.hooks").info("hidden: libraries talk too much")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert [json.loads(line)["message"] for line in printed.err.splitlines()] == ["shown"]
