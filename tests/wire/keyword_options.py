"""What aiokafka and kafka-python share: the words of their options, and the shape of their records."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.wire.client import Got, Security


def connecting(bootstrap: str, security: Security | None, trust: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """Options of everything that connects; `trust`: those that make a library trust an authority."""
    if security is None:
        return {"bootstrap_servers": bootstrap}
    return {
        "bootstrap_servers": bootstrap,
        "security_protocol": "SASL_SSL",
        **trust(security.authority),
        "sasl_mechanism": security.mechanism,
        "sasl_plain_username": security.user,
        "sasl_plain_password": security.password,
    }


def got_of(record: Any) -> Got:
    """A record of either library as the cases see it."""
    headers = tuple((name, value) for name, value in record.headers)
    return Got(record.partition, record.offset, record.value, record.key, headers, record.timestamp)
