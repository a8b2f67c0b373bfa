"""`cauce consume TOPIC`: records to stdout from the beginning, an offset or a time, to the end or following it."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaError, KafkaException, TopicPartition

from cauce.admin import EARLIEST, LATEST, Admin
from cauce.cli.options import BOOTSTRAP, AsJson, Bootstrap, CommandConfig
from cauce.cli.output import fail, muted, sentences
from cauce.cli.places import at_time, parse_time, wanted_partitions
from cauce.cli.session import properties_of, with_admin

_ROUND = 1000  # records asked for at once
_ROUND_SECONDS = 0.1
_PLACES = {"beginning": EARLIEST, "end": LATEST}


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


@sentences
def consume(
    topic: Annotated[str, typer.Argument(help="Topic to read.")],
    bootstrap: Bootstrap = BOOTSTRAP,
    command_config: CommandConfig = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on at the end, wait for more.")] = False,
    from_time: Annotated[
        str | None, typer.Option("--from-time", help="Start at the first record of that time.")
    ] = None,
    offset: Annotated[str, typer.Option("--offset", "-o", help="beginning, end or a number.")] = "beginning",
    partition: Annotated[list[int] | None, typer.Option("--partition", "-p", help="Only these partitions.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="Stop after so many records.")] = None,
    key_separator: Annotated[str | None, typer.Option("--key-separator", "-K", help="Print keys before it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print records of a topic, a line each."""
    time_ms = None if from_time is None else parse_time(from_time)
    if offset not in _PLACES and not offset.isdecimal():
        fail(f"--offset {offset!r} is not an offset; write beginning, end or a number")
    starts = with_admin(bootstrap, command_config, lambda admin: _starts(admin, topic, partition, time_ms, offset))
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            **properties_of(command_config).librdkafka(),
            "group.id": "cauce-consume",  # never joined: partitions are assigned by hand and nothing is committed
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "allow.auto.create.topics": False,
            "fetch.wait.max.ms": 500 if follow else 50,  # the end is told by an empty answer
            "auto.offset.reset": "earliest",  # retention passed the start while we were coming
            "logger": muted(),
        }
    )
    try:
        consumer.assign([TopicPartition(topic, number, start) for number, start in starts.items()])
        _print_all(consumer, len(starts), follow, limit, key_separator, as_json)
    except KafkaException as error:
        fail(f"cannot read {topic!r}: {error.args[0].str()}")
    finally:
        consumer.close()


async def _starts(
    admin: Admin, topic: str, partitions: Sequence[int] | None, time_ms: int | None, offset: str
) -> Mapping[int, int]:
    wanted = wanted_partitions(await admin.topic(topic), partitions)
    if time_ms is not None:
        return await at_time(admin, topic, wanted, time_ms)
    if offset in _PLACES:
        return await admin.offsets(topic, wanted, _PLACES[offset])
    first, end = await admin.offsets(topic, wanted, EARLIEST), await admin.offsets(topic, wanted, LATEST)
    if int(offset) > max(end.values()):
        fail(f"--offset {offset} is beyond the end of {topic!r}, which is at {max(end.values())}")
    return {number: min(max(int(offset), first[number]), end[number]) for number in wanted}


def _print_all(
    consumer: Consumer, partitions: int, follow: bool, limit: int | None, separator: str | None, as_json: bool
) -> None:
    ended: set[int | None] = set()
    printed = 0
    while limit is None or printed < limit:
        most = _ROUND if limit is None else min(_ROUND, limit - printed)
        for message in consumer.consume(most, timeout=_ROUND_SECONDS):
            error = message.error()
            if error is None:
                _print(message, separator, as_json)
                printed += 1
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
            elif error.fatal() or not error.retriable():
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
