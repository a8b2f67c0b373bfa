"""Runs a node in the foreground until SIGTERM or Ctrl-C: shared by `cauce up` and `cauce node`."""

import asyncio
import contextlib
import gc
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cauce.cli.output import fail

if TYPE_CHECKING:
    from cauce.node import Node


def parse_settings(words: list[str] | None) -> dict[str, str]:
    """NAME=VALUE words as settings."""
    settings = {}
    for word in words or ():
        name, equals, value = word.partition("=")
        if not equals:
            fail(f"--set {word!r} is not NAME=VALUE, for example --set num.partitions=6")
        settings[name.strip()] = value.strip()
    return settings


def serve(flags: Mapping[str, str], file: Path | None, *, alone: bool) -> None:
    """Start the node, say where it listens, and stay until told to stop. `alone`: it may keep a Redis of its own."""
    from infra.aws_ecs import ecs_settings
    from infra.errors import BadStart
    from infra.log import set_up_audit_log, set_up_logging
    from infra.security.audit import AUDIT_LOGGER
    from infra.settings import Settings, load_settings

    settings = load_settings(flags, file, found=None if alone else ecs_settings)
    if not alone and not settings["cauce.redis"]:
        raise BadStart("the nodes of a cluster share a Redis: give --redis redis://HOST:6379, or use `cauce up`")
    set_up_logging(settings["cauce.log.level"], settings["cauce.log.format"])
    set_up_audit_log(AUDIT_LOGGER)

    gc.disable()  # what is imported stays for good: looking through it again and again is a sixth of a start
    from cauce.node import Node  # not before the settings are known to be right

    async def run(settings: Settings) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        node = Node(settings)
        try:
            await node.start()
        finally:
            gc.freeze()
            gc.enable()
        try:
            _tell(node, greet=alone)
            await node.run_until(stop)
        finally:
            await node.stop()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(settings))


def _tell(node: "Node", greet: bool) -> None:
    first = next(iter(node.endpoints.values()), "")
    listening = f"listening on {first}" if first else "running without listeners"
    lines = [f"Cauce {node.node_id} {listening}"]
    lines += [f"  {name} on {address}" for name, address in list(node.endpoints.items())[1:]]
    health = f"health and metrics on http://{node.http_address}" if node.http_address else "no health and metrics"
    lines.append(f"  bucket {node.bucket}, {health}")
    if greet:
        flag = "" if first == "127.0.0.1:9092" else f" -b {first}"
        lines += [
            "Try it in another terminal:",
            f"  cauce topic create greetings{flag}",
            f"  echo hello | cauce produce greetings{flag}",
            f"  cauce consume greetings{flag}",
            "Ctrl-C stops it; what was written stays.",
        ]
    print("\n".join(lines), flush=True)
