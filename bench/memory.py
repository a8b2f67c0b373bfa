"""The greatest RSS of a node and of its children while something runs, sampled."""

import threading
from types import TracebackType
from typing import Self

import psutil

_EVERY_SECONDS = 0.25
_MIB = 1 << 20


class PeakMemory:
    """Watches a process and its children from a thread, as long as the with statement lasts."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._peaks: dict[str, int] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def report(self) -> str:
        """One line: the greatest RSS of each process, in MiB."""
        rows = [f"{name} {size / _MIB:.0f}" for name, size in sorted(self._peaks.items())]
        return "greatest RSS, MiB: " + ", ".join(rows)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(_EVERY_SECONDS):
            try:
                self._note("node", self._process)
                for child in self._process.children(recursive=True):
                    self._note("valkey" if "valkey" in child.name() else "compactor", child)
            except psutil.NoSuchProcess:
                continue

    def _note(self, name: str, process: psutil.Process) -> None:
        self._peaks[name] = max(self._peaks.get(name, 0), process.memory_info().rss)
