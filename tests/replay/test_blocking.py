"""A loop in a thread of its own: what may be taken apart anywhere waits for nothing, and still everything ends."""

import asyncio
import threading
from collections.abc import AsyncGenerator

import pytest

from reader.replay.blocking import LoopThread

_END_SECONDS = 60.0


class Numbers:
    """An endless stream whose end takes until it is allowed."""

    def __init__(self) -> None:
        self.allowed = threading.Event()
        self.ended = threading.Event()

    async def values(self) -> AsyncGenerator[int, None]:
        number = 0
        try:
            while True:
                yield number
                number += 1
        finally:
            await asyncio.to_thread(self.allowed.wait)
            self.ended.set()


async def nothing() -> None:
    """The last work of those who have none."""


def own_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "blocking-test"]


def test_values_come_one_by_one_and_an_error_comes_out() -> None:
    async def failing() -> AsyncGenerator[int, None]:
        yield 1
        raise ValueError("why")

    loop = LoopThread("blocking-test")
    found = loop.iterate(failing())
    assert next(found) == 1
    with pytest.raises(ValueError, match="why"):
        next(found)
    loop.close(nothing)
    assert not own_threads()


def test_an_iteration_given_up_waits_for_nothing() -> None:
    numbers = Numbers()
    loop = LoopThread("blocking-test")
    found = loop.iterate(numbers.values())
    assert [next(found), next(found)] == [0, 1]
    found.close()  # what lets it end comes after it
    numbers.allowed.set()
    assert numbers.ended.wait(_END_SECONDS)
    loop.close(nothing)


def test_closing_waits_for_iterations_that_were_given_up() -> None:
    numbers = Numbers()
    loop = LoopThread("blocking-test")
    found = loop.iterate(numbers.values())
    next(found)
    found.close()
    threading.Timer(0.05, numbers.allowed.set).start()
    loop.close(nothing)
    assert numbers.ended.is_set()


def test_closing_ends_iterations_that_were_left_standing() -> None:
    numbers = Numbers()
    numbers.allowed.set()
    loop = LoopThread("blocking-test")
    found = loop.iterate(numbers.values())
    next(found)
    loop.close(nothing)
    assert numbers.ended.is_set()
    found.close()


def test_abandoning_waits_for_nothing_and_does_the_last_work() -> None:
    allowed, done = threading.Event(), threading.Event()

    async def last() -> None:
        await asyncio.to_thread(allowed.wait)
        done.set()

    loop = LoopThread("blocking-test")
    [thread] = own_threads()
    loop.abandon(last)
    loop.close(nothing)  # a second end changes nothing, and waits for nothing either
    allowed.set()
    thread.join(_END_SECONDS)
    assert done.is_set()
    assert not own_threads()
