"""Runs a command's coroutine with an admin client and closes it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from cauce.admin import Admin
from cauce.cli.output import fail
from infra.errors import Unavailable
from infra.wire.client import Client, parse_addresses

T = TypeVar("T")

_CONNECT_SECONDS = 10.0


def check_bootstrap(bootstrap: str) -> None:
    """End the command with a sentence unless it is a list of addresses."""
    try:
        parse_addresses(bootstrap)
    except ValueError as error:
        fail(f"--bootstrap {bootstrap!r}: {error}")


def with_admin(bootstrap: str, action: Callable[[Admin], Awaitable[T]]) -> T:
    """What `action` answers; a node that cannot be reached ends the command with a sentence."""
    check_bootstrap(bootstrap)

    async def run() -> T:
        async with Client(bootstrap, client_id="cauce-cli") as client:
            admin = Admin(client)
            try:
                await admin.connect(_CONNECT_SECONDS)
            except Unavailable as error:
                fail(f"{error.message}; start a node with `cauce up`, or name one that runs with --bootstrap HOST:PORT")
            return await action(admin)

    try:
        return asyncio.run(run())
    except Unavailable as error:
        fail(f"{error.message}; try again")
