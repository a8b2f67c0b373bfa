"""What a compactor process is told at its start: one JSON document on its stdin, a line. And what it says: metrics.

The node's settings as they came out of flags, environment and file, secrets included (a pipe is private), and what the
node alone knows: its id, and the Redis that it may have started itself.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from compactor.meter import Meter
from infra.errors import BadStart
from infra.settings import Settings


@dataclass(frozen=True, slots=True)
class Document:
    """Everything a compactor process needs to know."""

    settings: Settings
    node_id: int
    redis_url: str

    def encode(self) -> bytes:
        """As one line."""
        fields = {"settings": dict(self.settings.values), "node_id": self.node_id, "redis": self.redis_url}
        return json.dumps(fields).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Self:
        """From that line. Raises `BadStart`."""
        try:
            fields = json.loads(line)
            values = {name: _value(value) for name, value in fields["settings"].items()}
            return cls(Settings(values, {}, {}), int(fields["node_id"]), str(fields["redis"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadStart(f"a compactor is started by its node, with a JSON document on stdin ({error!r})") from None


@dataclass(frozen=True, slots=True)
class Report:
    """Metrics as they stand: one line on stdout."""

    totals: Mapping[str, float]
    gauges: Mapping[str, float]

    @classmethod
    def of(cls, meter: Meter) -> Self:
        """What the meter says now."""
        return cls(meter.totals(), meter.gauges())

    def encode(self) -> bytes:
        """As one line."""
        return json.dumps({"totals": dict(self.totals), "gauges": dict(self.gauges)}).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Self | None:
        """From a line, None for one that is something else."""
        try:
            fields = json.loads(line)
            return cls(_numbers(fields["totals"]), _numbers(fields["gauges"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _numbers(fields: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): float(value) for name, value in fields.items()}
