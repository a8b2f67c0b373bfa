"""`cauce produce TOPIC`: records from stdin, a line each: text, key and text, or JSON with key, headers, timestamp."""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer
from confluent_kafka import KafkaException, Producer

from cauce.cli.options import BOOTSTRAP, AsJson, Bootstrap
from cauce.cli.output import fail, print_json, sentences

_FLUSH_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Line:
    """One record as a line of stdin gave it."""

    value: bytes | None
    key: bytes | None = None
    headers: list[tuple[str, str | bytes | None]] = field(default_factory=list)
    timestamp: int = 0  # ms; 0: now
    partition: int = -1


def parse_json_line(text: str) -> Line:
    """`{"key": …, "value": …, "headers": {…}, "timestamp": ms, "partition": n}`; a non-string value is kept as JSON."""
    row = json.loads(text)
    if not isinstance(row, dict):
        raise ValueError("a JSON line must be an object with a value")
    unknown = set(row) - {"key", "value", "headers", "timestamp", "partition", "topic", "offset"}
    if unknown:
        raise ValueError(f"unknown fields {', '.join(sorted(unknown))}")
    headers = row.get("headers") or {}
    pairs = headers.items() if isinstance(headers, dict) else headers
    return Line(
        _bytes(row.get("value")),
        _bytes(row.get("key")),
        [(str(name), _bytes(value)) for name, value in pairs],
        int(row.get("timestamp") or 0),
        int(row.get("partition", -1)),
    )


def parse_text_line(text: str, separator: str | None) -> Line:
    """The whole line is the value, or what stands before the separator is the key."""
    if separator is None:
        return Line(text.encode())
    key, found, value = text.partition(separator)
    if not found:
        raise ValueError(f"no {separator!r} between key and value")
    return Line(value.encode(), key.encode())


def _bytes(value: Any) -> bytes | None:
    if value is None:
        return None
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).encode()


def _lines(source: Iterable[str], as_json: bool, separator: str | None) -> Iterator[Line]:
    for number, text in enumerate(source, 1):
        stripped = text.rstrip("\n")
        if not stripped and as_json:
            continue
        try:
            yield parse_json_line(stripped) if as_json else parse_text_line(stripped, separator)
        except ValueError as error:
            fail(f"line {number} is not a record: {error}. The {number - 1} lines before it were sent.")


class _Outcome:
    """Counts delivery reports; keeps the first failure."""

    def __init__(self) -> None:
        self.delivered = 0
        self.error: str | None = None

    def __call__(self, error: Any, message: Any) -> None:
        if error is None:
            self.delivered += 1
        elif self.error is None:
            self.error = str(error)


@sentences
def produce(
    topic: Annotated[str, typer.Argument(help="Topic to write to.")],
    bootstrap: Bootstrap = BOOTSTRAP,
    key_separator: Annotated[str | None, typer.Option("--key-separator", "-K", help="Splits key and value.")] = None,
    json_lines: Annotated[bool, typer.Option("--json-lines", "-J", help="Lines are JSON objects.")] = False,
    compression: Annotated[str, typer.Option(help="none, gzip, snappy, lz4 or zstd.")] = "zstd",
    acks: Annotated[str, typer.Option(help="0, 1 or all.")] = "all",
    as_json: AsJson = False,
) -> None:
    """Write records from stdin to a topic, a line each."""
    outcome = _Outcome()
    try:
        producer = Producer(
            {"bootstrap.servers": bootstrap, "compression.type": compression, "acks": acks, "linger.ms": 5}
        )
        for line in _lines(sys.stdin, json_lines, key_separator):
            _send(producer, topic, line, outcome)
            if outcome.error:
                break
        left = producer.flush(_FLUSH_SECONDS)
    except KafkaException as error:
        fail(f"cannot produce to {topic!r}: {error.args[0].str()}")
    if outcome.error or left:
        problem = outcome.error or f"no answer within {_FLUSH_SECONDS:.0f} seconds; is a node listening at {bootstrap}?"
        fail(f"{outcome.delivered} records were written, then: {problem}")
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
