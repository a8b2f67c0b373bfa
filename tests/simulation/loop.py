"""An event loop on virtual time, on which processes live that can be killed, paused and resumed from outside.

Time stands still while anything is ready, and jumps to the next timer when nothing is. What asyncio promises stays: the
callbacks of one process run in the order in which they became ready. Which process goes next is drawn. There are no
threads: what is given to an executor runs in one go, at a drawn moment later. It knows nothing of Cauce.

A run is tens of thousands of callbacks, most of which do little: what the loop spends on each is a good part of it all.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from heapq import heappop, heappush
from random import Random
from typing import Any

_MOST_EXECUTOR_SECONDS = 0.004
_PRUNE_EVERY = 4096  # tasks


class Callback:
    """What is to run, once it is ready or its time has come: all that asyncio uses of its handles."""

    __slots__ = ("args", "callback", "context", "due")

    def __init__(self, callback: Callable[..., Any], args: tuple[Any, ...], context: Context, due: float) -> None:
        self.callback: Callable[..., Any] | None = callback
        self.args = args
        self.context = context
        self.due = due

    def when(self) -> float:
        """Of a timer."""
        return self.due

    def cancel(self) -> None:
        """It is passed over when its turn comes."""
        self.callback = None
        self.args = ()

    def cancelled(self) -> bool:
        """Whether it was."""
        return self.callback is None


class Process:
    """Whatever dies, or stands still, together."""

    def __init__(self, loop: "VirtualLoop", name: str) -> None:
        self.name = name
        self.alive = True
        self.paused = False
        self.ready: deque[Callback] = deque()
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

    def __init__(self, work: Any, loop: "VirtualLoop", name: str, context: Context | None, number: int) -> None:
        self._number = number  # it is asked for at once
        self.process = _PROCESS.get(None) if context is None else context.get(_PROCESS)
        super().__init__(work, loop=loop, name=name, context=context)

    def __hash__(self) -> int:
        return self._number


class SeedFuture(asyncio.Future[Any]):
    """The same for a future."""

    number: int

    def __hash__(self) -> int:
        return self.number


class VirtualLoop(asyncio.AbstractEventLoop):
    """One a run. `world` is the process of everything that is in no node: networks, servers, whoever makes faults."""

    def __init__(self, random: Random) -> None:
        self.steps = 0
        self.unheard: list[str] = []  # exceptions that nobody asked for
        self._random = random
        self._now = 0.0
        self._numbers = 0
        self._timers: list[tuple[float, int, Callback]] = []
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
            self._run_until(task)
        finally:
            asyncio._set_running_loop(None)
        return task.result()

    def _run_until(self, task: SeedTask) -> None:
        runnable, below = self._runnable, self._random.random
        steps = self.steps
        while not task.done():
            while not runnable:
                self._jump()
            at = int(below() * len(runnable)) if len(runnable) > 1 else 0
            process = runnable[at]
            one = process.ready.popleft()
            if not process.ready:
                runnable[at] = runnable[-1]
                runnable.pop()
            if one.callback is not None:
                self.steps = steps = steps + 1
                try:
                    one.context.run(one.callback, *one.args)
                except Exception as error:  # noqa: BLE001  as asyncio does: the loop goes on, and the run fails at its end
                    self.call_exception_handler({"message": f"in {one.callback}", "exception": error})

    def _jump(self) -> None:
        timers = self._timers
        if not timers:
            raise RuntimeError("nothing is ready and nothing will be: the run waits for ever")
        now = self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= now:
            timer = heappop(timers)[2]
            if timer.callback is not None:
                self._enqueue(timer)

    def _enqueue(self, one: Callback) -> None:
        process = one.context.get(_PROCESS) or self.world
        if process.alive:
            process.ready.append(one)
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

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Callback:
        one = Callback(callback, args, copy_context() if context is None else context, 0.0)
        self._enqueue(one)
        return one

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Callback:
        due = self._now + delay
        timer = Callback(callback, args, copy_context() if context is None else context, due)
        self._numbers += 1
        heappush(self._timers, (due, self._numbers, timer))
        return timer

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Callback:
        timer = Callback(callback, args, copy_context() if context is None else context, when)
        self._numbers += 1
        heappush(self._timers, (when, self._numbers, timer))
        return timer

    def create_future(self) -> SeedFuture:
        self._numbers += 1
        future = SeedFuture(loop=self)
        future.number = self._numbers
        return future

    def create_task(  # type: ignore[override]
        self,
        coro: Generator[Any, None, Any] | Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: Any = None,
    ) -> SeedTask:
        self._numbers += 1
        task = SeedTask(coro, self, name or "task", context, self._numbers)
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
        task = context.get("future")
        if isinstance(task, SeedTask) and task.process is not None and not task.process.alive:
            return  # whoever would have heard of it was killed with it
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
