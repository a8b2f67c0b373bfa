"""Configs of topics and of the cluster: set, deleted, appended to, subtracted from, and refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauce.config_admin import APPEND, BROKER, DELETE, SET, SUBTRACT, TOPIC, Change, incremented, replaced
from cauce.topic_admin import NewTopic
from infra.cluster.manifest_record import ManifestRecord, RecordSegment
from infra.config_value import ConfigDef, ConfigType
from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.partition import PartitionId
from infra.topic_config_table import TOPIC_CONFIGS
from tests.cauce.administration import Cluster, in_cluster

_ABC = {"abc": ConfigDef("abc", ConfigType.LIST, "a,b", "ABC."), "n": ConfigDef("n", ConfigType.INT, "1", "N.")}
_WORDS = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=4)


def _refused(change: Change, configs: dict[str, str] | None = None) -> ErrorCode:
    with pytest.raises(Refused) as refused:
        change(configs or {})
    return refused.value.code


def test_set_and_delete() -> None:
    change = incremented([("n", SET, "5"), ("abc", DELETE, None)], _ABC)
    assert change({"abc": "c", "other": "x"}) == {"n": "5", "other": "x"}
    assert incremented([("n", DELETE, None)], _ABC)({}) == {}


@given(_WORDS, _WORDS)
def test_append_and_subtract_are_those_of_sets_that_keep_their_order(has: list[str], given_words: list[str]) -> None:
    text = ",".join(dict.fromkeys(has))
    appended = incremented([("abc", APPEND, " , ".join(given_words))], _ABC)({"abc": text})["abc"]
    assert [word for word in appended.split(",") if word] == list(dict.fromkeys([*has, *given_words]))
    less = incremented([("abc", SUBTRACT, ",".join(given_words))], _ABC)({"abc": text})["abc"]
    assert [word for word in less.split(",") if word] == [w for w in dict.fromkeys(has) if w not in given_words]


def test_append_begins_with_the_default() -> None:
    assert incremented([("abc", APPEND, "c")], _ABC)({}) == {"abc": "a,b,c"}
    assert incremented([("abc", SUBTRACT, "a")], _ABC)({}) == {"abc": "b"}


def test_steps_that_make_no_sense() -> None:
    assert _refused(incremented([("nope", SET, "1")], _ABC)) is ErrorCode.INVALID_CONFIG
    assert _refused(incremented([("n", SET, None)], _ABC)) is ErrorCode.INVALID_REQUEST
    assert _refused(incremented([("n", APPEND, "1")], _ABC)) is ErrorCode.INVALID_CONFIG
    assert _refused(incremented([("abc", 7, "1")], _ABC)) is ErrorCode.INVALID_CONFIG
    with pytest.raises(Refused, match="stands twice"):
        incremented([("n", SET, "1"), ("n", DELETE, None)], _ABC)


def test_replacing_takes_away_what_is_not_given() -> None:
    assert replaced({"a": "1", "b": None})({"b": "2", "c": "3"}) == {"a": "1"}


def test_configs_of_a_topic() -> None:
    async def test(cluster: Cluster) -> None:
        topic = await cluster.topics.create(NewTopic("t", configs={"retention.ms": "5"}), 0)

        def now() -> dict[str, str]:
            found = cluster.state.topic_by_id(topic.topic_id)
            assert found is not None
            return dict(found.configs)

        alter = cluster.configs.alter
        step = incremented([("cleanup.policy", APPEND, "compact")], TOPIC_CONFIGS)
        await alter(TOPIC, "t", step, validate_only=True)
        assert now() == {"retention.ms": "5"}
        await alter(TOPIC, "t", step, validate_only=False)
        assert now() == {"retention.ms": "5", "cleanup.policy": "delete,compact"}
        # What is left must be right as well: nothing is no cleanup policy.
        empty = incremented([("cleanup.policy", SUBTRACT, "delete,compact")], TOPIC_CONFIGS)
        for validate_only in (True, False):
            with pytest.raises(Refused, match="must be a list of delete, compact"):
                await alter(TOPIC, "t", empty, validate_only)
        await alter(TOPIC, "t", replaced({}), validate_only=False)
        assert now() == {}
        with pytest.raises(Refused) as refused:
            await alter(TOPIC, "nope", replaced({}), validate_only=False)
        assert refused.value.code is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION

    in_cluster(test)


def test_the_value_format_is_fixed_by_the_first_record_segment() -> None:
    async def test(cluster: Cluster) -> None:
        topic = await cluster.topics.create(NewTopic("t"), 0)
        alter, partition = cluster.configs.alter, PartitionId(topic.topic_id, 2)
        wanted = incremented([("cauce.value.format", SET, "json")], TOPIC_CONFIGS)
        trimmed = await cluster.manifests.raise_log_start(partition, 5)
        await alter(TOPIC, "t", wanted, validate_only=False)
        segment = RecordSegment("records/x", 5, 9, 5, 100, 0, (), value_format="json")
        await cluster.manifests.append(partition, trimmed, ManifestRecord(5, (segment,)))
        for validate_only in (True, False):
            with pytest.raises(Refused, match="stays json"):
                await alter(TOPIC, "t", replaced({}), validate_only)
        await alter(TOPIC, "t", incremented([("retention.ms", SET, "9")], TOPIC_CONFIGS), validate_only=False)
        found = cluster.state.topic_by_id(topic.topic_id)
        assert found is not None
        assert found.configs == {"cauce.value.format": "json", "retention.ms": "9"}

    in_cluster(test)


def test_broker_configs_are_those_of_the_whole_cluster() -> None:
    async def test(cluster: Cluster) -> None:
        alter = cluster.configs.alter
        definitions = cluster.configs.definitions(BROKER)
        change = incremented([("log.retention.ms", SET, "7"), ("log.cleanup.policy", SUBTRACT, "x")], definitions)
        await alter(BROKER, "", change, validate_only=True)
        assert cluster.state.broker_configs == {}
        await alter(BROKER, "", change, validate_only=False)
        assert cluster.state.broker_configs == {"log.retention.ms": "7", "log.cleanup.policy": "delete"}
        for name, code, says in (
            ("1", ErrorCode.INVALID_CONFIG, "alter the broker configs of the whole cluster"),
            ("2", ErrorCode.INVALID_REQUEST, "'2' is not the id of a node that is there"),
            ("²", ErrorCode.INVALID_REQUEST, "is not the id of a node that is there"),
        ):
            with pytest.raises(Refused, match=says) as refused:
                await alter(BROKER, name, change, validate_only=False)
            assert refused.value.code is code
        with pytest.raises(Refused, match="cannot be changed while nodes run"):
            await alter(BROKER, "", replaced({"num.partitions": "4"}), validate_only=False)
        with pytest.raises(Refused, match="only topics"):
            await alter(8, "1", replaced({}), validate_only=False)

    in_cluster(test)
