"""Options that several commands share."""

from typing import Annotated

import typer

Bootstrap = Annotated[
    str,
    typer.Option("--bootstrap", "-b", envvar="CAUCE_BOOTSTRAP", help="HOST:PORT of any node; several with commas."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
BOOTSTRAP = "127.0.0.1:9092"
