"""A node's settings: read from flags, then the environment, then a TOML file; refused at start when they are wrong."""

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from infra.config_value import BadValue, ConfigDef, ConfigType
from infra.errors import BadStart
from infra.limits import WireLimits
from infra.ports import Durability
from infra.security.listener_names import OF_LISTENER, listener_setting, split_pair
from infra.security.principal import is_principal, principal_of
from infra.security.secrets import resolve_secret
from infra.security.settings_table import PROTOCOLS
from infra.security.users import parse_users
from infra.settings_sources import from_environment, from_file, variable
from infra.settings_table import SETTINGS
from infra.table_config import catalog_properties

_HIDDEN = "[hidden]"
_FOUND = "where it runs"


class ListenerAddress(NamedTuple):
    """NAME://HOST:PORT."""

    name: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.name}://{self.host}:{self.port}"


def parse_listener(text: str) -> ListenerAddress:
    """Raise `BadValue` unless the text is NAME://HOST:PORT (or HOST:PORT, a plain-text listener)."""
    name, found, address = text.partition("://")
    if not found:
        name, address = "PLAINTEXT", text
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535 or not name:
        raise BadValue(f"holds {text!r}; write NAME://HOST:PORT, for example PLAINTEXT://0.0.0.0:9092")
    return ListenerAddress(name, host.strip("[]"), int(port))


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, parsed, by their names; `texts` as they were given (secrets hidden), `origin` where from."""

    values: Mapping[str, Any] = field(repr=False)  # secrets too
    texts: Mapping[str, str]
    origin: Mapping[str, str]  # only what was given: name → "flag", "environment" or the file

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def data(self) -> Path:
        """The data folder, absolute."""
        return Path(self.values["cauce.data"]).expanduser().absolute()

    @property
    def bucket(self) -> str:
        """URL of the bucket."""
        return self.values["cauce.bucket"] or (self.data / "bucket").as_uri()

    @property
    def durability(self) -> Durability:
        """Default durability of topics."""
        given = self.values["cauce.durability"]
        if given == "wal" or given == "object":
            return "wal" if given == "wal" else "object"
        return "wal" if self.bucket.startswith("file:") else "object"

    @property
    def listeners(self) -> tuple[ListenerAddress, ...]:
        """Where the node listens."""
        return tuple(parse_listener(text) for text in self.values["listeners"])

    @property
    def own_users(self) -> Mapping[str, str]:
        """User → password of those that the node knows by itself, other nodes among them."""
        password: str = self.values["cauce.inter.broker.password"]
        nodes = {self.values["cauce.inter.broker.user"]: password} if password else {}
        return {**parse_users(self.values["cauce.users"]), **nodes}

    @property
    def inter_broker_listener(self) -> str:
        """Name of the listener by which nodes reach one another."""
        given: str = self.values["inter.broker.listener.name"]
        return given or self.listeners[0].name

    @property
    def protocols(self) -> Mapping[str, str]:
        """PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL, by name of a listener."""
        return dict(split_pair(pair) for pair in self.values["listener.security.protocol.map"])

    def protocol_of(self, listener: str) -> str:
        """Of one listener."""
        return self.protocols[listener]

    def of_listener(self, listener: str, name: str) -> Any:
        """A setting as it holds for one listener: its own, else that of all."""
        own = self.values.get(f"{OF_LISTENER}{listener.lower()}.{name}")
        return self.values[name] if own is None else own

    @property
    def advertised_listeners(self) -> Mapping[str, ListenerAddress]:
        """What clients are told, by listener name; a listener that is not named tells what it listens on."""
        parsed = (parse_listener(text) for text in self.values["advertised.listeners"])
        return {address.name: address for address in parsed}

    @property
    def super_users(self) -> frozenset[str]:
        """Principals that may do everything: the nodes' own user is one of them."""
        given = _principals(self.values["super.users"])
        password: str = self.values["cauce.inter.broker.password"]
        nodes = [principal_of(self.values["cauce.inter.broker.user"])] if password else []
        return frozenset([*given, *nodes])

    def flush_interval_ms(self, durability: Durability) -> int:
        """How old the oldest unflushed batch may get."""
        given: int = self.values["cauce.flush.interval.ms"]
        return given if given >= 0 else 250 if durability == "object" else 5000

    def flush_bytes(self, durability: Durability) -> int:
        """How many bytes are flushed at once."""
        given: int = self.values["cauce.flush.bytes"]
        return given if given >= 0 else 8 << 20 if durability == "object" else 64 << 20

    @property
    def wire_limits(self) -> WireLimits:
        """What the node accepts from the network."""
        per_ip: int = self.values["max.connections.per.ip"]
        return WireLimits(
            max_frame_bytes=self.values["socket.request.max.bytes"],
            max_connections=self.values["max.connections"],
            max_connections_per_ip=0 if per_ip == 2**31 - 1 else per_ip,
            max_bytes_per_node=self.values["queued.max.request.bytes"],
            idle_seconds=self.values["connections.max.idle.ms"] / 1000,
            authentication_seconds=self.values["cauce.authentication.timeout.ms"] / 1000,
        )


Found = Callable[[Mapping[str, str]], Mapping[str, str]]


