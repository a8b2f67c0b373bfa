"""The texts of settings where they are given: a TOML file, and variables of the environment. Nothing is judged here."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.errors import BadStart
from infra.security.listener_names import listener_variable
from infra.settings_table import SETTINGS

_PREFIX = "CAUCE_"
# Variables that the command line or the test fixture read themselves.
_OTHER_VARIABLES = frozenset({"CAUCE_BOOTSTRAP", "CAUCE_COMMAND_CONFIG", "CAUCE_CONFIG"})
# What Kubernetes puts into every container beside a service whose name begins with cauce.
_SERVICE_VARIABLE = re.compile(
    r"CAUCE_(\w+_)?(SERVICE_HOST=.*|SERVICE_PORT(_\w+)?=.*|PORT=\w+://.*|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=.*)"
)


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return _PREFIX + name.removeprefix("cauce.").replace(".", "_").upper()


def from_file(file: Path | None) -> dict[str, str]:
    """Name → text, none without a file; tables are parts of names. Raises `BadStart`."""
    if file is None:
        return {}
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadStart(f"the settings file {file} cannot be read: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise BadStart(f"the settings file {file} is not TOML: {error}") from None
    return {name: _as_text(value) for name, value in _flat(table)}


def _flat(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in table.items():
        if isinstance(value, dict):
            rows.extend(_flat(value, f"{prefix}{name}."))
        else:
            rows.append((prefix + name, value))
    return rows


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value)


def from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Name → text; a variable that is ours and of no setting stands by its own name."""
    names = {variable(name): name for name in SETTINGS}
    rows = {}
    for key, text in environment.items():
        if key in names:
            rows[names[key]] = text
        elif (of_listener := listener_variable(key, variable)) is not None:
            rows[of_listener] = text
        elif (
            key.startswith(_PREFIX) and key not in _OTHER_VARIABLES and not _SERVICE_VARIABLE.fullmatch(f"{key}={text}")
        ):
            rows[key] = text  # refused later by its own name, with the nearest one
    return rows
