"""`cauce consume TOPIC`: records to stdout from the beginning, an offset or a time, to the end or following it."""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from cauce.cli.options import BOOTSTRAP, AsJson, Bootstrap
from cauce.cli.output import fail, sentences

_TIMEOUT_SECONDS = 10.0
_ROUND = 1000  # records asked for at once


def parse_time(text: str) -> int:
    """Milliseconds since the epoch of `2026-01-31`, `2026-01-31T12:00:00Z` or a plain number of milliseconds."""
    if text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{text!r} is not a time; write 2026-01-31T12:00:00Z or milliseconds since 1970")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode("utf-8", "backslashreplace")


def as_row(message: Any) -> dict[str, Any]:
    """A record as `--json` prints it; bytes that are not UTF-8 are escaped with backslashes."""
    kind, timestamp = message.timestamp()
    return {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": None if kind == TIMESTAMP_NOT_AVAILABLE else timestamp,
        "key": _text(message.key()),
        "value": _text(message.value()),
        "headers": [[name, _text(value)] for name, value in message.headers() or ()],
    }


def _start(
    consumer: Consumer, topic: str, partitions: Sequence[int], from_time: str | None, offset: str
) -> list[TopicPartition]:
    if from_time is not None:
        wanted = [TopicPartition(topic, number, parse_time(from_time)) for number in partitions]
        found: list[TopicPartition] = consumer.offsets_for_times(wanted, _TIMEOUT_SECONDS)
        return found
    places = {"beginning": OFFSET_BEGINNING, "end": OFFSET_END}
    if offset not in places and not offset.lstrip("-").isdigit():
        fail(f"--offset {offset!r} is not an offset; write beginning, end or a number")
    place = places.get(offset)
    return [TopicPartition(topic, number, int(offset) if place is None else place) for number in partitions]


def _partitions(consumer: Consumer, topic: str, bootstrap: str) -> list[int]:
    try:
        metadata = consumer.list_topics(topic, _TIMEOUT_SECONDS).topics[topic]
    except KafkaException:
        fail(f"no node answers at {bootstrap}; start one with `cauce up` or name another with --bootstrap")
    if metadata.error is not None or not metadata.partitions:
        fail(f"there is no topic {topic!r}; create it with `cauce topic create {topic}`")
    return sorted(metadata.partitions)


@sentences
def consume(
    topic: Annotated[str, typer.Argument(help="Topic to read.")],
    bootstrap: Bootstrap = BOOTSTRAP,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on at the end, wait for more.")] = False,
    from_time: Annotated[
        str | None, typer.Option("--from-time", help="Start at the first record of that time.")
    ] = None,
    offset: Annotated[str, typer.Option("--offset", "-o", help="beginning, end or a number.")] = "beginning",
    partition: Annotated[list[int] | None, typer.Option("--partition", "-p", help="Only these partitions.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", help="Stop after so many records.")] = None,
    key_separator: Annotated[str | None, typer.Option("--key-separator", "-K", help="Print keys before it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print records of a topic, a line each."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "cauce-consume",  # never joined: partitions are assigned by hand and nothing is committed
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "allow.auto.create.topics": False,
            "logger": _silent(),
        }
    )
    try:
        known = _partitions(consumer, topic, bootstrap)
        missing = set(partition or ()) - set(known)
        if missing:
            fail(f"topic {topic!r} has no partition {min(missing)}; it has 0 to {known[-1]}")
        wanted = partition or known
        consumer.assign(_start(consumer, topic, wanted, from_time, offset))
        _print_all(consumer, len(wanted), follow, limit, key_separator, as_json)
    finally:
        consumer.close()


def _silent() -> Any:
    import logging

    logger = logging.getLogger("cauce.consume")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger


def _print_all(
    consumer: Consumer, partitions: int, follow: bool, limit: int | None, separator: str | None, as_json: bool
) -> None:
    ended: set[int | None] = set()
    printed = 0
    while limit is None or printed < limit:
        batch = consumer.consume(_ROUND if limit is None else min(_ROUND, limit - printed), timeout=0.5)
        for message in batch:
            error = message.error()
            if error is None:
                _print(message, separator, as_json)
                printed += 1
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
            else:
                fail(f"reading stopped: {error.str()}")
        sys.stdout.flush()
        if not follow and len(ended) == partitions:
            return


def _print(message: Any, separator: str | None, as_json: bool) -> None:
    if as_json:
        print(json.dumps(as_row(message), ensure_ascii=False))
        return
    key = "" if separator is None else (_text(message.key()) or "") + separator
    print(key + (_text(message.value()) or ""))
