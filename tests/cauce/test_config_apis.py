"""DescribeConfigs, AlterConfigs, IncrementalAlterConfigs and ListConfigResources, asked in their own words."""

from collections.abc import Iterator
from typing import Any

import pytest

from infra.config_value import ConfigType
from infra.error_code import ErrorCode
from infra.settings_table import SETTINGS
from infra.topic_config_table import TOPIC_CONFIGS
from infra.wire.messages import alter_configs, describe_configs, incremental_alter_configs, list_config_resources
from tests.cauce.wire import BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC, ask, make_topic

_OF_TOPIC, _OF_CLUSTER, _STATIC, _DEFAULT = 1, 3, 4, 5  # config sources
_SET, _DELETE, _APPEND = 0, 1, 2


def _describe(
    bootstrap: str, kind: int, name: str, keys: list[str] | None = None, version: int = 4, everything: bool = True
) -> Any:
    resource = describe_configs.DescribeConfigsResource(resource_type=kind, resource_name=name, configuration_keys=keys)
    request = describe_configs.DescribeConfigsRequest(
        resources=[resource], include_synonyms=everything, include_documentation=everything
    )
    return ask(bootstrap, request, version).results[0]


def _rows(bootstrap: str, kind: int, name: str) -> dict[str, Any]:
    result = _describe(bootstrap, kind, name)
    assert result.error_code == 0, result.error_message
    return {row.name: row for row in result.configs}


def _increment(bootstrap: str, kind: int, name: str, *steps: tuple[str, int, str | None], draft: bool = False) -> Any:
    message = incremental_alter_configs
    configs = [message.AlterableConfig(name=key, config_operation=step, value=text) for key, step, text in steps]
    resource = message.AlterConfigsResource(resource_type=kind, resource_name=name, configs=configs)
    request = message.IncrementalAlterConfigsRequest(resources=[resource], validate_only=draft)
    return ask(bootstrap, request).responses[0]


def _replace(bootstrap: str, kind: int, name: str, configs: dict[str, str | None], version: int = 2) -> Any:
    rows = [alter_configs.AlterableConfig(name=key, value=text) for key, text in configs.items()]
    resource = alter_configs.AlterConfigsResource(resource_type=kind, resource_name=name, configs=rows)
    return ask(bootstrap, alter_configs.AlterConfigsRequest(resources=[resource]), version).responses[0]


@pytest.fixture
def cluster_configs(cauce_bootstrap: str) -> Iterator[None]:
    """The broker configs of the cluster are put back after the test."""
    yield
    assert _replace(cauce_bootstrap, BROKER, "", {}).error_code == 0


def test_every_config_of_a_topic_with_synonyms_and_documentation(cauce_bootstrap: str) -> None:
    make_topic(cauce_bootstrap, "api-described", retention_ms="5")
    rows = _rows(cauce_bootstrap, TOPIC, "api-described")
    assert list(rows) == sorted(TOPIC_CONFIGS)
    own = rows["retention.ms"]
    assert (own.value, own.config_source, own.config_type) == ("5", _OF_TOPIC, ConfigType.LONG)
    assert (own.read_only, own.is_sensitive) == (False, False)
    assert [(one.name, one.value, one.source) for one in own.synonyms] == [
        ("retention.ms", "5", _OF_TOPIC),
        ("log.retention.ms", "604800000", _DEFAULT),
    ]
    for name, row in rows.items():
        assert row.documentation == TOPIC_CONFIGS[name].doc
        assert row.synonyms[0].value == row.value


@pytest.mark.parametrize("version", range(1, 5))
def test_describing_in_every_version(cauce_bootstrap: str, version: int) -> None:
    make_topic(cauce_bootstrap, f"api-described-{version}")
    keys = ["retention.ms", "no.such.config"]
    [row] = _describe(cauce_bootstrap, TOPIC, f"api-described-{version}", keys, version, everything=False).configs
    assert (row.name, row.config_source, row.synonyms) == ("retention.ms", _DEFAULT, [])
    assert not row.documentation
    assert row.config_type == (ConfigType.LONG if version >= 3 else 0)
    assert _describe(cauce_bootstrap, TOPIC, f"api-described-{version}", [], version).configs == []


