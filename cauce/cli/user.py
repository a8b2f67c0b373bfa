"""`cauce user add|list|delete`: users that prove themselves by a password, over the wire or in a bucket itself."""

import asyncio
from typing import Annotated

import typer

from cauce.cli.bucket_place import opened
from cauce.cli.options import BOOTSTRAP, AsJson, Bootstrap, CommandConfig
from cauce.cli.output import fail, print_json, print_rows, sentences
from cauce.cli.session import with_admin
from cauce.user_admin import UserInfo, UserRequests

app = typer.Typer(help="Add, list and delete users that log in with a password.", no_args_is_help=True)
_Name = Annotated[str, typer.Argument(help="Name of the user.")]
_Password = Annotated[
    str | None,
    typer.Option("--password", help="file:/path or env:NAME where it stands, or the password. Without it: asked for."),
]
_Bucket = Annotated[
    str | None,
    typer.Option("--bucket", help="Write to this bucket and ask no node: for the first user. s3://name/prefix …"),
]


@app.command()
@sentences
def add(
    name: _Name,
    password: _Password = None,
    bucket: _Bucket = None,
    bootstrap: Bootstrap = BOOTSTRAP,
    command_config: CommandConfig = None,
    as_json: AsJson = False,
) -> None:
    """Add a user, or give one another password: for SCRAM-SHA-256, SCRAM-SHA-512 and PLAIN."""
    from infra.security.secrets import resolve_secret

    given = (
        resolve_secret(password) if password else typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    )
    if not name or not given:
        fail("a user has a name and a password")
    if bucket is None:
        with_admin(bootstrap, command_config, lambda admin: UserRequests(admin.client).add(name, given))
    else:
        asyncio.run(_add_in(bucket, name, given))
    _tell(name, "added", as_json)
    if bucket is not None and not as_json:
        print("nodes that run hear of it within two minutes")


@app.command("list")
@sentences
def list_(bootstrap: Bootstrap = BOOTSTRAP, command_config: CommandConfig = None, as_json: AsJson = False) -> None:
    """List the users that were added."""
    users: list[UserInfo] = with_admin(bootstrap, command_config, lambda admin: UserRequests(admin.client).all())
    rows = [{"user": user.name, "mechanisms": ", ".join(user.mechanisms)} for user in users]
    print_rows(rows, ["user", "mechanisms"], as_json, empty="no users were added yet")


@app.command()
@sentences
def delete(
    name: _Name,
    bootstrap: Bootstrap = BOOTSTRAP,
    command_config: CommandConfig = None,
    as_json: AsJson = False,
) -> None:
    """Delete a user. Its connections live on until they end."""
    with_admin(bootstrap, command_config, lambda admin: UserRequests(admin.client).delete(name))
    _tell(name, "deleted", as_json)


def _tell(name: str, what: str, as_json: bool) -> None:
    if as_json:
        print_json({"user": name, what: True})
    else:
        print(f"user {name} {what}")


async def _add_in(bucket: str, name: str, password: str) -> None:
    from infra.cluster.settings import SettingsLedger
    from infra.cluster.topics import NoView
    from infra.security.users import SCRAM_USERS, scram_values

    async with opened(bucket) as store:
        values = scram_values(password)
        await SettingsLedger(SCRAM_USERS, store, NoView()).alter(name, lambda _: values)
