"""From a bucket's URL to its store. The one place that knows which stores there are."""

from difflib import get_close_matches
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from infra.aws import ClientOptions
from infra.clock import SYSTEM_CLOCK, Clock
from infra.errors import BadStart
from infra.store.counted import CountedStore, Observe
from infra.store.folder import FolderStore
from infra.store.memory import MemoryObjectStore
from infra.store.port import ObjectStore
from infra.store.s3 import S3Store

_FORMS = "file:///path/to/folder, s3://bucket/prefix?endpoint=http://host:port&region=name, or memory:"
_S3_QUERY = ("endpoint", "region")


def open_store(url: str, *, observe: Observe | None = None, clock: Clock = SYSTEM_CLOCK) -> ObjectStore:
    """The store behind a URL; `observe` is told of every request. No request is made yet.

    Raises `BadStart` saying what to write instead.
    """
    store = _store(url, clock)
    return store if observe is None else CountedStore(store, observe, clock)


def is_local(url: str) -> bool:
    """Whether the bucket is on this machine, so that its durability is that of the disk beside it."""
    return urlsplit(url).scheme in ("file", "memory")


def _store(url: str, clock: Clock) -> ObjectStore:
    parts = urlsplit(url)
    if parts.scheme == "file":
        return FolderStore(_folder(url, parts), clock=clock)
    if parts.scheme == "s3":
        return _s3(url, parts, clock)
    if parts.scheme == "memory":
        return MemoryObjectStore(clock)
    if not parts.scheme and url:
        raise BadStart(f"the bucket {url!r} is no URL: for a folder write {Path(url).absolute().as_uri()}")
    raise BadStart(f"the bucket {url!r} is of an unknown kind: write {_FORMS}")


def _folder(url: str, parts: SplitResult) -> Path:
    if parts.netloc not in ("", "localhost"):
        right = Path(parts.netloc + parts.path).absolute().as_uri()
        raise BadStart(f"the bucket {url!r} names the host {parts.netloc!r}: write three slashes, {right}")
    if parts.query or parts.fragment or not parts.path.startswith("/") or parts.path == "/":
        raise BadStart(f"the bucket {url!r} names no folder: write file:///path/to/folder")
    return Path(unquote(parts.path))


def _s3(url: str, parts: SplitResult, clock: Clock) -> S3Store:
    if not parts.netloc:
        raise BadStart(f"the bucket {url!r} has no name: write s3://bucket/prefix")
    if "@" in parts.netloc or ":" in parts.netloc:
        raise BadStart(
            f"the bucket s3://…{parts.netloc.rpartition('@')[2]} carries credentials or a port in its name: leave "
            "credentials to the AWS chain (AWS_ACCESS_KEY_ID …), and write ?endpoint=http://host:port for a server"
        )
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name in query:
        if name not in _S3_QUERY:
            near = get_close_matches(name, _S3_QUERY, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise BadStart(f"the bucket {url!r} has an unknown option {name!r}: only endpoint and region exist{hint}")
    endpoint = query.get("endpoint")
    if endpoint is not None and (urlsplit(endpoint).scheme not in ("http", "https") or not urlsplit(endpoint).netloc):
        raise BadStart(
            f"the bucket {url!r} has the endpoint {endpoint!r}: write endpoint=http://host:port or https://…"
        )
    prefix = unquote(parts.path).strip("/")
    options = ClientOptions(endpoint=endpoint, region=query.get("region") or None)
    return S3Store(parts.netloc, prefix + "/" if prefix else "", options, clock=clock)
