"""`cauce produce TOPIC`: records from stdin, a line each: text, key and text, or JSON with key, headers, timestamp."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer
from confluent_kafka import KafkaException, Producer

from cauce.cli.options import BOOTSTRAP, AsJson, Bootstrap, CommandConfig
from cauce.cli.output import fail, muted, print_json, sentences
from cauce.cli.session import properties_of, with_admin

_FLUSH_SECONDS = 60.0
_FIELDS = frozenset({"key", "value", "headers", "timestamp", "partition"})
_CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
_ACKS = ("0", "1", "all")
_READ_BACK = frozenset({"topic", "offset"})  # what `cauce consume --json` prints besides; where it came from


@dataclass(frozen=True, slots=True)
class Line:
    """One record as a line of stdin gave it."""

    value: bytes | None
    key: bytes | None = None
    headers: list[tuple[str, str | bytes | None]] = field(default_factory=list)
    timestamp: int = 0  # ms; 0: now
    partition: int = -1


class BadLine(ValueError):
    """A line of stdin that is no record; the message says why."""


def parse_json_line(text: bytes) -> Line:
    """`{"key": …, "value": …, "headers": {…}, "timestamp": ms, "partition": n}`; a non-string value is kept as JSON."""
    try:
        row = json.loads(text)
    except ValueError as error:
        raise BadLine(f"it is not JSON ({error})") from None
    if not isinstance(row, dict):
        raise BadLine('it is not an object such as {"key": "k", "value": "v"}')
    unknown = set(row) - _FIELDS - _READ_BACK
    if unknown:
        raise BadLine(f"it has the unknown field {min(unknown)!r}; known are {', '.join(sorted(_FIELDS))}")
    return Line(
        _bytes(row.get("value")),
        _bytes(row.get("key")),
        list(_headers(row.get("headers"))),
        _number(row, "timestamp", 0),
        _number(row, "partition", -1),
    )


def parse_text_line(text: bytes, separator: str | None) -> Line:
    """The whole line is the value, or what stands before the separator is the key."""
    if separator is None:
        return Line(text)
    key, found, value = text.partition(separator.encode())
    if not found:
        raise BadLine(f"there is no {separator!r} between key and value")
    return Line(value, key)


def _bytes(value: Any) -> bytes | None:
    if value is None:
        return None
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).encode()


def _headers(given: Any) -> Iterator[tuple[str, str | bytes | None]]:
    pairs: Any = list(given.items()) if isinstance(given, dict) else given or []
    for pair in pairs if isinstance(pairs, list) else [None]:
        match pair:
            case (str(name), value):
                yield name, _bytes(value)
            case _:
                raise BadLine('its headers are neither {"name": "value"} nor [["name", "value"]]')


def _number(row: Mapping[str, Any], name: str, default: int) -> int:
    value = row.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise BadLine(f"its {name} is {value!r}, not a whole number from 0 on")
    return value


def _lines(source: Iterable[bytes], as_json: bool, separator: str | None) -> Iterator[Line]:
    for number, line in enumerate(source, 1):
        text = line.removesuffix(b"\n").removesuffix(b"\r")
        if not text and as_json:
            continue
        try:
            yield parse_json_line(text) if as_json else parse_text_line(text, separator)
        except BadLine as error:
            raise BadLine(f"line {number} is no record: {error}") from None


class _Outcome:
    """Counts delivery reports; keeps the first failure."""

    def __init__(self) -> None:
        self.delivered = 0
        self.problem: str | None = None

    def __call__(self, error: Any, message: Any) -> None:
        if error is None:
            self.delivered += 1
        elif self.problem is None:
            self.problem = error.str()


@sentences
def produce(
    topic: Annotated[str, typer.Argument(help="Topic to write to.")],
    bootstrap: Bootstrap = BOOTSTRAP,
    command_config: CommandConfig = None,
    key_separator: Annotated[str | None, typer.Option("--key-separator", "-K", help="Splits key and value.")] = None,
    json_lines: Annotated[bool, typer.Option("--json-lines", "-J", help="Lines are JSON objects.")] = False,
    compression: Annotated[str, typer.Option(help="none, gzip, snappy, lz4 or zstd.")] = "zstd",
    acks: Annotated[str, typer.Option(help="0, 1 or all.")] = "all",
    as_json: AsJson = False,
) -> None:
    """Write records from stdin to a topic, a line each."""
    if key_separator == "":
        fail("--key-separator is empty; give what stands between key and value, for example -K :")
    if compression not in _CODECS:
        fail(f"--compression {compression!r} is none of {', '.join(_CODECS)}")
    if acks not in _ACKS:
        fail(f"--acks {acks!r} is none of {', '.join(_ACKS)}")
    with_admin(bootstrap, command_config, lambda admin: admin.ensure_topic(topic))
    options = {"bootstrap.servers": bootstrap, "compression.type": compression, "acks": acks, "linger.ms": 5}
    producer = Producer({**options, **properties_of(command_config).librdkafka(), "logger": muted()})
    outcome = _Outcome()
    try:
        for line in _lines(sys.stdin.buffer, json_lines, key_separator):
            _send(producer, topic, line, outcome)
            if outcome.problem:
                break
    except BadLine as error:
        outcome.problem = str(error)
    except KafkaException as error:
        outcome.problem = error.args[0].str()
    finally:
        left = producer.flush(_FLUSH_SECONDS)  # also at Ctrl-C: what was read is written
    if outcome.problem or left:
        problem = outcome.problem or f"no answer within {_FLUSH_SECONDS:.0f} seconds; is a node at {bootstrap}?"
        fail(f"{outcome.delivered} records were written to {topic!r}, then: {problem}")
    if as_json:
        print_json({"topic": topic, "records": outcome.delivered})
    elif sys.stderr.isatty():
        print(f"{outcome.delivered} records written to {topic}", file=sys.stderr)


def _send(producer: Producer, topic: str, line: Line, outcome: _Outcome) -> None:
    options: dict[str, Any] = {"timestamp": line.timestamp} if line.timestamp else {}
    if line.partition >= 0:
        options["partition"] = line.partition
    while True:
        try:
            producer.produce(topic, line.value, line.key, headers=line.headers, on_delivery=outcome, **options)
        except BufferError:
            producer.poll(0.1)
        else:
            producer.poll(0)
            return
