"""One HTTP/1.1 message as it stands on the wire, as far as a proxy must understand it: where it ends."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """A whole request or response."""

    start: str  # "PUT /bucket/key HTTP/1.1" or "HTTP/1.1 200 OK"
    headers: Sequence[tuple[str, str]]  # in order; names as they came
    body: bytes  # as it was on the wire: chunks with their sizes where it was chunked

    @property
    def words(self) -> list[str]:
        """Of the first line."""
        return self.start.split(" ", 2)

    @property
    def status(self) -> int:
        """Of a response."""
        return int(self.words[1])

    def header(self, name: str) -> str:
        """A header's value in lower case, empty when it is not there."""
        return next((value.lower() for key, value in self.headers if key.lower() == name), "")

    def encode(self, *, without: Sequence[str] = ()) -> bytes:
        """Bytes for the wire, without some headers."""
        lines = [self.start, *(f"{key}: {value}" for key, value in self.headers if key.lower() not in without)]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body


class NotHttp(Exception):
    """What came is no message, or it ended in the middle."""


async def read_head(reader: asyncio.StreamReader) -> Message | None:
    """First line and headers; None when the connection ended before one began. Raises `NotHttp`."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise NotHttp("the connection ended within a head") from error
        return None
    except asyncio.LimitOverrunError as error:
        raise NotHttp("a head is too long") from error
    start, *lines = raw[:-4].decode("latin-1").split("\r\n")
    headers = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return Message(start, tuple(headers), b"")


async def read_body(reader: asyncio.StreamReader, head: Message, *, empty: bool = False) -> Message:
    """The message with its body. `empty`: there is none whatever the headers say (HEAD, 204, 304).

    A response that says no length goes to the end of the connection. Raises `NotHttp`.
    """
    try:
        if empty:
            body = b""
        elif head.header("transfer-encoding") == "chunked":
            body = await _chunks(reader)
        elif length := head.header("content-length"):
            body = await reader.readexactly(int(length))
        else:
            body = await reader.read() if head.start.startswith("HTTP/") else b""
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
        raise NotHttp("the connection ended within a body") from error
    return Message(head.start, head.headers, body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        parts.append(line)
        if size:
            parts.append(await reader.readexactly(size + 2))
            continue
        while (trailer := await reader.readuntil(b"\r\n")) != b"\r\n":
            parts.append(trailer)
        parts.append(trailer)
        return b"".join(parts)
