"""A proxy in front of an HTTP server that loses answers and breaks off: what networks do to a PUT.

Faults are named by what happens to one request that begins with the given word ("PUT", "GET" …), in order.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["lose answer", "refuse", "503", "409", "cut body", "hang"]


class FaultyProxy:
    """One request a connection (it asks both sides to close), so that each meets its own fault."""

    def __init__(self, endpoint: str) -> None:
        upstream = urlsplit(endpoint)
        self._host, self._port = upstream.hostname or "", upstream.port or 80
        self.faults: dict[str, list[Fault]] = {}
        self.seen: list[str] = []  # method of every request
        self.hanging = asyncio.Event()  # set once a request hangs
        self.endpoint = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["FaultyProxy"]:
        """Listen while the block runs."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            head, body = await _read_request(reader, writer)
            method = head.split(b" ", 1)[0].decode()
            self.seen.append(method)
            faults = self.faults.get(method, [])
            fault = faults.pop(0) if faults else None
            if fault in ("503", "409"):
                code = "SlowDown" if fault == "503" else "ConditionalRequestConflict"
                writer.write(_refusal(int(fault), code))
            elif fault == "hang":
                self.hanging.set()
                await reader.read()
            elif fault != "refuse":
                answer = await self._forward(head, body)
                if fault == "cut body":
                    writer.write(answer[: len(answer) - 3])
                elif fault is None:
                    writer.write(answer)
            await writer.drain()
        writer.close()

    async def _forward(self, head: bytes, body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        writer.write(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1) + body)
        answer = await reader.read()
        writer.close()
        return answer


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
    if b"expect" in fields:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        head = head.replace(b"\r\nExpect: 100-continue", b"")
    return head, await reader.readexactly(int(fields.get(b"content-length", b"0")))


def _refusal(status: int, code: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>a planted fault</Message></Error>".encode()
    head = f"HTTP/1.1 {status} Planted\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