def load_settings(
    flags: Mapping[str, str],
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    found: Found | None = None,
) -> Settings:
    """Settings from flags, then the environment, then the file, then the defaults.

    `found`: is told what was given, and `listeners`; answers what the place where the node runs says beside it.

    Raises `BadStart` that names the setting, where it came from, and what to write instead.
    """
    given: dict[str, tuple[str, str]] = {}  # text and source
    for source, texts in (
        (f"the file {file}", from_file(file)),
        ("the environment", from_environment(os.environ if environment is None else environment)),
        ("a flag", flags),
    ):
        given.update({name: (text, source) for name, text in texts.items()})
    default = {"listeners": SETTINGS["listeners"].default}
    told = {} if found is None else found(default | {name: text for name, (text, _) in given.items()})
    given.update({name: (text, _FOUND) for name, text in told.items()})
    texts, origin = _provenance(given)
    values: dict[str, Any] = {}
    for name, definition in SETTINGS.items():
        values[name] = _parsed(name, definition, *given.pop(name, (definition.default, "the default")))
    for name in [name for name in given if listener_setting(name)]:
        values[name] = _parsed(name, SETTINGS[listener_setting(name)], *given.pop(name))
    for name, (_, source) in given.items():
        raise BadStart(f"there is no setting {name!r} (from {source}){_nearest(name)}; docs/settings.md lists them")
    settings = Settings(values, texts, origin)
    _check_together(settings)
    return settings


def _parsed(name: str, definition: ConfigDef, text: str, source: str) -> Any:
    try:
        value = definition.parse(resolve_secret(text) if definition.type is ConfigType.PASSWORD else text)
        _check_form(name, value)
    except BadValue as problem:
        raise BadStart(f"{name}={_shown(name, text)!r} from {source} {problem}") from None
    except BadStart as problem:
        raise BadStart(f"{name} from {source}: {problem.message}") from None
    return value


def _check_form(name: str, value: Any) -> None:
    if name in ("listeners", "advertised.listeners"):
        for address in value:
            parse_listener(address)
    elif name == "listener.security.protocol.map":
        for pair in value:
            split_pair(pair)
    elif name == "cauce.http" and value:
        try:
            parse_listener(value)
        except BadValue:
            raise BadValue("is not HOST:PORT, for example 127.0.0.1:9644; empty for none") from None
    elif name == "cauce.users":
        parse_users(value)
    elif name == "cauce.table.catalog":
        catalog_properties(value)
    elif name == "super.users":
        _principals(value)


def _principals(text: str) -> list[str]:
    """Principals with semicolons between, as Kafka has it: names of certificates hold commas."""
    found = [word.strip() for word in text.split(";") if word.strip()]
    for word in found:
        if not is_principal(word):
            raise BadValue(f"holds {word!r}; write User:NAME, several with semicolons between")
    return found


def _provenance(given: Mapping[str, tuple[str, str]]) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """What is shown of settings, and where those that were given come from."""
    texts = {name: definition.default for name, definition in SETTINGS.items()}
    texts.update({name: _shown(name, text) for name, (text, _) in given.items()})
    return texts, {name: source.removeprefix("the ").removeprefix("a ") for name, (_, source) in given.items()}


def _shown(name: str, text: str) -> str:
    definition = SETTINGS.get(listener_setting(name) or name)
    secret = definition is not None and definition.type is ConfigType.PASSWORD
    return _HIDDEN if secret and text else text


def _nearest(name: str) -> str:
    candidates = {**{key: key for key in SETTINGS}, **{variable(key): variable(key) for key in SETTINGS}}
    found = difflib.get_close_matches(name, candidates, n=1, cutoff=0.5)
    return f"; did you mean {found[0]}" if found else ""


def _check_together(settings: Settings) -> None:
    names = [listener.name for listener in settings.listeners]
    if len(set(names)) != len(names):
        raise BadStart("listeners names one listener twice; give each NAME://HOST:PORT its own name")
    unknown = set(settings.advertised_listeners) - set(names)
    if unknown:
        raise BadStart(
            f"advertised.listeners names {min(unknown)}, which listeners does not; it has {', '.join(names)}"
        )
    _check_protocols(settings, names)
    for listener in settings.listeners:
        advertised = settings.advertised_listeners.get(listener.name)
        if advertised is None and listener.host in ("", "0.0.0.0", "::"):
            raise BadStart(
                f"listener {listener} has no address that clients could be told; "
                f"set advertised.listeners={listener.name}://HOST:{listener.port}"
            )


def _check_protocols(settings: Settings, names: list[str]) -> None:
    for name in names:
        if name not in settings.protocols:
            raise BadStart(
                f"listener {name} has no protocol: call it one of {', '.join(PROTOCOLS)}, or name its protocol in "
                f"listener.security.protocol.map, for example {name}:SASL_SSL"
            )
    if settings.inter_broker_listener not in names:
        raise BadStart(
            f"inter.broker.listener.name is {settings.inter_broker_listener}, which listeners does not name; "
            f"it has {', '.join(names)}"
        )
    for name in settings.values:
        if name.startswith(OF_LISTENER) and name.split(".")[2] not in [known_name.lower() for known_name in names]:
            raise BadStart(f"{name} is of a listener that listeners does not name; it has {', '.join(names)}")
    with_sasl = settings.protocol_of(settings.inter_broker_listener).startswith("SASL")
    if with_sasl and settings["cauce.redis"] and not settings["cauce.inter.broker.password"]:
        raise BadStart(
            f"nodes reach one another by listener {settings.inter_broker_listener}, which has SASL: set "
            "cauce.inter.broker.password to the same secret at every node, or inter.broker.listener.name to another"
        )
