"""Every case with every client from PyPI, against one node."""

import importlib.metadata
from collections.abc import Iterator

import pytest

from cauce.testing import CauceProcess
from tests.wire.aiokafka_client import AiokafkaClient
from tests.wire.cases import CASES
from tests.wire.client import Client, LeftOut
from tests.wire.compatibility import FAIL, LEFT_OUT, PASS, Outcomes
from tests.wire.confluent_client import ConfluentClient
from tests.wire.kafka_python_client import KafkaPythonClient

_CLIENTS: list[type[Client]] = [ConfluentClient, AiokafkaClient, KafkaPythonClient]


@pytest.fixture(scope="module", params=_CLIENTS, ids=lambda client: client.name)
def client(request: pytest.FixtureRequest, cauce_node: CauceProcess, outcomes: Outcomes) -> Iterator[Client]:
    kind: type[Client] = request.param
    outcomes.client(kind.name, importlib.metadata.version(kind.name))
    client = kind(cauce_node.bootstrap)
    yield client
    client.close()
    assert cauce_node.running, f"the node ended:\n{cauce_node.output}"


@pytest.mark.parametrize("case", CASES)
def test_case(client: Client, case: str, outcomes: Outcomes) -> None:
    outcomes.add(client.name, case, FAIL)
    try:
        CASES[case](client, f"{case.replace('_', '-')}.{client.name}")
    except LeftOut as reason:
        outcomes.add(client.name, case, LEFT_OUT, str(reason))
        return
    outcomes.add(client.name, case, PASS)
