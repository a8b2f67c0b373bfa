"""Runs a command's coroutine with an admin client and closes it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from cauce.admin import Admin
from cauce.cli.output import fail
from infra.errors import Unavailable
from infra.security.client_properties import PLAINTEXT, ClientProperties, read_properties
from infra.security.client_security import security_from
from infra.wire.client import Client, parse_addresses
from infra.wire.client_connection import NotLetIn

T = TypeVar("T")

_START = "start a node with `cauce up`, or name one that runs with --bootstrap HOST:PORT"

_CONNECT_SECONDS = 10.0


def check_bootstrap(bootstrap: str) -> None:
    """End the command with a sentence unless it is a list of addresses."""
    try:
        parse_addresses(bootstrap)
    except ValueError as error:
        fail(f"--bootstrap {bootstrap!r}: {error}")


def properties_of(command_config: Path | None) -> ClientProperties:
    """What the file of client properties says, plain text without one. Raises `BadStart`."""
    return PLAINTEXT if command_config is None else read_properties(command_config)


def with_admin(bootstrap: str, command_config: Path | None, action: Callable[[Admin], Awaitable[T]]) -> T:
    """What `action` answers; a node that cannot be reached ends the command with a sentence."""
    check_bootstrap(bootstrap)
    security = security_from(command_config)

    async def run() -> T:
        async with Client(bootstrap, client_id="cauce-cli", security=security) as client:
            admin = Admin(client)
            try:
                await admin.connect(_CONNECT_SECONDS)
            except NotLetIn as error:
                fail(f"{error.message}; --command-config FILE says who you are")
            except Unavailable as error:
                if command_config is None and "closed the connection" in error.message:
                    fail(f"{error.message}; {_START}, and if it wants TLS or a login, give --command-config FILE")
                fail(f"{error.message}; {_START}")
            return await action(admin)

    try:
        return asyncio.run(run())
    except Unavailable as error:
        fail(f"{error.message}; try again")
