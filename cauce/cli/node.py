"""`cauce node`: one node of a cluster, on a bucket and a Redis that the nodes share."""

from pathlib import Path
from typing import Annotated

import typer

from cauce.cli.output import sentences
from cauce.cli.serve import parse_settings, serve


@sentences
def node(
    roles: Annotated[str | None, typer.Option(help="ingest, reader, compactor: several with commas.")] = None,
    bucket: Annotated[str | None, typer.Option(help="s3://name/prefix?endpoint=… or file:///folder.")] = None,
    redis: Annotated[str | None, typer.Option(help="redis://HOST:PORT")] = None,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT, or NAME://HOST:PORT with commas.")] = None,
    advertise: Annotated[str | None, typer.Option(help="The same as clients are to reach it.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the WAL and the node id.")] = None,
    node_id: Annotated[int | None, typer.Option(help="Kafka's broker id.")] = None,
    rack: Annotated[str | None, typer.Option(help="Rack or zone.")] = None,
    config: Annotated[Path | None, typer.Option(envvar="CAUCE_CONFIG", help="TOML file of settings.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE of any setting.")] = None,
) -> None:
    """Run one node of a cluster in the foreground; SIGTERM hands its partitions over and stops it."""
    flags = parse_settings(set_)
    given = {
        "cauce.roles": roles,
        "cauce.bucket": bucket,
        "cauce.redis": redis,
        "listeners": listen,
        "advertised.listeners": advertise,
        "cauce.data": None if data is None else str(data),
        "node.id": None if node_id is None else str(node_id),
        "broker.rack": rack,
    }
    flags.update({name: text for name, text in given.items() if text is not None})
    serve(flags, config, alone=False)
