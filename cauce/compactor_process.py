"""A node's compactor: a process of its own, so that what it computes costs acknowledgements nothing.

It is started once there can be work for it, again when it dies by itself, and ends with the node, however that ends:
it is asked by SIGTERM, its stdin closes, and Linux tells it of its parent's death.
"""

import asyncio
import contextlib
import logging
import os
import sys
from pathlib import Path

from cauce.compactor_metrics import CompactorMetrics
from compactor.document import Document, Report
from infra.child import die_with
from infra.clock import Clock

log = logging.getLogger(__name__)

_FIRST_DELAY_SECONDS = 0.5
_MOST_DELAY_SECONDS = 30.0
_STEADY_SECONDS = 60.0  # having run so long, a death is the first one again
_STOP_SECONDS = 5.0
_LINE_BYTES = 1 << 20


class CompactorProcess:
    """One for a node with the role compactor."""

    def __init__(self, document: Document, metrics: CompactorMetrics, clock: Clock) -> None:
        self._document = document
        self._metrics = metrics
        self._clock = clock
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Process id, None while it does not run."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self) -> None:
        """Begin to keep it running. It starts after the first interval: before that nothing can be due."""
        self._task = asyncio.create_task(self._keep_running(), name="compactor")

    async def stop(self) -> None:
        """End it: what it is at is abandoned."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._process is not None:
            await _end(self._process)

    async def _keep_running(self) -> None:
        await asyncio.sleep(self._document.settings["cauce.compaction.interval.ms"] / 1000)
        delay = _FIRST_DELAY_SECONDS
        while True:
            begun = self._clock.monotonic()
            try:
                code: int | str = await self._run()
            except OSError as error:
                code = f"an error before it ran: {error}"
            if self._clock.monotonic() - begun > _STEADY_SECONDS:
                delay = _FIRST_DELAY_SECONDS
            log.warning("the compactor process ended with %s; starting it again in %.1f s", code, delay)
            await asyncio.sleep(delay)
            delay = min(2 * delay, _MOST_DELAY_SECONDS)

    async def _run(self) -> int:
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *_path_flags(),
            "-m",
            "compactor",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES,
            start_new_session=True,  # Ctrl-C at the terminal stops the node, and the node stops this
            preexec_fn=die_with(os.getpid()),
        )
        self._metrics.begin()
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(ConnectionError):  # it died already: its code tells
            process.stdin.write(self._document.encode())
            await process.stdin.drain()
        async for line in process.stdout:
            report = Report.decode(line)
            if report is not None:
                self._metrics.take(report)
        return await process.wait()


def _path_flags() -> list[str]:
    """`-m` would look into the current folder first, where a folder of the user's may bear the name of one of ours."""
    return [] if "" in sys.path or str(Path.cwd()) in sys.path else ["-P"]


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    for ask in (process.terminate, process.kill):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            ask()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
