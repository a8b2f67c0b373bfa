"""`cauce group list|describe|reset`."""

from typing import Annotated

import typer

from cauce.admin import EARLIEST, LATEST, Admin, GroupInfo
from cauce.cli.consume import parse_time
from cauce.cli.options import BOOTSTRAP, AsJson, Bootstrap
from cauce.cli.output import fail, print_json, print_rows, sentences
from cauce.cli.session import with_admin

app = typer.Typer(help="List, describe and reset consumer groups.", no_args_is_help=True)
_Name = Annotated[str, typer.Argument(help="Name of the group.")]
_Places = dict[tuple[str, int], int]


@app.command("list")
@sentences
def list_(bootstrap: Bootstrap = BOOTSTRAP, as_json: AsJson = False) -> None:
    """List the groups."""
    groups = with_admin(bootstrap, lambda admin: admin.groups())
    rows = [{"group": one.group, "state": one.state, "protocol": one.protocol} for one in groups]
    print_rows(rows, ["group", "state", "protocol"], as_json, empty="there are no groups yet")


async def _ends(admin: Admin, places: _Places, timestamp: int) -> _Places:
    found: _Places = {}
    for topic in {name for name, _ in places}:
        partitions = [number for name, number in places if name == topic]
        offsets = await admin.offsets(topic, partitions, timestamp)
        found.update({(topic, number): offset for number, offset in offsets.items()})
    return found


@app.command()
@sentences
def describe(name: _Name, bootstrap: Bootstrap = BOOTSTRAP, as_json: AsJson = False) -> None:
    """Show a group's state, members, committed offsets and lag."""

    async def run(admin: Admin) -> tuple[GroupInfo, _Places, _Places]:
        group = await admin.group(name)
        committed = await admin.committed(name)
        return group, committed, await _ends(admin, committed, LATEST)

    group, committed, ends = with_admin(bootstrap, run)
    rows = [
        {"topic": topic, "partition": number, "committed": offset, "high watermark": ends[topic, number]}
        | {"lag": ends[topic, number] - offset}
        for (topic, number), offset in sorted(committed.items())
    ]
    members = [{"member": key, "client": client, "host": host} for key, (client, host) in group.members.items()]
    if as_json:
        print_json({"group": name, "state": group.state, "members": members, "offsets": rows})
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
    to: Annotated[str, typer.Option("--to", help="earliest, latest, an offset, or a time like 2026-01-31T12:00:00Z.")],
    partition: Annotated[list[int] | None, typer.Option("--partition", "-p", help="Only these partitions.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be committed.")] = False,
    bootstrap: Bootstrap = BOOTSTRAP,
    as_json: AsJson = False,
) -> None:
    """Set the committed offsets of a group that has no members."""

    async def run(admin: Admin) -> _Places:
        known = [row.partition for row in (await admin.topic(topic)).partitions]
        wanted = partition or known
        missing = set(wanted) - set(known)
        if missing:
            fail(f"topic {topic!r} has no partition {min(missing)}; it has 0 to {known[-1]}")
        places = await _targets(admin, topic, wanted, to)
        if not dry_run:
            await admin.commit(name, places)
        return places

    places = with_admin(bootstrap, run)
    rows = [{"topic": topic, "partition": number, "offset": offset} for (_, number), offset in sorted(places.items())]
    if as_json:
        print_json({"group": name, "dry_run": dry_run, "offsets": rows})
    else:
        print_rows(rows, ["topic", "partition", "offset"], as_json=False)


async def _targets(admin: Admin, topic: str, partitions: list[int], to: str) -> _Places:
    if to in ("earliest", "latest"):
        offsets = await admin.offsets(topic, partitions, EARLIEST if to == "earliest" else LATEST)
    else:
        first = await admin.offsets(topic, partitions, EARLIEST)
        end = await admin.offsets(topic, partitions, LATEST)
        if to.isdigit():
            offsets = {number: min(max(int(to), first[number]), end[number]) for number in partitions}
        else:
            found = await admin.offsets(topic, partitions, parse_time(to))
            offsets = {number: end[number] if found[number] < 0 else found[number] for number in partitions}
    return {(topic, number): offset for number, offset in offsets.items()}
