"""FindCoordinator in every version: creation on first use, endpoints by listener, and what cannot be found."""

import asyncio
from typing import Any

import pytest

from cauce.api.find_coordinator import FindCoordinatorHandler
from infra.error_code import ErrorCode
from infra.errors import Unavailable
from infra.partition import Lease, PartitionId, SessionId
from infra.view.port import LiveSession
from infra.wire.codec import decode_whole, encode
from infra.wire.handler import RequestContext
from infra.wire.messages import find_coordinator as message
from ingest.coordinator.placement import partition_of_key
from tests.coordinator.cluster import OFFSETS_ID, FakeTopic


class State:
    """Two nodes; node n leads the partitions whose number modulo 2 is n."""

    def __init__(self) -> None:
        self.created: list[str] = []
        self.live = [
            LiveSession(SessionId(n, 4), {"PLAINTEXT": f"10.0.0.{n}:9092", "TLS": "[::1]:9093"}, None, frozenset())
            for n in range(2)
        ]
        self.led = True
        self.fails = False
        self.older: list[int] = []

    async def ensure(self, name: str) -> FakeTopic:
        if self.fails:
            raise Unavailable("the store is down")
        self.created.append(name)
        return FakeTopic(OFFSETS_ID, name, 16)

    def nodes(self) -> list[LiveSession]:
        return self.live

    def behind(self) -> list[int]:
        return self.older

    def leader(self, partition: PartitionId) -> Lease | None:
        return Lease(partition, SessionId(partition.partition % 2, 4), 0) if self.led else None


def ask(state: State, version: int, listener: str = "PLAINTEXT", **fields: Any) -> Any:
    request = message.FindCoordinatorRequest(**fields)
    decoded = decode_whole(message.FindCoordinatorRequest, version, encode(request, version))
    context = RequestContext(message.API_KEY, version, None, listener, "127.0.0.1", 1)
    response = asyncio.run(FindCoordinatorHandler(state, state.ensure).handle(context, decoded))
    return decode_whole(message.FindCoordinatorResponse, version, encode(response, version))


@pytest.mark.parametrize("version", range(4))
def test_one_key_is_found(version: int) -> None:
    state = State()
    found = ask(state, version, key="riders")
    node_id = partition_of_key("riders", 16) % 2
    assert (found.error_code, found.node_id, found.host, found.port) == (0, node_id, f"10.0.0.{node_id}", 9092)
    assert state.created == ["__consumer_offsets"]


@pytest.mark.parametrize("version", [4, 5, 6])
def test_several_keys_are_found(version: int) -> None:
    found = ask(State(), version, listener="TLS", coordinator_keys=["a", "b", "c"])
    assert [(one.key, one.node_id, one.host, one.port, one.error_code) for one in found.coordinators] == [
        (key, partition_of_key(key, 16) % 2, "::1", 9093, 0) for key in "abc"
    ]


def test_without_leader_or_listener_or_store_it_is_not_available() -> None:
    state = State()
    assert ask(state, 3, listener="OTHER", key="a").error_code == ErrorCode.COORDINATOR_NOT_AVAILABLE
    state.led = False
    answer = ask(state, 3, key="a")
    assert (answer.error_code, answer.node_id, answer.port) == (ErrorCode.COORDINATOR_NOT_AVAILABLE, -1, -1)
    state.fails = True
    assert ask(state, 6, coordinator_keys=["a"]).coordinators[0].error_code == ErrorCode.COORDINATOR_NOT_AVAILABLE


def test_a_node_that_registered_anew_is_not_the_leader() -> None:
    state = State()
    state.live = [LiveSession(SessionId(n, 5), {"PLAINTEXT": "h:1"}, None, frozenset()) for n in range(2)]
    assert ask(state, 3, key="a").error_code == ErrorCode.COORDINATOR_NOT_AVAILABLE


def test_a_transactional_id_is_found_in_its_own_topic() -> None:
    state = State()
    found = ask(state, 2, key="payments", key_type=1)
    assert (found.error_code, found.node_id) == (0, partition_of_key("payments", 16) % 2)
    assert state.created == ["__transaction_state"]


def test_key_types_without_coordinators_fail_at_once() -> None:
    state = State()
    found = ask(state, 6, key_type=2, coordinator_keys=["payments"]).coordinators[0]
    assert (found.error_code, found.node_id) == (ErrorCode.INVALID_REQUEST, -1)
    assert not state.created


def test_no_coordinator_of_transactions_beside_a_node_of_an_earlier_release() -> None:
    state = State()
    state.older = [1]
    found = ask(state, 3, key="rides", key_type=1)
    assert found.error_code == ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert "[1]" in found.error_message
    assert state.created == []
    assert ask(state, 3, key="riders", key_type=0).error_code == ErrorCode.NONE
    state.older = []
    assert ask(state, 3, key="rides", key_type=1).error_code == ErrorCode.NONE
