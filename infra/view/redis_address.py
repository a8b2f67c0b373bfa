"""Where Redis is: the URL that `cauce.redis` holds, taken apart, and the client that it means.

    redis://[USER:PASSWORD@]HOST:PORT[/DB]                            one server
    redis+sentinel://[USER:PASSWORD@]HOST:PORT,HOST:PORT/MASTER[/DB]  the master that these Sentinels name
    redis+cluster://[USER:PASSWORD@]HOST:PORT,HOST:PORT               a Redis Cluster, found by any of these
    unix://[USER:PASSWORD@]/PATH[?db=DB]                              one server on this machine

`rediss` in place of `redis` is TLS. Nothing here may repeat the URL or the password in it: not in an error, not in a
repr. Knows nothing of what is asked of Redis.
"""

import asyncio
import contextlib
import os
import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from infra.errors import BadStart

_EXAMPLE = "write redis://HOST:6379, docs/operating.md shows the others"
_PORT, _SENTINEL_PORT = 6379, 26379
_TLS_OPTIONS = frozenset({"ca_file", "cert_file", "key_file", "verify_host"})
_OPTIONS = {
    "unix": frozenset({"db"}),
    "single": frozenset({"db"}),
    "cluster": frozenset[str](),
    "sentinel": frozenset({"db", "sentinel_user", "sentinel_password"}),
}
_KINDS = {"unix": "unix"} | {
    f"{scheme}{suffix}": suffix.removeprefix("+") or "single"
    for scheme in ("redis", "rediss")
    for suffix in ("", "+cluster", "+sentinel")
}


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A URL of Redis, parsed; what is secret is in no repr."""

    kind: str  # single, unix, sentinel, cluster
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""  # of the unix socket
    master: str = ""  # the name that Sentinel knows the server by
    db: int = 0
    tls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # of TLS and Sentinel

    def option(self, name: str) -> str | None:
        """One of the options, None when it was not given."""
        return dict(self.options).get(name)


def parse_redis(url: str) -> RedisAddress:
    """Take a URL apart. Raises `BadStart` with a sentence that repeats nothing of it but names of options."""
    scheme, found, rest = url.partition("://")
    kind = _KINDS.get(scheme)
    if not found or kind is None:
        raise _bad(f"its scheme is none of {', '.join(f'{name}://' for name in _KINDS)}")
    place, _, query = rest.partition("?")
    options = _parse_options(kind, tls=scheme.startswith("rediss"), query=query)
    login, _, place = place.rpartition("@")
    user, _, password = login.partition(":")
    hosts, _, path = place.partition("/")
    if kind == "unix" and (hosts or not path):
        raise _bad("a unix socket is named by its whole path, with three slashes: unix:///run/redis.sock")
    names = [unquote(name) for name in path.split("/") if name] if kind != "unix" else []
    master = names.pop(0) if kind == "sentinel" and names else ""
    if kind == "sentinel" and not master:
        raise _bad("Sentinel needs the name of the master: redis+sentinel://HOST:26379,HOST:26379/NAME")
    if len(names) > 1:
        raise _bad("after the address comes the number of a database at the most")
    found_hosts = () if kind == "unix" else _parse_hosts(hosts, kind)
    db = _parse_db(names[0] if names else options.pop("db", "0"))
    if db and kind == "cluster":
        raise _bad("a Redis Cluster has no database but 0")
    return RedisAddress(
        kind,
        hosts=found_hosts,
        path="/" + unquote(path) if kind == "unix" else "",
        master=master,
        db=db,
        tls=scheme.startswith("rediss"),
        user=unquote(user) or None,
        password=unquote(password) or None,
        options=tuple(options.items()),
    )


def open_redis(address: RedisAddress, timeout_s: float, answer_timeout_s: float | None) -> Any:
    """A client of that Redis, which connects when it is used and never sends a command twice.

    timeout_s: for connecting; answer_timeout_s: for an answer, None waits for ever. Raises `BadStart` for
    certificates that cannot be used.
    """
    server: dict[str, Any] = {
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": answer_timeout_s,
        "socket_connect_timeout": timeout_s,
        "protocol": 2,
    }
    login: dict[str, Any] = {"username": address.user, "password": address.password}
    tls = _tls(address)
    try:
        if address.kind == "unix":
            return Redis(unix_socket_path=address.path, db=address.db, **login, **server)
        if address.kind == "single":
            [(host, port)] = address.hosts
            return Redis(host=host, port=port, db=address.db, **login, **tls, **server)
        if address.kind == "cluster":
            nodes = [ClusterNode(host, port) for host, port in address.hosts]
            return RedisCluster(startup_nodes=nodes, **login, **tls, **server)
        asked: dict[str, Any] = {
            "username": address.option("sentinel_user"),
            "password": address.option("sentinel_password"),
        }
        asking = server | asked | tls | {"socket_timeout": timeout_s}
        sentinel = Sentinel(list(address.hosts), sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
        return _MasterClient(sentinel, sentinel.master_for(address.master, db=address.db, **login, **tls, **server))
    except (ValueError, RedisError) as error:
        raise _bad(f"{type(error).__name__} of the Redis client") from None


def hint_addresses(address: RedisAddress) -> tuple[RedisAddress, ...]:
    """Whom to listen at for messages: any one of these; the servers of a cluster pass them on to one another."""
    if address.kind != "cluster":
        return (address,)
    return tuple(
        RedisAddress(
            "single", (host,), tls=address.tls, user=address.user, password=address.password, options=address.options
        )
        for host in address.hosts
    )


class _MasterClient:
    """A client of the master, which closes its Sentinels too."""

    def __init__(self, sentinel: Sentinel, client: Any) -> None:
        self._sentinel = sentinel
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()
        with contextlib.suppress(RedisError, OSError):
            await asyncio.gather(*(one.aclose() for one in self._sentinel.sentinels))


def _tls(address: RedisAddress) -> dict[str, Any]:
    if not address.tls:
        return {}
    ca, cert, key = (address.option(name) for name in ("ca_file", "cert_file", "key_file"))
    for name, path in (("ca_file", ca), ("cert_file", cert), ("key_file", key)):
        if path is not None and not os.access(path, os.R_OK):
            raise _bad(f"the file that {name} names cannot be read")
    try:
        context = ssl.create_default_context(cafile=ca)
        if cert is not None:
            context.load_cert_chain(cert, key)
    except (ssl.SSLError, OSError) as error:
        raise _bad(f"its certificates cannot be used ({error})") from None
    return {
        "ssl": True,
        "ssl_ca_certs": ca,
        "ssl_certfile": cert,
        "ssl_keyfile": key if key is not None else cert,
        "ssl_check_hostname": address.option("verify_host") != "false",
    }


def _parse_options(kind: str, *, tls: bool, query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    known = _OPTIONS[kind] | (_TLS_OPTIONS if tls else frozenset())
    for name in options:
        if name not in known:
            without = "; it is one of TLS (rediss://)" if name in _TLS_OPTIONS else ""
            raise _bad(f"there is no option {name!r} here{without}; there is {', '.join(sorted(known)) or 'none'}")
    if options.get("verify_host", "true") not in ("true", "false"):
        raise _bad("verify_host is true or false")
    if "key_file" in options and "cert_file" not in options:
        raise _bad("key_file needs cert_file")
    return options


def _parse_hosts(text: str, kind: str) -> tuple[tuple[str, int], ...]:
    default = _SENTINEL_PORT if kind == "sentinel" else _PORT
    hosts = []
    for one in text.split(","):
        host, colon, port = one.rpartition(":")
        if not colon or one.endswith("]"):
            host, port = one, str(default)
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise _bad("an address is HOST:PORT, several with commas; in a password %40 stands for @, %2F for /")
        hosts.append((host.strip("[]"), int(port)))
    if kind == "single" and len(hosts) > 1:
        raise _bad("several addresses are those of a Cluster or of Sentinels: redis+cluster:// or redis+sentinel://")
    return tuple(hosts)


def _parse_db(text: str) -> int:
    if not text.isdecimal():
        raise _bad("the database is a number")
    return int(text)


def _bad(why: str) -> BadStart:
    return BadStart(f"the URL of Redis cannot be used: {why}; {_EXAMPLE}")
