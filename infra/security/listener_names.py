"""Names of settings that are of one listener: `listener.name.NAME.SETTING`, its variable, and NAME:PROTOCOL."""

from collections.abc import Callable

from infra.config_value import BadValue
from infra.security.settings_table import LISTENER_SETTINGS, PROTOCOLS

OF_LISTENER = "listener.name."


def listener_setting(name: str) -> str:
    """The setting that `listener.name.NAME.SETTING` is of; empty when it is none."""
    setting = name.removeprefix(OF_LISTENER).partition(".")[2]
    return setting if name.startswith(OF_LISTENER) and setting in LISTENER_SETTINGS else ""


def split_pair(pair: str) -> tuple[str, str]:
    name, colon, protocol = pair.partition(":")
    if not colon or not name or protocol not in PROTOCOLS:
        raise BadValue(f"holds {pair!r}; write NAME:PROTOCOL, with a protocol of {', '.join(PROTOCOLS)}")
    return name, protocol


def listener_variable(key: str, variable: Callable[[str], str]) -> str | None:
    """`listener.name.NAME.SETTING` of its variable; where NAME ends is told by the setting behind it."""
    prefix, of_all = variable(OF_LISTENER), variable("")
    if not key.startswith(prefix):
        return None
    for setting in LISTENER_SETTINGS:
        ending = "_" + variable(setting).removeprefix(of_all)
        listener = key.removeprefix(prefix).removesuffix(ending)
        if listener and prefix + listener != key:
            return f"{OF_LISTENER}{listener.lower()}.{setting}"
    return None
