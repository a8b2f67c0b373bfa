"""An event loop on virtual time, on which processes live that can be killed, paused and resumed from outside.

Time stands still while anything is ready, and jumps to the next timer when nothing is. What asyncio promises stays: the
callbacks of one process run in the order in which they became ready. Which process goes next is drawn. There are no
threads: what is given to an executor runs in one go, at a drawn moment later. It knows nothing of Cauce.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from random import Random
from typing import Any

_MOST_EXECUTOR_SECONDS = 0.004
_PRUNE_EVERY = 4096  # tasks


class Process:
    """Whatever dies, or stands still, together."""

    def __init__(self, loop: "VirtualLoop", name: str) -> None:
        self.name = name
        self.alive = True
        self.paused = False
        self.ready: deque[asyncio.Handle] = deque()
        self._loop = loop
        self.context = copy_context()
        self.context.run(_PROCESS.set, self)

    def __repr__(self) -> str:
        return f"Process({self.name})"

    def spawn(self, work: Coroutine[Any, Any, Any], name: str = "") -> "SeedTask":
        """A task of this process."""
        return self._loop.create_task(work, name=name or self.name, context=self.context.copy())

    def kill(self) -> None:
        """Nothing of it runs again, not even what should happen at the end."""
        self.alive = False
        self.ready.clear()
        self._loop.set_aside(self)

    def pause(self) -> None:
        """SIGSTOP: time goes on, it does not."""
        self.paused = True
        self._loop.set_aside(self)

    def resume(self) -> None:
        """SIGCONT: all that came meanwhile happens now, in its order."""
        self.paused = False
        self._loop.woken(self)


_PROCESS: ContextVar[Process] = ContextVar("process")


def current_process() -> Process:
    """Whose code runs now."""
    return _PROCESS.get()


class SeedTask(asyncio.Task[Any]):
    """A task whose place in a set depends on the run alone, not on its address."""

    def __init__(self, *arguments: Any, number: int, **options: Any) -> None:
        self._number = number
        super().__init__(*arguments, **options)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class SeedFuture(asyncio.Future[Any]):
    """The same for a future."""

    def __init__(self, *, number: int, loop: asyncio.AbstractEventLoop) -> None:
        self._number = number
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class VirtualLoop(asyncio.AbstractEventLoop):
    """One a run. `world` is the process of everything that is in no node: networks, servers, whoever makes faults."""

    def __init__(self, random: Random) -> None:
        self.steps = 0
        self.unheard: list[str] = []  # exceptions that nobody asked for
        self._random = random
        self._now = 0.0
        self._numbers = 0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._runnable: list[Process] = []  # alive, not paused, with something ready; in no order that matters
        self._tasks: dict[SeedTask, None] = {}
        self._closed = False
        self.world = Process(self, "world")

    # running

    def run_until_complete(self, future: Any) -> Any:
        """Run a coroutine as a task of the world until it ends."""
        task = self.world.spawn(future, "main")
        asyncio._set_running_loop(self)
        try:
            while not task.done():
                self._step()
        finally:
            asyncio._set_running_loop(None)
        return task.result()

    def _step(self) -> None:
        while not self._runnable:
            self._jump()
        at = self._random.randrange(len(self._runnable)) if len(self._runnable) > 1 else 0
        process = self._runnable[at]
        handle = process.ready.popleft()
        if not process.ready:
            self._runnable[at] = self._runnable[-1]
            self._runnable.pop()
        if not handle.cancelled():
            self.steps += 1
            handle._run()

    def _jump(self) -> None:
        if not self._timers:
            raise RuntimeError("nothing is ready and nothing will be: the run waits for ever")
        self._now = max(self._now, self._timers[0][0])
        while self._timers and self._timers[0][0] <= self._now:
            timer = heapq.heappop(self._timers)[2]
            timer._scheduled = False  # type: ignore[attr-defined]
            if not timer.cancelled():
                self._enqueue(timer)

    def _enqueue(self, handle: asyncio.Handle) -> None:
        process: Process = handle._context.get(_PROCESS, self.world)  # type: ignore[attr-defined]
        if process.alive:
            process.ready.append(handle)
            if len(process.ready) == 1 and not process.paused:
                self._runnable.append(process)

    def woken(self, process: Process) -> None:
        """It was paused and is no more."""
        if process.alive and process.ready and process not in self._runnable:
            self._runnable.append(process)

    def set_aside(self, process: Process) -> None:
        """It was killed or paused: what it has ready does not run now."""
        if process in self._runnable:
            self._runnable.remove(process)

    # what asyncio asks of a loop

    def time(self) -> float:
        return self._now

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._enqueue(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._numbers += 1
        heapq.heappush(self._timers, (when, self._numbers, timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        return  # it is passed over when it is due

    def create_future(self) -> SeedFuture:
        self._numbers += 1
        return SeedFuture(number=self._numbers, loop=self)

    def create_task(  # type: ignore[override]
        self,
        coro: Generator[Any, None, Any] | Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: Any = None,
    ) -> SeedTask:
        self._numbers += 1
        task = SeedTask(coro, loop=self, name=name or "", context=context, number=self._numbers)
        self._tasks[task] = None  # what a killed process leaves must not be collected: its `finally` would run
        if len(self._tasks) > _PRUNE_EVERY:
            self._tasks = {task: None for task in self._tasks if not task.done()}
        return task

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> SeedFuture:  # type: ignore[override]
        done = self.create_future()

        def work() -> None:
            if done.cancelled():
                return
            try:
                done.set_result(func(*args))
            except Exception as error:  # noqa: BLE001  it is whoever waits who judges it
                done.set_exception(error)

        self.call_later(self._random.uniform(0, _MOST_EXECUTOR_SECONDS), work)
        return done

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return self._closed

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.unheard.append(f"{context.get('message')}: {context.get('exception')!r}")

    async def shutdown_asyncgens(self) -> None:
        return

    def close(self) -> None:
        """End everything that still waits, without running it on."""
        self._closed = True
        for process in self._runnable:
            process.ready.clear()
        for task in self._tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._timers.clear()
        for task in self._tasks:
            if not task.done():
                _close(task)
        self._tasks.clear()


def _close(task: SeedTask) -> None:
    work = task.get_coro()
    try:
        work.close()  # type: ignore[union-attr]
    except (RuntimeError, ValueError):
        return  # it waits once more in a `finally`, or is just running
