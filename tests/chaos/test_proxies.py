"""The proxies do what they are told, and what they count happened."""

import asyncio
import contextlib
import http.client
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chaos.http_message import Message, NotHttp, read_body, read_head
from tests.chaos.proxy import ProxyLoop, TcpProxy
from tests.chaos.store_proxy import FAIR, StoreProxy, Weather

_NAMES = st.from_regex(r"[A-Za-z][A-Za-z-]{0,12}", fullmatch=True).filter(
    lambda name: name.lower() not in ("content-length", "transfer-encoding")
)
_VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)


class _Store(ThreadingHTTPServer):
    """Objects that are created once."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Store

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        made = self.path not in self.server.objects
        self.server.objects.setdefault(self.path, body)
        self._say(200 if made else 412, b"")

    def do_GET(self) -> None:
        found = self.server.objects.get(self.path)
        self._say(404 if found is None else 200, found or b"")

    def log_message(self, *arguments: object) -> None:
        return

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def proxies() -> Iterator[ProxyLoop]:
    loop = ProxyLoop()
    yield loop
    loop.close()


@pytest.fixture
def store() -> Iterator[_Store]:
    server = _Store()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def echo() -> Iterator[socket.socket]:
    """Accepts one connection after the other and sends back what comes."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=_echo, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve)
    thread.start()
    yield listening
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join()


def _echo(connection: socket.socket) -> None:
    with contextlib.suppress(OSError), connection:
        while data := connection.recv(1 << 16):
            connection.sendall(data)


def _say_hello(port: int) -> None:
    """Raises `ConnectionError` when nothing comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"hello")
        if not client.recv(100):
            raise ConnectionResetError


def _ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, {"If-None-Match": "*"} if method == "PUT" else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _tell(loop: ProxyLoop, proxy: StoreProxy, weather: Weather) -> None:
    loop.call(proxy.set_weather("test", weather))


def test_a_tcp_proxy_passes_bytes_and_cuts(proxies: ProxyLoop, echo: socket.socket) -> None:
    proxy = TcpProxy("127.0.0.1", echo.getsockname()[1])
    proxies.add(proxy)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
        proxies.call(proxy.cut("reset"))
        with pytest.raises(ConnectionResetError):
            client.recv(100)
    with pytest.raises(ConnectionError):
        _say_hello(proxy.port)
    proxies.call(proxy.heal())
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
        client.sendall(b"again")
        assert client.recv(100) == b"again"
    assert proxy.counts["connections cut"] == 2  # both sides of the first


def test_a_silent_cut_keeps_connections_and_gives_nothing(proxies: ProxyLoop, echo: socket.socket) -> None:
    proxy = TcpProxy("127.0.0.1", echo.getsockname()[1])
    proxies.add(proxy)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
        proxies.call(proxy.cut("silence"))
        client.sendall(b"lost")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(100)
        proxies.call(proxy.heal())
        client.settimeout(10)
        with pytest.raises(ConnectionResetError):
            client.recv(100)


def test_fair_weather_changes_nothing(proxies: ProxyLoop, store: _Store) -> None:
    proxy = StoreProxy("127.0.0.1", store.server_port, seed=1)
    proxies.add(proxy)
    assert _ask(proxy.port, "PUT", "/b/one", b"x" * 100_000) == (200, b"")
    assert _ask(proxy.port, "PUT", "/b/one", b"y") == (412, b"")
    assert _ask(proxy.port, "GET", "/b/one") == (200, b"x" * 100_000)
    assert _ask(proxy.port, "GET", "/b/two") == (404, b"")
    assert proxy.counts == {"requests": 4}


def test_the_weather_of_one_cause_ends_and_that_of_another_stays(proxies: ProxyLoop, store: _Store) -> None:
    proxy = StoreProxy("127.0.0.1", store.server_port, seed=1)
    proxies.add(proxy)
    proxies.call(proxy.set_weather("one", Weather(refused=1.0)))
    proxies.call(proxy.set_weather("two", Weather(slow=0.5)))
    assert proxy.weather == Weather(refused=1.0, slow=0.5)
    proxies.call(proxy.set_weather("one", FAIR))
    assert proxy.weather == Weather(slow=0.5)
    proxies.call(proxy.clear())
    assert proxy.weather == FAIR


def test_a_refusal_and_a_reset_keep_a_request_from_the_server(proxies: ProxyLoop, store: _Store) -> None:
    proxy = StoreProxy("127.0.0.1", store.server_port, seed=1)
    proxies.add(proxy)
    _tell(proxies, proxy, Weather(refused=1.0))
    status, body = _ask(proxy.port, "PUT", "/b/one", b"x")
    assert status == 503
    assert b"SlowDown" in body
    for weather in (Weather(reset=1.0), Weather(outage="reset")):
        _tell(proxies, proxy, weather)
        with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
            _ask(proxy.port, "PUT", "/b/one", b"x")
    assert not store.objects


def test_a_lost_answer_is_carried_out_and_its_repetition_is_seen(proxies: ProxyLoop, store: _Store) -> None:
    proxy = StoreProxy("127.0.0.1", store.server_port, seed=1)
    proxies.add(proxy)
    _tell(proxies, proxy, Weather(lost=1.0))
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        _ask(proxy.port, "PUT", "/b/one", b"x")
    _tell(proxies, proxy, Weather(wrong=1.0))
    assert _ask(proxy.port, "PUT", "/b/two", b"x")[0] == 500
    assert store.objects == {"/b/one": b"x", "/b/two": b"x"}
    _tell(proxies, proxy, FAIR)
    assert _ask(proxy.port, "PUT", "/b/one", b"x")[0] == 412
    assert _ask(proxy.port, "PUT", "/b/one", b"x")[0] == 412
    assert proxy.counts["absorbed"] == 1


def test_silence_ends_when_the_weather_changes(proxies: ProxyLoop, store: _Store) -> None:
    proxy = StoreProxy("127.0.0.1", store.server_port, seed=1)
    proxies.add(proxy)
    _tell(proxies, proxy, Weather(outage="silence"))
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
        client.sendall(b"GET /b/one HTTP/1.1\r\nHost: store\r\n\r\n")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(100)
        _tell(proxies, proxy, FAIR)
        client.settimeout(10)
        with pytest.raises(ConnectionResetError):
            client.recv(100)


@settings(max_examples=30)
@given(st.lists(st.tuples(_NAMES, _VALUES), max_size=5), st.binary(max_size=300), st.booleans())
def test_a_message_goes_through_unchanged(headers: list[tuple[str, str]], body: bytes, chunked: bool) -> None:
    if chunked:
        headers = [*headers, ("Transfer-Encoding", "chunked")]
        body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
    else:
        headers = [*headers, ("Content-Length", str(len(body)))]
    message = Message("PUT /a HTTP/1.1", tuple(headers), body)

    async def read(raw: bytes) -> Message:
        reader = asyncio.StreamReader()
        reader.feed_data(raw)
        reader.feed_eof()
        head = await read_head(reader)
        assert head is not None
        return await read_body(reader, head)

    assert asyncio.run(read(message.encode() + b"the next")) == message
    with pytest.raises(NotHttp):
        asyncio.run(read(message.encode()[:-1]))
