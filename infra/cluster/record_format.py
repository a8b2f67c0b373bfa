"""How the records of ledgers are written: one JSON object with a format version, readable in any bucket browser.

Fields that this release does not know are ignored; a higher format version is refused, because its meaning may differ.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from infra.errors import BadStart, Corrupt

FORMAT_VERSION = 1

Record = TypeVar("Record")


def encode_record(fields: Mapping[str, Any], version: int = FORMAT_VERSION) -> bytes:
    """The bytes of a record; the same fields always give the same bytes."""
    body = {"version": version, **fields}
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def decode_record(
    body: bytes, where: str, make: Callable[[Mapping[str, Any]], Record], newest: int = FORMAT_VERSION
) -> Record:
    """The record that `make` builds of the fields. `where`: what to name in errors, e.g. the key; `newest`: the format
    version up to which this release knows this kind of record.

    Raises `BadStart` for a newer format and `Corrupt` for bytes that are no such record.
    """
    try:
        fields = json.loads(body)
        version = int(fields["version"])
        if version > newest:
            raise BadStart(f"{where} has format version {version}, this release knows {newest}: start a newer release")
        return make(fields)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Corrupt(f"{where} is no record of this kind: {type(error).__name__}: {error}") from None
