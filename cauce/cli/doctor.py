"""`cauce doctor`: looks at what a node with these settings would stand on, and says what to mend."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cauce.cli.options import AsJson
from cauce.cli.output import FAILED, print_rows, sentences
from cauce.cli.serve import parse_settings

if TYPE_CHECKING:
    from cauce.doctor.finding import Finding
    from infra.settings import Settings

_PATIENCE_SECONDS = 30.0  # of one group of checks
_COLUMNS = ("check", "state", "found", "mend")


@sentences
def doctor(
    bucket: Annotated[str | None, typer.Option(help="s3://name/prefix?endpoint=… or file:///folder.")] = None,
    redis: Annotated[str | None, typer.Option(help="redis://HOST:PORT")] = None,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT, or NAME://HOST:PORT with commas.")] = None,
    advertise: Annotated[str | None, typer.Option(help="The same as clients are to reach it.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the WAL and the node id.")] = None,
    config: Annotated[Path | None, typer.Option(envvar="CAUCE_CONFIG", help="TOML file of settings.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE of any setting.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check bucket, Redis, clock, disk and ports as a node with these settings needs them; 1 when one must be mended.

    Settings are given as to `cauce node`: flags, environment, file. Nodes may run meanwhile; nothing is left behind.
    """
    from cauce.doctor.finding import any_failed
    from infra.aws_ecs import ecs_settings
    from infra.settings import load_settings

    flags = parse_settings(set_)
    given = {
        "cauce.bucket": bucket,
        "cauce.redis": redis,
        "listeners": listen,
        "advertised.listeners": advertise,
        "cauce.data": None if data is None else str(data),
    }
    flags.update({name: text for name, text in given.items() if text is not None})
    findings = asyncio.run(_look(load_settings(flags, config, found=ecs_settings)))
    print_rows([one.row() for one in findings], _COLUMNS, as_json)
    if any_failed(findings):
        raise typer.Exit(FAILED)


async def _look(settings: "Settings") -> "list[Finding]":
    from cauce.doctor.bucket import check_bucket, check_credentials
    from cauce.doctor.disk import check_disk
    from cauce.doctor.ports import check_files, check_ports
    from cauce.doctor.redis import check_redis
    from infra.clock import SYSTEM_CLOCK

    async def disk() -> "list[Finding]":
        return await asyncio.to_thread(check_disk, settings.data, settings["cauce.wal.bytes"], SYSTEM_CLOCK)

    groups = {
        "credentials": check_credentials(settings.bucket),
        "bucket": check_bucket(settings.bucket, SYSTEM_CLOCK),
        "redis": check_redis(settings["cauce.redis"], SYSTEM_CLOCK),
        "disk": disk(),
        "ports": check_ports(settings.listeners, settings.advertised_listeners, settings["cauce.http"]),
    }
    found = await asyncio.gather(*(_patiently(name, group) for name, group in groups.items()))
    return [*(one for rows in found for one in rows), check_files(settings["max.connections"])]


async def _patiently(name: str, group: "Coroutine[Any, Any, list[Finding]]") -> "list[Finding]":
    from cauce.doctor.finding import failed

    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await group
    except TimeoutError:
        mend = "check the address, and the way to it from this machine (security groups, endpoints)"
        return [failed(name, f"no answer within {_PATIENCE_SECONDS:.0f} s", mend)]
