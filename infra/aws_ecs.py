"""What a task on ECS can find out about itself: its address and its zone, as a node tells them to clients.

Amazon ECS gives every container the address of a server that answers with what the task is (metadata version 4). That
names a zone as the account calls it; whoever is in another account calls the same zone otherwise, so zones are told by
their ids (`use1-az4`), which are the same for all. Everything here blocks.
"""

import ipaddress
import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.aws import ClientOptions, client, region_of
from infra.config_value import BadValue
from infra.errors import BadStart
from infra.settings import parse_listener

log = logging.getLogger(__name__)

VARIABLE = "ECS_CONTAINER_METADATA_URI_V4"
_TRIES = 5  # the server may come up a moment after the container
_PAUSE_SECONDS = 0.2
_ANSWER_SECONDS = 2.0
_MOST_BYTES = 1 << 20
_WHOLE_NETWORK = ("", "0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class EcsTask:
    """Where a task runs; empty what the server does not know."""

    address: str  # private IPv4; only in network mode awsvpc, that of Fargate, is it the task's own
    zone: str  # name of the availability zone in this account, "us-east-1b"
    region: str


def read_task(environment: Mapping[str, str] = os.environ) -> EcsTask | None:
    """The task that this process is in, None outside of ECS. Raises `BadStart` when the server does not tell."""
    base = environment.get(VARIABLE, "")
    if not base:
        return None
    try:
        container, task = _answer(base), _answer(f"{base.rstrip('/')}/task")
        zone = str(task.get("AvailabilityZone") or "")
        return EcsTask(_address(container), zone, region_of(str(task.get("TaskARN", ""))) or "")
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise BadStart(
            f"the metadata of this ECS task cannot be read ({VARIABLE}={base}): {error!r}; "
            "set advertised.listeners and broker.rack, or unset the variable"
        ) from error


def zone_id(task: EcsTask) -> str:
    """The id of the task's zone, the same in every account; its name where EC2 does not tell."""
    from botocore.exceptions import BotoCoreError, ClientError

    if not task.zone:
        return ""
    try:
        ec2 = client("ec2", ClientOptions(region=task.region or None))
        return str(ec2.describe_availability_zones(ZoneNames=[task.zone])["AvailabilityZones"][0]["ZoneId"])
    except (BotoCoreError, ClientError, BadStart, LookupError) as error:
        log.warning(
            "the id of zone %s is unknown, its name is the rack (%s); "
            "grant the task role ec2:DescribeAvailabilityZones, or set broker.rack",
            task.zone,
            error,
        )
        return task.zone


def ecs_settings(given: Mapping[str, str], environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Settings that were not given and that this task knows: the rack, and where clients reach each listener that is
    on every address. None outside of ECS. `given`: settings that were given, and `listeners` in any case.

    Raises `BadStart`.
    """
    advertised = [text.strip() for text in given.get("advertised.listeners", "").split(",") if text.strip()]
    told = {text.partition("://")[0] for text in advertised}
    try:
        listeners = [parse_listener(text.strip()) for text in given["listeners"].split(",") if text.strip()]
    except BadValue:  # whoever reads the settings says so
        return {}
    untold = [one for one in listeners if one.host in _WHOLE_NETWORK and one.name not in told]
    rackless = not given.get("broker.rack")
    task = read_task(environment) if untold or rackless else None
    if task is None:
        return {}
    found = {}
    if untold and task.address:
        found["advertised.listeners"] = ",".join(
            [*advertised, *(f"{one.name}://{task.address}:{one.port}" for one in untold)]
        )
    if rackless and (rack := zone_id(task)):
        found["broker.rack"] = rack
    return found


def _answer(url: str) -> dict[str, Any]:
    """A JSON object from the metadata server, which is on the task's own link: no proxy stands between."""
    from urllib.request import ProxyHandler, build_opener

    if not url.startswith("http://"):
        raise ValueError("it is no http:// URL")
    direct = build_opener(ProxyHandler({}))
    for left in reversed(range(_TRIES)):
        try:
            with direct.open(url, timeout=_ANSWER_SECONDS) as answer:
                found: dict[str, Any] = json.loads(answer.read(_MOST_BYTES))
                return found
        except OSError:
            if not left:
                raise
            time.sleep(_PAUSE_SECONDS)
    raise AssertionError("the last try answers or raises")


def _address(container: Mapping[str, Any]) -> str:
    for network in container.get("Networks", ()):
        if network.get("NetworkMode") == "awsvpc":
            for address in network.get("IPv4Addresses", ()):
                return str(ipaddress.IPv4Address(address))
    return ""
