"""`cauce group list|describe|reset`."""

import contextlib
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from cauce.admin import EARLIEST, LATEST, Admin, GroupInfo
from cauce.cli.options import BOOTSTRAP, AsJson, Bootstrap, CommandConfig
from cauce.cli.output import as_fields, print_json, print_rows, sentences
from cauce.cli.places import at_time, parse_time, wanted_partitions
from cauce.cli.session import with_admin
from infra.errors import CauceError

app = typer.Typer(help="List, describe and reset consumer groups.", no_args_is_help=True)
_Name = Annotated[str, typer.Argument(help="Name of the group.")]
_Places = dict[tuple[str, int], int]
_ENDS = {"earliest": EARLIEST, "latest": LATEST}
_PLACES = "earliest, latest, an offset, or a time like 2026-01-31T12:00:00Z"


@app.command("list")
@sentences
def list_(bootstrap: Bootstrap = BOOTSTRAP, command_config: CommandConfig = None, as_json: AsJson = False) -> None:
    """List the groups."""
    groups = with_admin(bootstrap, command_config, lambda admin: admin.groups())
    rows = [{"group": one.group, "state": one.state, "protocol": one.protocol} for one in groups]
    print_rows(rows, ["group", "state", "protocol"], as_json, empty="there are no groups yet")


async def _ends(admin: Admin, places: _Places) -> _Places:
    """The high watermarks that can be had: not of a topic that was deleted, nor without a leader."""
    found: _Places = {}
    for topic in {name for name, _ in places}:
        partitions = [number for name, number in places if name == topic]
        with contextlib.suppress(CauceError):
            offsets = await admin.offsets(topic, partitions, LATEST)
            found.update({(topic, number): offset for number, offset in offsets.items()})
    return found


def _row(topic: str, partition: int, committed: int, end: int | None) -> dict[str, Any]:
    lag = None if end is None else max(0, end - committed)
    return {"topic": topic, "partition": partition, "committed": committed, "high watermark": end, "lag": lag}


@app.command()
@sentences
def describe(
    name: _Name, bootstrap: Bootstrap = BOOTSTRAP, command_config: CommandConfig = None, as_json: AsJson = False
) -> None:
    """Show a group's state, members, committed offsets and lag."""

    async def run(admin: Admin) -> tuple[GroupInfo, _Places, _Places]:
        group = await admin.group(name)
        committed = await admin.committed(name)
        return group, committed, await _ends(admin, committed)

    group, committed, ends = with_admin(bootstrap, command_config, run)
    rows = [_row(*place, offset, ends.get(place)) for place, offset in sorted(committed.items())]
    members = [{"member": key, "client": client, "host": host} for key, (client, host) in group.members.items()]
    if as_json:
        print_json({"group": name, "state": group.state, "members": members, "offsets": as_fields(rows)})
        return
    print(f"group {name}, {group.state}, {len(members)} members\n")
    if members:
        print_rows(members, ["member", "client", "host"], as_json=False)
        print()
    columns = ["topic", "partition", "committed", "high watermark", "lag"]
    print_rows(rows, columns, as_json=False, empty="no offsets are committed")


@app.command()
@sentences
def reset(
    name: _Name,
    topic: Annotated[str, typer.Option("--topic", "-t", help="Topic whose offsets are reset.")],
    to: Annotated[str, typer.Option("--to", help=f"{_PLACES}.")],
    partition: Annotated[list[int] | None, typer.Option("--partition", "-p", help="Only these partitions.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be committed.")] = False,
    bootstrap: Bootstrap = BOOTSTRAP,
    command_config: CommandConfig = None,
    as_json: AsJson = False,
) -> None:
    """Set the committed offsets of a group that has no members."""
    time_ms = None if to in _ENDS or to.isdecimal() else parse_time(to, _PLACES)

    async def run(admin: Admin) -> _Places:
        places = await _targets(admin, topic, wanted_partitions(await admin.topic(topic), partition), to, time_ms)
        if not dry_run:
            await admin.commit(name, places)
        return places

    places = with_admin(bootstrap, command_config, run)
    rows = [{"topic": topic, "partition": number, "offset": offset} for (_, number), offset in sorted(places.items())]
    if as_json:
        print_json({"group": name, "dry_run": dry_run, "offsets": rows})
    else:
        print_rows(rows, ["topic", "partition", "offset"], as_json=False)


async def _targets(admin: Admin, topic: str, partitions: Sequence[int], to: str, time_ms: int | None) -> _Places:
    if time_ms is not None:
        offsets = await at_time(admin, topic, partitions, time_ms)
    elif to in _ENDS:
        offsets = await admin.offsets(topic, partitions, _ENDS[to])
    else:
        first, end = await admin.offsets(topic, partitions, EARLIEST), await admin.offsets(topic, partitions, LATEST)
        offsets = {number: min(max(int(to), first[number]), end[number]) for number in partitions}
    return {(topic, number): offset for number, offset in offsets.items()}
