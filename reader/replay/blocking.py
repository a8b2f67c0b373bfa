"""Runs the asynchronous side of a replay for callers that are not: an event loop in a thread of its own."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """An event loop that runs until it is closed.

    Python may take an object apart in any thread, also in the loop's own, where waiting for the loop would never end:
    what ends things (`iterate` given up, `close`) only hands its work over there.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._closing = False
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
            async with turn:
                await values.aclose()

        try:
            while True:
                try:
                    value = self.run(following())
                except StopAsyncIteration:
                    return
                yield value
        finally:
            if not self._closing:
                self._at_last(end)

    def close(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Carry out the last work, give up whatever else is under way, and end the thread. Once."""

        async def end() -> None:
            try:
                tasks = asyncio.all_tasks() - {asyncio.current_task()}
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await work()
            finally:
                self._loop.call_soon(self._loop.stop)

        if not self._closing:
            self._closing = True
            self._at_last(end)
            if threading.current_thread() is not self._thread:
                self._thread.join()

    def _at_last(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        future = asyncio.run_coroutine_threadsafe(work(), self._loop)
        if threading.current_thread() is not self._thread:
            future.result()

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()
