"""A node of a chaos run: its process, the disk it has, the clock it sees, and the proxies in front of all it talks to.

A keeper thread starts the node again whenever it is to be up and is not, as an init system would.
"""

import contextlib
import os
import resource
import shutil
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from cauce.testing import CauceProcess
from tests.chaos.proxy import ProxyLoop, TcpProxy
from tests.chaos.store_proxy import StoreProxy, in_front_of
from tests.servers import S3Server, kept_ports

_INSIDE = Path(__file__).parent / "inside"
_ROOT = Path(__file__).parents[2]
_DISK_MIB = 768
_FILL_SECONDS = 10.0
_RETRY_SECONDS = 0.5
_UP_SECONDS = 90.0


class NodeParty:
    """One node; `number` names it and is no node id."""

    def __init__(
        self,
        number: int,
        folder: Path,
        loop: ProxyLoop,
        store: S3Server,
        redis_port: int,
        *,
        seed: int,
        settings: Mapping[str, str],
        planted: str = "",
    ) -> None:
        self.name = f"node {number}"
        self.log = folder / f"node-{number}.log"
        self._data = folder / f"node-{number}"
        self._data.mkdir()
        self.disk = Disk(self._data)
        self._clock = folder / f"node-{number}.clock"
        self.set_clock(0)
        [port] = kept_ports(1)
        self.clients, self.redis = TcpProxy("127.0.0.1", port), TcpProxy("127.0.0.1", redis_port)
        self.loop = loop
        for proxy in (self.clients, self.redis):
            loop.add(proxy)
        self.store, through = in_front_of(store, loop, f"{seed} {number}", StoreProxy)
        options = ["--advertise", self.bootstrap, "--bucket", through.url("chaos")]
        options += ["--redis", f"redis://127.0.0.1:{self.redis.port}"]
        options += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
        self.process = CauceProcess(
            self._data / "data",
            f"127.0.0.1:{port}",
            options,
            "node",
            {
                "PYTHONPATH": os.pathsep.join([str(_INSIDE), str(_ROOT)]),
                "CHAOS_CLOCK": str(self._clock),
                "CHAOS_PLANTED": planted,
            },
        )
        self._wanted = False
        self._ending = threading.Event()
        self._up = threading.Event()
        self._changed = threading.Lock()  # one start or end at a time
        self._paused: int | None = None
        self.ended_by_itself = 0
        self._keeper = threading.Thread(target=self._keep, name=self.name, daemon=True)
        self._keeper.start()

    @property
    def bootstrap(self) -> str:
        """As clients reach it."""
        return f"127.0.0.1:{self.clients.port}"

    @property
    def wanted(self) -> bool:
        """Whether it is to be up."""
        return self._wanted

    def up(self) -> None:
        """Have it started, and again whenever it ends."""
        self._wanted = True

    def await_up(self, seconds: float) -> bool:
        """Wait until it serves."""
        return self._up.wait(seconds)

    def kill(self) -> None:
        """End it as `kill -9` does, until `up`."""
        self._wanted = False
        self._up.clear()
        self._paused = None
        self.process.kill()

    def stop(self) -> bool:
        """SIGTERM, until `up`; whether it ended in order."""
        self._wanted = False
        with self._changed:
            self._up.clear()
            if not self.process.running:
                return True
            self.resume()
            try:
                return self.process.stop() == 0
            except RuntimeError:  # it did not stop in time and was killed
                return False

    def leave(self, tries: int = 5) -> None:
        """Stop for good: what could not be given back in time is given back by another start and stop."""
        for _ in range(tries):
            seen = len(self.process.output)
            self.stop()
            if "could not be given back in time" not in self.process.output[seen:]:
                return
            self.up()
            self.await_up(_UP_SECONDS)

    def pause(self) -> bool:
        """SIGSTOP; whether there was something to stop."""
        if not self._up.is_set() or not self.process.running:
            return False
        self._paused = self.process.pid
        os.kill(self._paused, signal.SIGSTOP)
        return True

    def resume(self) -> None:
        """SIGCONT."""
        if self._paused is not None and self.process.running and self.process.pid == self._paused:
            os.kill(self._paused, signal.SIGCONT)
        self._paused = None

    def lose_disk(self) -> None:
        """After a kill: everything on its disk is gone."""
        with self._changed:
            shutil.rmtree(self._data / "data", ignore_errors=True)

    def set_clock(self, ahead_ms: int) -> None:
        """Its wall clock, and its compactor's, is so far ahead from now on."""
        with self._clock.open("r+b" if self._clock.exists() else "wb") as file:
            file.write(struct.pack("<q", ahead_ms))

    def close(self) -> None:
        """End it for good."""
        self._ending.set()
        self.kill()
        self._keeper.join()
        self.kill()
        self.disk.close()

    def _keep(self) -> None:
        while not self._ending.wait(_RETRY_SECONDS):
            if self._up.is_set() and self._wanted and not self.process.running:
                self._up.clear()
                self.ended_by_itself += 1
            with self._changed:
                if self._wanted and not self.process.running and not self._ending.is_set():
                    with contextlib.suppress(RuntimeError, OSError):  # it did not start: the next try may
                        self.process.start()
                        self._up.set()
                    if not self._wanted:  # killed in the moment it was up
                        self._up.clear()
                        self.process.kill()


class Disk:
    """The disk of a node, which can be full: a tmpfs of its own where it may be mounted, else a limit on file sizes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.mounted = _run(["mount", "-t", "tmpfs", "-o", f"size={_DISK_MIB}m", "cauce-chaos", str(folder)])

    @property
    def kind(self) -> str:
        """How it is made full."""
        return "a tmpfs without space" if self.mounted else "RLIMIT_FSIZE of 0 on the running node"

    def fill(self, process: CauceProcess) -> None:
        """Nothing more can be written. Raises `OSError` when that cannot be brought about."""
        if not self.mounted:
            if process.running:
                self._limit(process, 0)
            return
        deadline = time.monotonic() + _FILL_SECONDS
        while not self._shrink():  # refused where something was written meanwhile
            if time.monotonic() > deadline:
                raise OSError(f"{self._folder} could not be made full")

    def _shrink(self) -> bool:
        used = shutil.disk_usage(self._folder).used
        return _run(["mount", "-o", f"remount,size={max(used >> 10, 4)}k", str(self._folder)])

    def free(self, process: CauceProcess) -> None:
        """There is space again."""
        if self.mounted:
            _run(["mount", "-o", f"remount,size={_DISK_MIB}m", str(self._folder)])
        elif process.running:
            self._limit(process, resource.RLIM_INFINITY)

    def close(self) -> None:
        """Give it back."""
        if self.mounted:
            deadline = time.monotonic() + 10
            while not _run(["umount", str(self._folder)]) and time.monotonic() < deadline:
                time.sleep(0.1)  # a process that was killed lets go of it in a moment

    @staticmethod
    def _limit(process: CauceProcess, size: int) -> None:
        with contextlib.suppress(psutil.Error):
            psutil.Process(process.pid).rlimit(psutil.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _run(command: Sequence[str]) -> bool:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.returncode == 0
