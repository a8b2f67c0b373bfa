"""Whether a node can listen where it shall, and whether clients find what they are told."""

import asyncio
import ipaddress
import resource
import socket
from collections.abc import Mapping, Sequence

from cauce.doctor.finding import Finding, failed, ok, warning
from infra.errors import Unavailable
from infra.settings import ListenerAddress
from infra.wire.client import Client
from infra.wire.messages.metadata import MetadataRequest

_ANSWER_SECONDS = 3.0
_SPARE_FILES = 256  # segments, the WAL, Redis, the object store


async def check_ports(
    listeners: Sequence[ListenerAddress], advertised: Mapping[str, ListenerAddress], http: str
) -> list[Finding]:
    """A line for each listener and for what clients are told of it. `http`: HOST:PORT or empty."""
    findings = []
    for listener in listeners:
        findings.append(await _listener(listener))
        told = advertised.get(listener.name)
        if told is not None:
            findings.append(await asyncio.to_thread(_advertised, told))
    if http:
        host, _, port = http.rpartition(":")
        findings.append(_bind("health and metrics", host, int(port), "cauce.http"))
    return findings


def check_files(max_connections: int) -> Finding:
    """Whether the system lets the node have a file for each connection that it takes."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = f"{allowed} for up to {max_connections} connections"
    if allowed < max_connections + _SPARE_FILES:
        mend = f"raise the limit (ulimit -n {max_connections + _SPARE_FILES}), or lower max.connections"
        return warning("open files", found, mend)
    return ok("open files", found)


async def _listener(listener: ListenerAddress) -> Finding:
    check = f"listener {listener.name}"
    found = _bind(check, listener.host, listener.port, "listeners")
    if found.state == "ok":
        return found
    try:
        host = "127.0.0.1" if listener.host in ("", "0.0.0.0") else listener.host
        async with Client([(host, listener.port)]) as client:
            await client.call(None, MetadataRequest(topics=[]), timeout_seconds=_ANSWER_SECONDS)
    except Unavailable:
        return found
    return ok(check, f"a node answers at {listener.host}:{listener.port} already")


def _bind(check: str, host: str, port: int, setting: str) -> Finding:
    where = f"{host}:{port}"
    try:
        kind, _, _, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return failed(
            check, f"{where}: {error.strerror}", f"stop who listens there, or set {setting} to another address"
        )
    return ok(check, f"{where} is free")


def _advertised(told: ListenerAddress) -> Finding:
    check = f"advertised {told.name}"
    try:
        found = {str(row[4][0]) for row in socket.getaddrinfo(told.host, told.port, type=socket.SOCK_STREAM)}
    except OSError as error:
        return failed(check, f"{told.host}: {error.strerror}", "tell clients a name that they can resolve")
    if any(ipaddress.ip_address(one.partition("%")[0]).is_loopback for one in found):
        return warning(check, f"{told.host} is this machine alone", "tell clients an address that they can reach")
    return ok(check, f"{told.host} is {', '.join(sorted(found))}")
