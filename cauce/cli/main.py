"""The `cauce` command: puts the commands together. Heavy imports stay inside the commands that need them."""

import typer

from cauce.cli import acl, bucket, group, quota, topic, transactions, user
from cauce.cli.consume import consume
from cauce.cli.doctor import doctor
from cauce.cli.node import node
from cauce.cli.produce import produce
from cauce.cli.recover import recover
from cauce.cli.replay import replay
from cauce.cli.sql import sql
from cauce.cli.up import up

app = typer.Typer(
    help="A Kafka-compatible log service whose storage is an object store.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(up)
app.command()(node)
app.command()(produce)
app.command()(consume)
app.command()(replay)
app.command()(sql)
app.command()(recover)
app.command()(doctor)
app.add_typer(topic.app, name="topic")
app.add_typer(group.app, name="group")
app.add_typer(transactions.app, name="transactions")
app.add_typer(acl.app, name="acl")
app.add_typer(quota.app, name="quota")
app.add_typer(user.app, name="user")
app.add_typer(bucket.app, name="bucket")


def main() -> None:
    """Entry point of the `cauce` command."""
    app()
