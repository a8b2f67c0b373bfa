"""Runs the asynchronous side of a replay for callers that are not: an event loop in a thread of its own."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """An event loop that runs until it is closed.

    Python may take an object apart in any thread and at any place of it, also where that thread holds a lock which the
    loop waits for. So what may run then (`iterate` given up, `abandon`) hands its work over to the loop and waits for
    nothing.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._closing = False
        self._ending: set[asyncio.Task[Any]] = set()  # iterations given up that are being taken apart
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for its outcome. When the wait is interrupted (Ctrl-C), the work is cancelled."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, values: AsyncGenerator[T, None]) -> Generator[T, None, None]:
        """Its values, one at a time; between them the loop goes on with what it has to do."""
        turn = asyncio.Lock()  # a wait that was interrupted has to end before the generator can be closed

        async def following() -> T:
            async with turn:
                return await anext(values)

        async def end() -> None:
            task = asyncio.current_task()
            assert task is not None
            self._ending.add(task)
            try:
                async with turn:
                    await values.aclose()
            finally:
                self._ending.discard(task)

        try:
            while True:
                try:
                    value = self.run(following())
                except StopAsyncIteration:
                    return
                yield value
        finally:
            if not self._closing:
                asyncio.run_coroutine_threadsafe(end(), self._loop)

    def close(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Carry out the last work, give up whatever else is under way, and end the thread. Once."""
        if not self._closing:
            self.abandon(work)
            self._thread.join()

    def abandon(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """As `close`, without waiting for it."""
        if not self._closing:
            self._closing = True
            asyncio.run_coroutine_threadsafe(self._end(work), self._loop)

    async def _end(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks - self._ending:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._loop.shutdown_asyncgens()
            await work()
        finally:
            self._loop.call_soon(self._loop.stop)

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()
