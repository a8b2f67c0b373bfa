"""What a task on ECS finds out about itself, and the settings that come of it."""

from pathlib import Path
from typing import Any

import pytest

from infra.aws import ClientOptions, client
from infra.aws_ecs import VARIABLE, EcsTask, ecs_settings, read_task, zone_id
from infra.errors import BadStart
from infra.settings import load_settings
from tests.aws.ecs_metadata import REGION, ZONE, container, metadata_server, task

_GIVEN = {"listeners": "PLAINTEXT://0.0.0.0:9092,SASL_SSL://[::]:9094,LOCAL://127.0.0.1:9095"}


def test_outside_of_ecs_nothing_is_found() -> None:
    assert read_task({}) is None
    assert ecs_settings(_GIVEN, {}) == {}


def test_a_task_knows_its_address_and_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with metadata_server({"": container("10.0.2.106"), "/task": task()}) as url:
        assert read_task({VARIABLE: url}) == EcsTask("10.0.2.106", ZONE, REGION)
    with metadata_server({"": container("172.17.0.2", "bridge"), "/task": task(None)}) as url:
        assert read_task({VARIABLE: url}) == EcsTask("", "", REGION)


def test_a_server_that_tells_nonsense() -> None:
    for answers in ({}, {"": container("10.0.0.300"), "/task": task()}, {"": [], "/task": task()}):
        with metadata_server(answers) as url, pytest.raises(BadStart, match="cannot be read"):
            read_task({VARIABLE: url})
    with pytest.raises(BadStart, match="it is no http"):
        read_task({VARIABLE: "file:///etc/passwd"})


@pytest.mark.usefixtures("mocked_aws")
def test_zones_are_told_by_their_ids() -> None:
    ec2: Any = client("ec2", ClientOptions(region=REGION))
    ids = {row["ZoneName"]: row["ZoneId"] for row in ec2.describe_availability_zones()["AvailabilityZones"]}
    assert zone_id(EcsTask("", ZONE, REGION)) == ids[ZONE] != ZONE
    assert zone_id(EcsTask("", "", REGION)) == ""


@pytest.mark.usefixtures("mocked_aws")
def test_a_zone_that_ec2_does_not_tell_keeps_its_name(caplog: pytest.LogCaptureFixture) -> None:
    assert zone_id(EcsTask("", "us-east-1q", REGION)) == "us-east-1q"
    assert "ec2:DescribeAvailabilityZones" in caplog.text


@pytest.mark.usefixtures("mocked_aws")
def test_only_what_was_not_given_is_found() -> None:
    with metadata_server({"": container("10.0.2.106"), "/task": task()}) as url:
        found = ecs_settings(_GIVEN, {VARIABLE: url})
        assert found.pop("broker.rack").startswith("use1-az")
        assert found == {"advertised.listeners": "PLAINTEXT://10.0.2.106:9092,SASL_SSL://10.0.2.106:9094"}
        given = _GIVEN | {"advertised.listeners": "SASL_SSL://node.example.com:9094", "broker.rack": "here"}
        told = "SASL_SSL://node.example.com:9094,PLAINTEXT://10.0.2.106:9092"
        assert ecs_settings(given, {VARIABLE: url}) == {"advertised.listeners": told}
    given["advertised.listeners"] += ",PLAINTEXT://other:9092"
    assert ecs_settings(given, {VARIABLE: url}) == {}, "nothing is asked when nothing is missing"


def test_settings_say_where_they_are_from(tmp_path: Path) -> None:
    def found(given: object) -> dict[str, str]:
        return {"broker.rack": "use1-az4", "advertised.listeners": "PLAINTEXT://10.0.0.1:9092"}

    settings = load_settings({"listeners": "0.0.0.0:9092"}, None, {}, found)
    assert settings["broker.rack"] == settings.texts["broker.rack"] == "use1-az4"
    assert settings.origin == {
        "listeners": "flag",
        "broker.rack": "where it runs",
        "advertised.listeners": "where it runs",
    }
    with pytest.raises(BadStart, match="has no address that clients could be told"):
        load_settings({"listeners": "0.0.0.0:9092"}, None, {}, lambda given: {})
    with pytest.raises(BadStart, match="listeners='nonsense' from a flag"):
        load_settings({"listeners": "nonsense"}, None, {}, lambda given: ecs_settings(given, {VARIABLE: "http://x"}))
