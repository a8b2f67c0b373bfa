"""A connection that is held back: the answer leaves at once, nothing behind it starts, and in the end it goes on."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from infra.wire import envelope
from infra.wire.handler import RequestContext
from infra.wire.messages import heartbeat
from infra.wire.throttle import Measured
from tests.wire_server.harness import Heartbeats, HeldClock, at_once, serving

_LONG = 3600.0


class _Told:
    """A throttle that does what a test says: so many seconds for each request, at its beginning or its end."""

    def __init__(self, begins: Sequence[float] = (), ends: Sequence[float] = (), active: bool = True) -> None:
        self.active = active
        self._begins = list(begins)
        self._ends = list(ends)
        self.sizes: list[int] = []

    def begin(self, context: RequestContext, request: Any, request_bytes: int) -> float:
        self.sizes.append(request_bytes)
        return self._begins.pop(0) if self._begins else 0.0

    def end(self, context: RequestContext, request: Any, response: Any, busy_seconds: float) -> float:
        seconds = self._ends.pop(0) if self._ends else 0.0
        response.throttle_time_ms = round(seconds * 1000)
        return seconds


def _beat(number: int) -> bytes:
    """As a frame; two of them sent at once arrive at once."""
    request = heartbeat.HeartbeatRequest(group_id="g", generation_id=number)
    return b"".join(envelope.encode_request(request, 4, number, "raw"))


@pytest.mark.parametrize("throttle", [_Told(begins=[_LONG]), _Told(ends=[_LONG])], ids=["begin", "end"])
def test_nothing_is_started_behind_it_while_others_are_served(throttle: _Told) -> None:
    async def main() -> None:
        handler = Heartbeats(at_once)
        async with serving(handler, throttle=throttle) as served:
            raw = await served.raw()
            raw.beat(1)
            assert (await raw.answer())[1].error_code == 1
            raw.beat(2)
            raw.beat(3)
            assert await served.alive()
            assert [request.generation_id for request in handler.started] == [1, 7]
            assert throttle.sizes[0] > 0

    asyncio.run(main())


def test_requests_that_came_together_wait_as_well() -> None:
    async def main() -> None:
        handler = Heartbeats(at_once)
        async with serving(handler, throttle=_Told(begins=[_LONG])) as served:
            raw = await served.raw()
            for number in (1, 2, 3):
                raw.beat(number)
            assert await raw.numbers(1) == [1]
            assert await served.alive()
            assert len(handler.started) == 2

    asyncio.run(main())


def test_when_the_time_is_over_it_goes_on() -> None:
    async def main() -> None:
        throttle = _Told(begins=[0.02, 0.01, 0.03], ends=[0.0, 0.05])
        async with serving(Heartbeats(at_once), throttle=throttle) as served:
            raw = await served.raw()
            for number in range(5):
                raw.beat(number)
            answers = [(await raw.answer())[1] for _ in range(5)]
            assert [one.error_code for one in answers] == list(range(5))
            assert [one.throttle_time_ms for one in answers] == [0, 50, 0, 0, 0]

    asyncio.run(main())


def test_a_stop_answers_what_is_held_back() -> None:
    async def main() -> None:
        async with serving(Heartbeats(at_once), throttle=_Told(begins=[_LONG])) as served:
            raw = await served.raw()
            raw.send(_beat(1) + _beat(2))
            assert await raw.numbers(1) == [1]
            closing = asyncio.create_task(served.server.close(drain_seconds=20.0))
            assert await raw.numbers(1) == [2]
            await closing

    asyncio.run(main())


def test_a_client_that_leaves_while_it_is_held_back_costs_nothing() -> None:
    async def main() -> None:
        async with serving(Heartbeats(at_once), throttle=_Told(begins=[_LONG])) as served:
            raw = await served.raw()
            raw.beat(1)
            raw.beat(2)
            assert await raw.numbers(1) == [1]
            await raw.close()
            assert await served.alive()

    asyncio.run(main())


def test_a_throttle_without_quotas_is_asked_nothing() -> None:
    async def main() -> None:
        throttle = _Told(begins=[_LONG], active=False)
        async with serving(Heartbeats(at_once), throttle=throttle) as served:
            raw = await served.raw()
            raw.beat(1)
            raw.beat(2)
            assert await raw.numbers(2) == [1, 2]
            assert throttle.sizes == []

    asyncio.run(main())


def test_only_the_time_that_keeps_the_loop_busy_is_counted() -> None:
    async def main() -> None:
        clock, gate = HeldClock(), asyncio.Event()

        async def work() -> str:
            clock.seconds += 1
            await gate.wait()
            clock.seconds += 2
            await asyncio.sleep(0)
            clock.seconds += 4
            return "done"

        measured = Measured(work(), clock)

        async def run() -> str:
            return await measured

        task = asyncio.create_task(run())
        await asyncio.sleep(0)
        clock.seconds += 100
        gate.set()
        assert await task == "done"
        assert measured.busy_seconds == 7

    asyncio.run(main())


def test_what_is_measured_hears_of_a_cancellation_and_may_fail() -> None:
    async def main() -> None:
        heard = []

        async def waits() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                heard.append(True)
                raise

        async def fails() -> heartbeat.HeartbeatResponse:
            await asyncio.sleep(0)
            raise ValueError("no")

        async def run(work: Any) -> Any:
            return await Measured(work, HeldClock())

        task = asyncio.create_task(run(waits()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert heard == [True]
        with pytest.raises(ValueError, match="no"):
            await run(fails())

    asyncio.run(main())
