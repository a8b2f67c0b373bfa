"""`cauce topic create|list|describe|alter|delete`, and what `topic_undelete` adds."""

from dataclasses import asdict
from typing import Annotated

import typer

from cauce.admin import EARLIEST, LATEST, Admin, ConfigInfo, TopicInfo
from cauce.cli.options import BOOTSTRAP, AsJson, Bootstrap, CommandConfig
from cauce.cli.output import as_fields, fail, print_json, print_rows, sentences
from cauce.cli.session import with_admin
from cauce.cli.topic_undelete import undelete
from infra.topic_config_table import DURABILITY

app = typer.Typer(help="Create, list, describe, alter, delete and undelete topics.", no_args_is_help=True)
app.command("undelete")(undelete)
_Name = Annotated[str, typer.Argument(help="Name of the topic.")]
_PROMISES = {
    "object": "what is acknowledged with acks=all is in the bucket; it survives the loss of any node, disk and Redis",
    "wal": "what is acknowledged with acks=all is synced on its leader's disk, and in the bucket seconds later; it "
    "survives the end of any process and the loss of Redis",
}
_Configs = Annotated[list[str] | None, typer.Option("--config", "-c", help="NAME=VALUE, as often as needed.")]


def parse_configs(words: list[str] | None) -> dict[str, str]:
    """NAME=VALUE words as a dict."""
    configs = {}
    for word in words or ():
        name, equals, value = word.partition("=")
        if not equals:
            fail(f"--config {word!r} is not NAME=VALUE, for example --config retention.ms=3600000")
        configs[name.strip()] = value.strip()
    return configs


@app.command()
@sentences
def create(
    name: _Name,
    partitions: Annotated[int, typer.Option("--partitions", "-p", help="-1: the cluster's default.")] = -1,
    config: _Configs = None,
    bootstrap: Bootstrap = BOOTSTRAP,
    command_config: CommandConfig = None,
    as_json: AsJson = False,
) -> None:
    """Create a topic."""

    async def run(admin: Admin) -> TopicInfo:
        await admin.create_topic(name, partitions, parse_configs(config))
        return await admin.topic(name)

    topic = with_admin(bootstrap, command_config, run)
    if as_json:
        print_json({"topic": name, "id": topic.topic_id, "partitions": len(topic.partitions)})
    else:
        print(f"topic {name} created with {len(topic.partitions)} partitions")


@app.command("list")
@sentences
def list_(
    bootstrap: Bootstrap = BOOTSTRAP,
    command_config: CommandConfig = None,
    internal: Annotated[bool, typer.Option("--internal", help="Internal topics too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the topics."""
    topics = with_admin(bootstrap, command_config, lambda admin: admin.topics())
    rows = [
        {"topic": topic.name, "partitions": len(topic.partitions), "id": str(topic.topic_id)}
        for topic in topics
        if internal or not topic.internal
    ]
    print_rows(rows, ["topic", "partitions", "id"], as_json, empty="there are no topics yet")


@app.command()
@sentences
def describe(
    name: _Name, bootstrap: Bootstrap = BOOTSTRAP, command_config: CommandConfig = None, as_json: AsJson = False
) -> None:
    """Show a topic's partitions with their leaders and offsets, and its configs."""

    async def run(admin: Admin) -> tuple[TopicInfo, list[ConfigInfo], dict[int, int], dict[int, int]]:
        topic = await admin.topic(name)
        led = [row.partition for row in topic.partitions if row.leader is not None]
        return (
            topic,
            await admin.topic_configs(name),
            await admin.offsets(name, led, EARLIEST),
            await admin.offsets(name, led, LATEST),
        )

    topic, configs, first, end = with_admin(bootstrap, command_config, run)
    durability = next(str(config.value) for config in configs if config.name == DURABILITY)
    promise = _PROMISES.get(durability, "the node is of an earlier release and does not say")
    rows = [
        {
            "partition": row.partition,
            "leader": row.leader,
            "leader epoch": row.leader_epoch,
            "log start": first.get(row.partition),
            "high watermark": end.get(row.partition),
        }
        for row in topic.partitions
    ]
    if as_json:
        print_json(
            {
                "topic": name,
                "id": topic.topic_id,
                "partitions": as_fields(rows),
                "promises": promise,
                "configs": {config.name: asdict(config) for config in configs},
            }
        )
        return
    print(f"topic {name}, id {topic.topic_id}")
    print(f"durability {durability}: {promise}\n")
    print_rows(rows, list(rows[0]), as_json=False)
    print()
    shown = [{"config": one.name, "value": one.value, "set here": "yes" if one.own else ""} for one in configs]
    print_rows(shown, ["config", "value", "set here"], as_json=False)


@app.command()
@sentences
def alter(
    name: _Name,
    config: _Configs = None,
    delete_config: Annotated[list[str] | None, typer.Option("--delete-config", help="Back to the default.")] = None,
    partitions: Annotated[int | None, typer.Option("--partitions", "-p", help="Grow to so many partitions.")] = None,
    bootstrap: Bootstrap = BOOTSTRAP,
    command_config: CommandConfig = None,
    as_json: AsJson = False,
) -> None:
    """Change a topic's configs or give it more partitions."""
    wanted = parse_configs(config)
    if not wanted and not delete_config and partitions is None:
        fail("nothing to alter; give --config, --delete-config or --partitions")

    async def run(admin: Admin) -> None:
        await admin.topic(name)
        if wanted or delete_config:
            await admin.alter_topic_configs(name, wanted, delete_config or [])
        if partitions is not None:
            await admin.add_partitions(name, partitions)

    with_admin(bootstrap, command_config, run)
    if as_json:
        print_json({"topic": name, "altered": True})
    else:
        print(f"topic {name} altered")


@app.command()
@sentences
def delete(
    name: _Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    bootstrap: Bootstrap = BOOTSTRAP,
    command_config: CommandConfig = None,
    as_json: AsJson = False,
) -> None:
    """Delete a topic with all its records; `cauce topic undelete` can bring it back for a while."""
    if not yes and not typer.confirm(f"Delete topic {name} with all its records?"):
        fail("nothing was deleted")
    with_admin(bootstrap, command_config, lambda admin: admin.delete_topic(name))
    if as_json:
        print_json({"topic": name, "deleted": True})
    else:
        print(f"topic {name} deleted")
