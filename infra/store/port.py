"""The object store as the rest of Cauce sees it: create, get, list, delete. Nothing else is portable.

Every object is written once. `create` is one PUT that refuses to overwrite (`If-None-Match: *`); a create whose answer
was lost is retried by the adapter, and a refusal that turns out to be our own earlier success (same writer id) is a
success. Adapters raise `Exists`, `NotFound`, `Unavailable` and `Corrupt`, never their library's exceptions.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from infra.errors import Unavailable

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a listing says of one object."""

    key: str
    size: int  # bytes
    modified_ms: int  # by the store's own clock


class StoreRefuses(Unavailable):
    """The store answers that we may not: name, credentials or permissions are wrong, or it cannot do what was asked.

    A kind of `Unavailable` because permissions and keys are put right without a restart; adapters do not wait for that.
    """


class ObjectStore(Protocol):
    """One bucket (or a prefix of one). Keys are relative, without a leading slash."""

    async def create(self, key: str, body: Buffer | Sequence[Buffer]) -> None:
        """Store a new object durably. Raises `Exists` when another writer's object has the key already."""

    async def get(self, key: str) -> bytes:
        """The whole object. Raises `NotFound`."""

    async def get_range(self, key: str, position: int, length: int) -> bytes:
        """`length` bytes from `position` (negative: counted from the end, as a suffix). Raises `NotFound`.

        Like a slice: what lies beyond the object is left out, so an answer can be shorter. `length` is 1 at least.
        """

    async def head(self, key: str) -> ObjectInfo | None:
        """What is known of one object, None when it does not exist."""

    def list(self, prefix: str, *, start_after: str = "") -> AsyncIterator[ObjectInfo]:
        """Objects whose key begins with prefix, sorted by key, strictly after `start_after` (a key like those listed).

        Some stores sort folder by folder: of two siblings, one's name beginning with the other's (`a/…`, `a-b`), either
        may come first. Numbers and ids have a fixed length, so only names can meet this.
        """

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; a missing one is not an error."""

    async def close(self) -> None:
        """Give back connections and threads."""
