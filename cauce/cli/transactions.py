"""`cauce transactions list|describe|producers|find-hanging|abort`."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from cauce.admin import Admin
from cauce.cli.options import BOOTSTRAP, AsJson, Bootstrap, CommandConfig
from cauce.cli.output import fail, print_json, print_rows, sentences
from cauce.cli.places import wanted_partitions
from cauce.cli.session import with_admin
from cauce.transaction_admin import ProducerInfo, TransactionAdmin
from infra.clock import SYSTEM_CLOCK

app = typer.Typer(help="List, describe and end transactions.", no_args_is_help=True)

T = TypeVar("T")

_HANGS_AFTER_MINUTES = 20.0  # the longest transaction that is allowed by default, and five more
_Topic = Annotated[str, typer.Option("--topic", "-t", help="Topic.")]
_Partition = Annotated[int, typer.Option("--partition", "-p", help="Partition.")]
_PRODUCER_COLUMNS = ["producer id", "epoch", "coordinator epoch", "last sequence", "last written", "open since offset"]


def _ask(bootstrap: str, command_config: Path | None, action: Callable[[TransactionAdmin], Awaitable[T]]) -> T:
    return with_admin(bootstrap, command_config, lambda admin: action(TransactionAdmin(admin.client)))


@app.command("list")
@sentences
def list_(
    state: Annotated[list[str] | None, typer.Option("--state", help="Only in this state, for example Ongoing.")] = None,
    longer_than: Annotated[
        float | None, typer.Option("--longer-than", help="Only those begun longer ago, in minutes.")
    ] = None,
    bootstrap: Bootstrap = BOOTSTRAP,
    command_config: CommandConfig = None,
    as_json: AsJson = False,
) -> None:
    """List the transactional ids."""
    longer_than_ms = -1 if longer_than is None else round(longer_than * 60_000)
    found = _ask(bootstrap, command_config, lambda admin: admin.listed(state or (), longer_than_ms=longer_than_ms))
    rows = [
        {
            "transactional id": one.transactional_id,
            "coordinator": one.coordinator,
            "producer id": one.producer_id,
            "state": one.state,
        }
        for one in found
    ]
    columns = ["transactional id", "coordinator", "producer id", "state"]
    print_rows(rows, columns, as_json, empty="there are no such transactional ids")


@app.command()
@sentences
def describe(
    transactional_id: Annotated[str, typer.Argument(help="Transactional id.")],
    bootstrap: Bootstrap = BOOTSTRAP,
    command_config: CommandConfig = None,
    as_json: AsJson = False,
) -> None:
    """Show what a transactional id is at, and the partitions of its open transaction."""
    found = _ask(bootstrap, command_config, lambda admin: admin.described(transactional_id))
    partitions = [{"topic": topic, "partition": partition} for topic, partition in sorted(found.partitions)]
    if as_json:
        print_json(
            {
                "transactional_id": found.transactional_id,
                "producer_id": found.producer_id,
                "producer_epoch": found.producer_epoch,
                "state": found.state,
                "timeout_ms": found.timeout_ms,
                "started_ms": found.started_ms,
                "partitions": partitions,
            }
        )
        return
    started = "" if found.started_ms is None else f", begun {_time(found.started_ms)}"
    print(f"{transactional_id}, {found.state}{started}, time-out {found.timeout_ms / 1000:g} s")
    print(f"producer {found.producer_id}, epoch {found.producer_epoch}\n")
    print_rows(partitions, ["topic", "partition"], as_json=False, empty="no partitions are in an open transaction")


@app.command()
@sentences
def producers(
    topic: _Topic,
    partition: _Partition,
    bootstrap: Bootstrap = BOOTSTRAP,
    command_config: CommandConfig = None,
    as_json: AsJson = False,
) -> None:
    """Show the producers that a partition knows, and which have a transaction open in it."""
    found = _ask(bootstrap, command_config, lambda admin: admin.producers(topic, partition))
    print_rows([_producer_row(one) for one in found], _PRODUCER_COLUMNS, as_json, empty="it knows no producers")


@app.command("find-hanging")
@sentences
def find_hanging(
    topic: Annotated[str | None, typer.Option("--topic", "-t", help="Only in this topic.")] = None,
    partition: Annotated[list[int] | None, typer.Option("--partition", "-p", help="Only in these partitions.")] = None,
    older_than: Annotated[
        float, typer.Option("--older-than", help="Not written to for so many minutes; more than any time-out.")
    ] = _HANGS_AFTER_MINUTES,
    bootstrap: Bootstrap = BOOTSTRAP,
    command_config: CommandConfig = None,
    as_json: AsJson = False,
) -> None:
    """Find transactions that are open in a partition and unknown to their coordinator: they end by `abort` only."""
    if partition and topic is None:
        fail("--partition needs --topic")
    before_ms = SYSTEM_CLOCK.now_ms() - round(older_than * 60_000)

    async def run(admin: Admin) -> list[tuple[ProducerInfo, str | None]]:
        topics = await admin.topics() if topic is None else [await admin.topic(topic)]
        places = [(one.name, number) for one in topics for number in wanted_partitions(one, partition)]
        return await TransactionAdmin(admin.client).hanging(places, before_ms)

    rows = [
        {"topic": one.topic, "partition": one.partition, "transactional id": name, **_producer_row(one)}
        for one, name in with_admin(bootstrap, command_config, run)
    ]
    columns = ["topic", "partition", "transactional id", *_PRODUCER_COLUMNS]
    print_rows(rows, columns, as_json, empty="no transaction hangs")


@app.command()
@sentences
def abort(
    topic: _Topic,
    partition: _Partition,
    start_offset: Annotated[int, typer.Option("--start-offset", help="Where it began: `find-hanging` tells.")],
    bootstrap: Bootstrap = BOOTSTRAP,
    command_config: CommandConfig = None,
) -> None:
    """End a hanging transaction in a partition: what it wrote there is never read as committed."""

    async def run(admin: TransactionAdmin) -> ProducerInfo | None:
        known = await admin.producers(topic, partition)
        found = next((one for one in known if one.transaction_start_offset == start_offset), None)
        if found is not None:
            await admin.abort(found)
        return found

    found = _ask(bootstrap, command_config, run)
    if found is None:
        fail(f"no transaction is open in {topic}-{partition} from offset {start_offset} on; see `find-hanging`")
    print(f"aborted the transaction of producer {found.producer_id} in {topic}-{partition}")


def _producer_row(one: ProducerInfo) -> dict[str, Any]:
    values = (
        one.producer_id,
        one.producer_epoch,
        one.coordinator_epoch,
        one.last_sequence,
        _time(one.last_ms) if one.last_ms >= 0 else None,
        one.transaction_start_offset,
    )
    return dict(zip(_PRODUCER_COLUMNS, values, strict=True))


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
