"""`cauce up`: a whole node on embedded defaults: bucket in a local folder, a real Valkey beside it."""

from pathlib import Path
from typing import Annotated

import typer

from cauce.cli.output import sentences
from cauce.cli.serve import parse_settings, serve

_DATA = "./cauce-data"
_LISTEN = "127.0.0.1:9092"


@sentences
def up(
    data: Annotated[Path | None, typer.Option(help=f"Folder of everything it keeps [default: {_DATA}].")] = None,
    listen: Annotated[str | None, typer.Option(help=f"HOST:PORT or PROTOCOL://HOST:PORT [default: {_LISTEN}].")] = None,
    config: Annotated[Path | None, typer.Option(envvar="CAUCE_CONFIG", help="TOML file of settings.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE of any setting.")] = None,
) -> None:
    """Run a node with every role on embedded defaults, in the foreground; Ctrl-C stops it cleanly."""
    flags = parse_settings(set_)
    if data is not None:
        flags["cauce.data"] = str(data)
    if listen is not None:
        flags["listeners"] = listen
    serve(flags, config, alone=True)
