"""The wire server stands hostile inputs for every API, with handlers that answer whatever they are asked."""

import asyncio
import logging
from typing import Any

import pytest

from cauce.api.api_versions import ApiVersionsHandler
from infra.wire.apis import API_NAMES, request_table, response_class
from infra.wire.handler import Handler, RequestContext
from infra.wire.observer import WireObserver
from tests.fuzz.inputs import Inputs
from tests.fuzz.run import Fuzz
from tests.wire_server.harness import serving

INPUTS = 3000


def obliging(api: int) -> Handler:
    """A handler that gives an empty answer in every version."""
    versions = request_table(api).versions

    class Obliging(Handler):
        api_key = api
        min_version = versions.first
        max_version = versions.last

        async def handle(self, context: RequestContext, request: Any) -> Any:
            return response_class(api)()

    return Obliging()


class Errors(WireObserver):
    def __init__(self) -> None:
        self.bad_frames = 0
        self.handler_errors = 0
        self.connections = 0

    def on_connection(self, change: int) -> None:
        self.connections += change

    def on_bad_frame(self) -> None:
        self.bad_frames += 1

    def on_handler_error(self, api_key: int, version: int) -> None:
        self.handler_errors += 1


def test_hostile_inputs_cost_their_connections_only(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        observer = Errors()
        handlers = [obliging(api) for api in API_NAMES if api != ApiVersionsHandler.api_key]
        async with serving(*handlers, observer=observer) as served:
            report = await Fuzz(served.host, served.port, seed=1, connections=8).run(iter(range(INPUTS)))
        assert report.dead is None, report
        assert report.sent == INPUTS
        assert report.outcomes["answered"] > 100
        assert report.outcomes["closed"] > 100
        assert observer.bad_frames > 100
        assert observer.handler_errors == 0
        assert observer.connections == 0, "connections were left behind"

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert caplog.records == []


def test_inputs_follow_from_seed_and_number() -> None:
    first, again, other = Inputs(5), Inputs(5), Inputs(6)
    inputs = [first.make(number) for number in range(300)]
    assert inputs == [again.make(number) for number in reversed(range(300))][::-1]
    assert inputs != [other.make(number) for number in range(300)]
    assert len({hostile.kind for hostile in inputs}) == 10
