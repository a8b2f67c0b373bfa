"""The `cauce` command: knows where each command is and imports the one that is asked for; `--help` needs them all."""

import importlib
from typing import Any

import typer
from typer.core import TyperGroup

_COMMANDS = {
    "up": "cauce.cli.up:up",
    "node": "cauce.cli.node:node",
    "produce": "cauce.cli.produce:produce",
    "consume": "cauce.cli.consume:consume",
    "replay": "cauce.cli.replay:replay",
    "sql": "cauce.cli.sql:sql",
    "recover": "cauce.cli.recover:recover",
    "doctor": "cauce.cli.doctor:doctor",
    "topic": "cauce.cli.topic:app",
    "group": "cauce.cli.group:app",
    "transactions": "cauce.cli.transactions:app",
    "acl": "cauce.cli.acl:app",
    "quota": "cauce.cli.quota:app",
    "user": "cauce.cli.user:app",
    "bucket": "cauce.cli.bucket:app",
}
_PLAIN: dict[str, Any] = {
    "no_args_is_help": True,
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
}


class Commands(TyperGroup):
    """The commands by name, each imported when it is looked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        found = getattr(importlib.import_module(module), name)
        holder = typer.Typer(**_PLAIN)
        if isinstance(found, typer.Typer):
            holder.add_typer(found, name=cmd_name)
        else:
            holder.command(cmd_name)(found)
        return typer.main.get_group(holder).commands[cmd_name]


app = typer.Typer(cls=Commands, **_PLAIN)


@app.callback(help="A Kafka-compatible log service whose storage is an object store.")
def _cauce() -> None:
    pass


def main() -> None:
    """Entry point of the `cauce` command."""
    app()
