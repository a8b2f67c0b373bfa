"""The view on Redis behind a password, TLS, Sentinel and the addresses of a Cluster: real servers, real handshakes."""

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from infra.errors import Unavailable
from infra.view.port import ViewLost
from infra.view.redis_view import RedisView
from tests.view.builders import P0, lease
from tests.view.redis_server import flush, running_cluster, running_redis, until
from tests.view.sentinel import running_sentinel

_TTL_MS = 60_000


async def _use(view: RedisView) -> None:
    """Install an incarnation, write, and hear of it."""
    hint = asyncio.create_task(view.wait_hint(20))
    assert await view.begin_rebuild("x", _TTL_MS)
    await view.install("x", "first")
    await view.set_leader(lease(0))
    assert await view.leaders() == {P0: lease(0)}
    assert await hint


def test_a_failover_is_followed_by_sentinel() -> None:
    async def body() -> None:
        view = RedisView(servers.url, "c", timeout_s=2)
        await _use(view)
        servers.forget_from_now_on()
        await view.set_leader(lease(1))
        await asyncio.to_thread(servers.kill_master)

        async def answers() -> bool:
            return await view.leaders() == {P0: lease(0)}  # the replica has heard of nothing later

        await until(answers)
        assert await view.set_leader(lease(1))
        assert await view.leaders() == {P0: lease(1)}
        await view.close()

    with running_sentinel() as servers:
        asyncio.run(body())


def test_a_cluster_by_any_of_its_addresses() -> None:
    async def body(address: str) -> None:
        view = RedisView(f"redis+cluster://127.0.0.1:1,{address}", "c")
        await _use(view)
        await view.close()

    with running_cluster() as address:
        asyncio.run(body(address))


def test_a_password_is_needed_and_never_told(caplog: pytest.LogCaptureFixture) -> None:
    async def body(url: str) -> None:
        for login in ("", ":wrongword@", "nobody:wrongword@"):
            view = RedisView(url.replace("://", "://" + login), "c")
            with pytest.raises(Unavailable) as caught:
                await view.incarnation()
            assert not isinstance(caught.value, ViewLost)
            assert "word" not in caught.value.message.replace("password", "")
            await view.close()
        view = RedisView(url.replace("://", "://ann:hunter2@"), "c")
        await _use(view)
        await view.close()

    with running_redis() as running, contextlib.closing(redis.Redis.from_url(running.url)) as client:
        client.acl_setuser("ann", enabled=True, passwords=["+hunter2"], categories=["+@all"], keys="*", channels="*")
        client.acl_setuser("default", enabled=False)
        asyncio.run(body(running.url))
    assert "hunter2" not in caplog.text


def test_tls_with_a_certificate_of_each_side(tmp_path: Path) -> None:
    """The Valkey of the tests has no TLS of its own: in front of it stands what ends it."""
    certificates = _certificates(tmp_path)

    async def body(socket: str) -> None:
        async with _tls_in_front_of(socket, certificates) as port:
            ca, client = f"ca_file={certificates / 'ca.pem'}", certificates / "client.pem"
            refused = [
                f"rediss://127.0.0.1:{port}",  # nobody we know has signed it
                f"rediss://127.0.0.1:{port}?{ca}",  # it wants to see who we are
                f"rediss://localhost:{port}?{ca}&cert_file={client}",  # it is not called so
                f"redis://127.0.0.1:{port}",
            ]
            for url in refused:
                view = RedisView(url, "c", timeout_s=5)
                with pytest.raises(Unavailable):
                    await view.incarnation()
                await view.close()
            view = RedisView(f"rediss://127.0.0.1:{port}?{ca}&cert_file={client}", "c")
            await _use(view)
            await view.close()
            view = RedisView(f"rediss://localhost:{port}?{ca}&cert_file={client}&verify_host=false", "c")
            assert await view.incarnation() == "first"
            await view.close()

    with running_redis() as running:
        flush(running.url)
        asyncio.run(body(running.url.removeprefix("unix://")))


@contextlib.asynccontextmanager
async def _tls_in_front_of(socket: str, certificates: Path) -> AsyncIterator[int]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates / "ca.pem")
    context.load_cert_chain(certificates / "server.pem")
    context.verify_mode = ssl.CERT_REQUIRED

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_unix_connection(socket)
        await asyncio.gather(pass_on(reader, behind_writer), pass_on(behind_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def _certificates(folder: Path) -> Path:
    """ca.pem, and server.pem (for 127.0.0.1) and client.pem signed by it, each with its key."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("authority", authority_key, authority_key, None)
    (folder / "ca.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    for name in ("server", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        signed = _certificate(name, key, authority_key, authority.subject)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / f"{name}.pem").write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return folder


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey, issuer: x509.Name | None
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
    )
    return builder.sign(by, hashes.SHA256())
