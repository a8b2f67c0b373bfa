"""The object store on S3 and what speaks like it.

A create is one PUT with `If-None-Match: *` and a writer id in its metadata. An answer that got lost, or a 409, is
tried again until the object is made or refused; a refusal by an object with our own writer id is our success. The
library retries nothing by itself: a hidden second PUT would turn our success into a refusal. A create that gave up
remembers its writer id, so that the same create asked for later still knows its own object.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from infra.aws import ClientOptions, s3_client
from infra.clock import SYSTEM_CLOCK, Clock
from infra.errors import CauceError, Exists, NotFound, Unavailable
from infra.store.body import buffers_of, check_range, slice_range
from infra.store.port import Buffer, ObjectInfo
from infra.store.s3_errors import CreateRefused, RangeBeyondEnd, foreign_errors, translate

_Answer = TypeVar("_Answer")

_WRITER = "cauce-writer"  # metadata of every object: who made it
_DELETE_AT_ONCE = 1000  # what DeleteObjects takes
_FIRST_DELAY_SECONDS = 0.05
_MOST_DELAY_SECONDS = 2.0
_MOST_UNSETTLED = 1000  # creates with unknown outcome whose writer ids are kept: an outage must not fill the memory


class S3Store:
    """Implements `ObjectStore` over one bucket, or a prefix of it. The client is made at the first request."""

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        options: ClientOptions | None = None,
        *,
        patience_seconds: float = 20.0,
        page: int = 1000,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`prefix` is empty or ends with a slash. A request is tried again for so long, then `Unavailable`."""
        self._bucket = bucket
        self._prefix = prefix
        self._options = options or ClientOptions()
        self._patience_seconds = patience_seconds
        self._page = page
        self._clock = clock
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()
        self._client: Any = None
        self._foreign: tuple[type[BaseException], ...] = ()
        self._unsettled: dict[str, tuple[bytes, str]] = {}  # key → (digest of the body, writer id)
        self._looks: dict[str, asyncio.Future[str]] = {}  # key → its writer id, while that is being asked

    def __repr__(self) -> str:
        return f"S3Store(s3://{self._bucket}/{self._prefix})"

    async def create(self, key: str, body: Buffer | Sequence[Buffer]) -> None:
        payload = body if isinstance(body, bytes) else b"".join(buffers_of(body))
        writer = self._writer_of(key, payload)
        try:
            await self._try(key, lambda client: self._put(client, key, payload, writer))
        except (Unavailable, asyncio.CancelledError):
            self._remember(key, payload, writer)
            raise

    async def get(self, key: str) -> bytes:
        return await self._try(key, lambda client: self._read(client, key, {}))

    async def get_range(self, key: str, position: int, length: int) -> bytes:
        check_range(length)
        span = f"bytes={position}-{position + length - 1}" if position >= 0 else f"bytes={position}"

        async def read(client: Any) -> bytes:
            response = await client.get_object(**self._at(key), Range=span)
            body = await _body(response)
            if "ContentRange" not in response:  # it sent the whole object instead
                begin, end = slice_range(position, length, len(body))
                return body[begin:end]
            return body[:length] if position < 0 else body

        try:
            return await self._try(key, read)
        except RangeBeyondEnd:
            return b""

    async def head(self, key: str) -> ObjectInfo | None:
        try:
            found = await self._try(key, lambda client: client.head_object(**self._at(key)))
        except NotFound:
            return None
        return ObjectInfo(key, found["ContentLength"], _ms(found["LastModified"]))

    async def list(self, prefix: str, *, start_after: str = "") -> AsyncIterator[ObjectInfo]:
        query = {"Bucket": self._bucket, "Prefix": self._prefix + prefix, "MaxKeys": self._page}
        after = start_after
        while True:
            if after:
                query["StartAfter"] = self._prefix + after
            answer = await self._try(prefix, lambda client: client.list_objects_v2(**query))
            found = answer.get("Contents", [])
            for entry in found:
                after = entry["Key"][len(self._prefix) :]
                yield ObjectInfo(after, entry["Size"], _ms(entry["LastModified"]))
            if not answer.get("IsTruncated") or not found:
                return

    async def delete(self, keys: Sequence[str]) -> None:
        for at in range(0, len(keys), _DELETE_AT_ONCE):
            await self._delete(keys[at : at + _DELETE_AT_ONCE])

    async def close(self) -> None:
        async with self._opening:
            self._client = None
            await self._stack.aclose()

    # inside

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    async def _put(self, client: Any, key: str, payload: bytes, writer: str) -> None:
        try:
            await client.put_object(**self._at(key), Body=payload, IfNoneMatch="*", Metadata={_WRITER: writer})
        except self._foreign as error:
            if not isinstance(translate(error, key), CreateRefused):
                raise
            await self._look_whose(client, key, writer)

    async def _look_whose(self, client: Any, key: str, writer: str) -> None:
        """After a refusal: return when the object is ours; `Exists` when not, `Unavailable` when there is none.

        Many that were refused at once look once: objects never change. Does that look fail, each looks for itself.
        """
        asked = self._looks.get(key)
        found = "" if asked is None else await asyncio.shield(asked)
        if (found or await self._ask_whose(client, key)) != writer:
            raise Exists(key)

    async def _ask_whose(self, client: Any, key: str) -> str:
        answer = self._looks[key] = asyncio.get_running_loop().create_future()
        found = ""
        try:
            found = str((await client.head_object(**self._at(key))).get("Metadata", {}).get(_WRITER, ""))
        except self._foreign as error:
            if isinstance(translate(error, key), NotFound):  # another create is under way, or the object just went
                raise Unavailable(f"a create of {key} was refused, and nothing is there") from error
            raise
        finally:
            answer.set_result(found)
            if self._looks.get(key) is answer:
                del self._looks[key]
        return found

    async def _read(self, client: Any, key: str, query: dict[str, str]) -> bytes:
        return await _body(await client.get_object(**self._at(key), **query))

    async def _delete(self, keys: Sequence[str]) -> None:
        names = [{"Key": self._prefix + key} for key in keys]
        request = {"Bucket": self._bucket, "Delete": {"Objects": names, "Quiet": True}}
        answer = await self._try("objects", lambda client: client.delete_objects(**request))
        failed = [error for error in answer.get("Errors", []) if error.get("Code") != "NoSuchKey"]
        if failed:
            first = f"{failed[0].get('Key')}: {failed[0].get('Code')} {failed[0].get('Message')}"
            raise Unavailable(f"{len(failed)} of {len(keys)} objects were not deleted, the first {first}")

    async def _try(self, key: str, request: Callable[[Any], Awaitable[_Answer]]) -> _Answer:
        """Make a request, again and again while that may help and patience lasts."""
        client = self._client or await self._open()
        deadline = self._clock.monotonic() + self._patience_seconds
        delay = _FIRST_DELAY_SECONDS
        while True:
            try:
                return await request(client)
            except self._foreign as error:
                meaning = translate(error, key)
                meaning.__cause__ = error.with_traceback(None)  # see `del`: a frame of botocore's keeps the error too
            except CauceError as error:
                meaning = error
            wait = self._clock.uniform(delay / 2, delay)
            if type(meaning) is not Unavailable or self._clock.monotonic() + wait > deadline:
                try:
                    raise meaning
                finally:
                    del meaning  # its traceback has this frame: a ring that keeps the body until a full collection
            await asyncio.sleep(wait)
            delay = min(2 * delay, _MOST_DELAY_SECONDS)

    async def _open(self) -> Any:
        async with self._opening:
            if self._client is None:
                making = await s3_client(self._options)
                self._foreign = await asyncio.to_thread(foreign_errors)
                self._client = await self._stack.enter_async_context(making)
            return self._client

    def _writer_of(self, key: str, payload: bytes) -> str:
        digest, writer = self._unsettled.pop(key, (b"", ""))
        if digest and digest == hashlib.sha256(payload).digest():
            return writer
        return self._clock.token()

    def _remember(self, key: str, payload: bytes, writer: str) -> None:
        self._unsettled[key] = (hashlib.sha256(payload).digest(), writer)
        while len(self._unsettled) > _MOST_UNSETTLED:
            del self._unsettled[next(iter(self._unsettled))]


async def _body(response: Any) -> bytes:
    async with response["Body"] as stream:
        body: bytes = await stream.read()
    expected = response.get("ContentLength", len(body))
    if len(body) != expected:
        raise Unavailable(f"the object store sent {len(body)} of {expected} bytes")
    return body


def _ms(when: Any) -> int:
    return int(when.timestamp() * 1000)
