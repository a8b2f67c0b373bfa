"""What settings and configs say of tables, checked before any table is touched: must not import an Iceberg library."""

import json
from collections.abc import Mapping
from importlib.util import find_spec

from infra.config_value import BadValue
from infra.error_code import ErrorCode
from infra.errors import Refused

TABLE = "cauce.table"
ICEBERG = "iceberg"


def catalog_properties(text: str) -> dict[str, str]:
    """The properties of `cauce.table.catalog`: a JSON object, or name=value with commas between. Raises `BadValue`."""
    if text.lstrip().startswith("{"):
        try:
            fields = json.loads(text)
        except ValueError as error:
            raise BadValue(f"is no JSON: {error}") from None
        return {str(name): value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
    properties = {}
    for part in filter(str.strip, text.split(",")):
        name, found, value = part.partition("=")
        if not found or not name.strip():
            raise BadValue("must be JSON or name=value with commas between, such as type=rest,uri=https://host/path")
        properties[name.strip()] = value.strip()
    return properties


def check_table_support(configs: Mapping[str, str | None]) -> None:
    """Raise `Refused(INVALID_CONFIG)` when a topic is to have a table, and this node cannot make one."""
    if configs.get(TABLE) == ICEBERG and find_spec("pyiceberg") is None:
        raise Refused(
            ErrorCode.INVALID_CONFIG,
            f"{TABLE}={ICEBERG} needs pyiceberg, which is not installed on this node: pip install 'cauce[iceberg]' "
            "on every node, and restart them",
        )