@pytest.mark.parametrize(
    ("kind", "name", "code"),
    [
        (TOPIC, "api-none", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (TOPIC, "api none", ErrorCode.INVALID_TOPIC_EXCEPTION),
        (BROKER, "77", ErrorCode.INVALID_REQUEST),
        (BROKER, "one", ErrorCode.INVALID_REQUEST),
        (BROKER_LOGGER, "1", ErrorCode.INVALID_REQUEST),
        (GROUP, "g", ErrorCode.INVALID_REQUEST),
    ],
)
def test_what_has_no_configs(cauce_bootstrap: str, kind: int, name: str, code: ErrorCode) -> None:
    described = _describe(cauce_bootstrap, kind, name)
    assert (described.error_code, described.resource_type, described.resource_name) == (code, kind, name)
    assert described.error_message
    assert described.configs == []
    if code is not ErrorCode.INVALID_TOPIC_EXCEPTION:
        assert _replace(cauce_bootstrap, kind, name, {}).error_code == code


def test_replacing_the_configs_of_a_topic(cauce_bootstrap: str) -> None:
    make_topic(cauce_bootstrap, "api-replaced", retention_ms="5")
    for version in range(3):
        wanted: dict[str, str | None] = {"retention.bytes": str(version), "cleanup.policy": None}
        assert _replace(cauce_bootstrap, TOPIC, "api-replaced", wanted, version).error_code == 0
        rows = _rows(cauce_bootstrap, TOPIC, "api-replaced")
        assert {name: row.value for name, row in rows.items() if row.config_source == _OF_TOPIC} == {
            "retention.bytes": str(version)
        }
    refused = _replace(cauce_bootstrap, TOPIC, "api-replaced", {"retention.ms": "soon"})
    assert refused.error_code == ErrorCode.INVALID_CONFIG
    assert refused.error_message == "retention.ms='soon' must be a whole number"


def test_single_steps_on_a_topic(cauce_bootstrap: str) -> None:
    make_topic(cauce_bootstrap, "api-steps", retention_ms="5")
    steps = [("cleanup.policy", _APPEND, "compact"), ("retention.ms", _DELETE, None), ("segment.bytes", _SET, "1000")]
    assert _increment(cauce_bootstrap, TOPIC, "api-steps", *steps, draft=True).error_code == 0
    assert _rows(cauce_bootstrap, TOPIC, "api-steps")["retention.ms"].value == "5"
    assert _increment(cauce_bootstrap, TOPIC, "api-steps", *steps).error_code == 0
    rows = _rows(cauce_bootstrap, TOPIC, "api-steps")
    assert {name: row.value for name, row in rows.items() if row.config_source == _OF_TOPIC} == {
        "cleanup.policy": "delete,compact",
        "segment.bytes": "1000",
    }
    twice = _increment(cauce_bootstrap, TOPIC, "api-steps", ("segment.ms", _SET, "1"), ("segment.ms", _SET, "2"))
    assert twice.error_code == ErrorCode.INVALID_REQUEST


def test_broker_configs_of_the_cluster(cauce_bootstrap: str, cluster_configs: None) -> None:
    make_topic(cauce_bootstrap, "api-falls-back", segment_bytes="1000")
    assert _rows(cauce_bootstrap, BROKER, "") == {}
    done = _increment(cauce_bootstrap, BROKER, "", ("log.retention.ms", _SET, "77"), ("log.segment.bytes", _SET, "99"))
    assert done.error_code == 0, done.error_message
    shown = _rows(cauce_bootstrap, BROKER, "")
    assert {name: (row.value, row.config_source) for name, row in shown.items()} == {
        "log.retention.ms": ("77", _OF_CLUSTER),
        "log.segment.bytes": ("99", _OF_CLUSTER),
    }
    of_node = _rows(cauce_bootstrap, BROKER, "1")["log.retention.ms"]
    assert (of_node.value, of_node.config_source, of_node.read_only) == ("77", _OF_CLUSTER, False)
    assert [(one.value, one.source) for one in of_node.synonyms] == [("77", _OF_CLUSTER), ("604800000", _DEFAULT)]
    of_topic = _rows(cauce_bootstrap, TOPIC, "api-falls-back")
    assert (of_topic["retention.ms"].value, of_topic["retention.ms"].config_source) == ("77", _OF_CLUSTER)
    assert (of_topic["segment.bytes"].value, of_topic["segment.bytes"].config_source) == ("1000", _OF_TOPIC)
    assert _increment(cauce_bootstrap, BROKER, "", ("log.retention.ms", _DELETE, None)).error_code == 0
    assert list(_rows(cauce_bootstrap, BROKER, "")) == ["log.segment.bytes"]
    assert _rows(cauce_bootstrap, TOPIC, "api-falls-back")["retention.ms"].value == "604800000"


def test_broker_configs_that_cannot_be_altered(cauce_bootstrap: str) -> None:
    of_one = _increment(cauce_bootstrap, BROKER, "1", ("log.retention.ms", _SET, "5"))
    assert of_one.error_code == ErrorCode.INVALID_CONFIG
    assert "alter the broker configs of the whole cluster" in of_one.error_message
    fixed = _replace(cauce_bootstrap, BROKER, "", {"num.partitions": "5"})
    assert fixed.error_code == ErrorCode.INVALID_CONFIG
    assert "set it where the node is started" in fixed.error_message
    unknown = _increment(cauce_bootstrap, BROKER, "", ("nope", _SET, "5"))
    assert (unknown.error_code, unknown.error_message) == (ErrorCode.INVALID_CONFIG, "unknown config 'nope'")


def test_the_settings_of_a_node_are_shown_and_read_only(cauce_bootstrap: str) -> None:
    rows = _rows(cauce_bootstrap, BROKER, "1")
    assert set(SETTINGS) <= set(rows)
    delay = rows["group.initial.rebalance.delay.ms"]
    assert (delay.value, delay.config_source, delay.read_only) == ("0", _STATIC, True)
    assert delay.documentation == SETTINGS["group.initial.rebalance.delay.ms"].doc
    assert (rows["num.partitions"].config_source, rows["default.replication.factor"].read_only) == (_DEFAULT, True)


def test_what_has_configs(cauce_bootstrap: str) -> None:
    make_topic(cauce_bootstrap, "api-listed")

    def listed(*kinds: int) -> set[tuple[int, str]]:
        request = list_config_resources.ListConfigResourcesRequest(resource_types=list(kinds))
        response = ask(cauce_bootstrap, request, 1)
        assert response.error_code == 0
        return {(row.resource_type, row.resource_name) for row in response.config_resources}

    assert {(TOPIC, "api-listed"), (BROKER, "1")} <= listed()
    assert listed(BROKER) == {(BROKER, "1")}
    assert {kind for kind, _ in listed(TOPIC)} == {TOPIC}
    assert listed(CLIENT_METRICS, GROUP, BROKER_LOGGER) == set()
    unknown = ask(cauce_bootstrap, list_config_resources.ListConfigResourcesRequest(resource_types=[99]), 1)
    assert unknown.error_code == ErrorCode.UNSUPPORTED_VERSION
    assert ask(cauce_bootstrap, list_config_resources.ListConfigResourcesRequest(), 0).config_resources == []
