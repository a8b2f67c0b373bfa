"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Bootstrap = Annotated[
    str,
    typer.Option("--bootstrap", "-b", envvar="CAUCE_BOOTSTRAP", help="HOST:PORT of any node; several with commas."),
]
CommandConfig = Annotated[
    Path | None,
    typer.Option(
        "--command-config",
        envvar="CAUCE_COMMAND_CONFIG",
        help="File of Kafka's client properties: security.protocol, sasl.*, ssl.*",
    ),
]
Bucket = Annotated[
    str | None,
    typer.Option("--bucket", help="URL of the bucket, where it is not reachable as the nodes name it."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
BOOTSTRAP = "127.0.0.1:9092"
