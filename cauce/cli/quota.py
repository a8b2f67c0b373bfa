"""`cauce quota set|list|remove`."""

from typing import Annotated

import typer

from cauce.cli.options import BOOTSTRAP, AsJson, Bootstrap, CommandConfig
from cauce.cli.output import fail, print_rows, sentences
from cauce.cli.session import with_admin
from cauce.security_admin import SecurityAdmin
from infra.security.quota import CLIENT_ID, CONSUME, KEYS, PRODUCE, REQUEST, USER, Entity, entity_of

app = typer.Typer(help="Set, list and remove client quotas.", no_args_is_help=True)

_COLUMNS = ["user", "client id", *KEYS]
_DEFAULT = "<default>"  # as Kafka's own tools write it
_User = Annotated[str | None, typer.Option("--user", help=f"Name of a user; {_DEFAULT} for all without their own.")]
_ClientId = Annotated[str | None, typer.Option("--client-id", help=f"A client id; {_DEFAULT} for the same.")]


@app.command("set")
@sentences
def set_(
    user: _User = None,
    client_id: _ClientId = None,
    produce: Annotated[float | None, typer.Option("--produce", help="Bytes a second.")] = None,
    consume: Annotated[float | None, typer.Option("--consume", help="Bytes a second.")] = None,
    request: Annotated[float | None, typer.Option("--request", help="Percent of the time of a node's loop.")] = None,
    bootstrap: Bootstrap = BOOTSTRAP,
    command_config: CommandConfig = None,
) -> None:
    """Set what a user, a client id, or a user's client id may use of each node."""
    entity = _entity(user, client_id)
    rates = {PRODUCE: produce, CONSUME: consume, REQUEST: request}
    steps = {key: rate for key, rate in rates.items() if rate is not None}
    if not steps:
        fail("say how much: --produce, --consume or --request")
    with_admin(bootstrap, command_config, lambda admin: SecurityAdmin(admin.client).alter_quotas(entity, steps))
    _print({entity: steps}, as_json=False)


@app.command("list")
@sentences
def list_(bootstrap: Bootstrap = BOOTSTRAP, command_config: CommandConfig = None, as_json: AsJson = False) -> None:
    """List the quotas."""
    _print(with_admin(bootstrap, command_config, lambda admin: SecurityAdmin(admin.client).quotas()), as_json)


@app.command()
@sentences
def remove(
    user: _User = None,
    client_id: _ClientId = None,
    bootstrap: Bootstrap = BOOTSTRAP,
    command_config: CommandConfig = None,
) -> None:
    """Remove all quotas of a user, a client id, or a user's client id."""
    entity = _entity(user, client_id)
    gone = dict.fromkeys(KEYS)
    with_admin(bootstrap, command_config, lambda admin: SecurityAdmin(admin.client).alter_quotas(entity, gone))
    print("removed")


def _entity(user: str | None, client_id: str | None) -> Entity:
    named = {kind: name for kind, name in ((USER, user), (CLIENT_ID, client_id)) if name is not None}
    if not named:
        fail("say for whom: --user, --client-id or both")
    return entity_of({kind: None if name == _DEFAULT else name for kind, name in named.items()})


def _print(quotas: dict[Entity, dict[str, float]], as_json: bool) -> None:
    rows = []
    for entity, rates in quotas.items():
        names = {kind: _DEFAULT if name is None else name for kind, name in entity}
        shown = {key: rates.get(key) for key in KEYS}
        rows.append({"user": names.get(USER), "client id": names.get(CLIENT_ID), **shown})
    print_rows(rows, _COLUMNS, as_json, empty="there are no quotas")
