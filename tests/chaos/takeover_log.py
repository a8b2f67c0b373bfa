"""What nodes and Redis tell of a takeover, as seconds after a moment."""

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import redis

from cauce.testing import CauceProcess

_DAY_SECONDS = 86_400.0
_LINE = re.compile(r"^(\d\d):(\d\d):(\d\d\.\d+) +\w+ +(.*)$")


class Moment:
    """Now, for the logs of these nodes: what they print from now on is told by its distance."""

    def __init__(self, nodes: Sequence[CauceProcess]) -> None:
        now = datetime.now(UTC)
        self._began = now.hour * 3600 + now.minute * 60 + now.second + now.microsecond / 1e6
        self._seen = {node.data: len(node.output) for node in nodes}

    def times_of(self, node: CauceProcess, pattern: str) -> list[float]:
        """When a node printed such lines, in seconds from this moment."""
        found = []
        for line in node.output[self._seen[node.data] :].splitlines():
            if (parts := _LINE.match(line)) and re.search(pattern, parts[4]):
                at = int(parts[1]) * 3600 + int(parts[2]) * 60 + float(parts[3])
                found.append((at - self._began) % _DAY_SECONDS)
        return found


def session_seconds_left(url: str, node_id: int) -> float:
    """How long Redis takes a node for alive if it does not renew again."""
    with redis.Redis.from_url(url, protocol=2) as client:
        [sessions] = list(client.scan_iter(match="*sessions"))
        told = client.hget(sessions, str(node_id))
    assert isinstance(told, bytes), f"node {node_id} has no session"
    return int(told.split(b" ")[1]) / 1000 - time.time()  # noqa: TID251 (Redis tells by the wall clock)
