"""Values of topic and broker configs: what is taken means what it says, what is not is refused with a sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.broker_config import CONSTANT_BROKER_CONFIGS, DYNAMIC_BROKER_CONFIGS, check_dynamic_broker_configs
from infra.config_value import BadValue, ConfigDef, ConfigType
from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.ports import Durability
from infra.topic_config import check_topic_configs, check_topic_name, topic_settings
from infra.topic_config_table import TOPIC_CONFIGS

_EVERY = [*TOPIC_CONFIGS.values(), *DYNAMIC_BROKER_CONFIGS.values(), *CONSTANT_BROKER_CONFIGS.values()]


def _refusal(configs: dict[str, str | None]) -> str:
    with pytest.raises(Refused) as refused:
        check_topic_configs(configs)
    assert refused.value.code is ErrorCode.INVALID_CONFIG
    return refused.value.message


@pytest.mark.parametrize("definition", _EVERY, ids=lambda one: one.name)
def test_every_default_is_taken(definition: ConfigDef) -> None:
    definition.parse(definition.default)
    assert definition.doc.endswith(".")


@given(st.sampled_from(_EVERY), st.one_of(st.text(max_size=20), st.integers().map(str), st.floats().map(str)))
def test_any_text_is_taken_or_refused_in_one_sentence(definition: ConfigDef, text: str) -> None:
    try:
        value = definition.parse(text)
    except BadValue:
        with pytest.raises(BadValue, match=r"^(must be|takes only) [^\n]+$"):
            definition.parse(text)
        return
    if isinstance(value, int | float) and not isinstance(value, bool):
        assert definition.low is None or value >= definition.low
        assert definition.high is None or value <= definition.high
        assert abs(value) < 2**63
    if definition.choices:
        assert set(value if isinstance(value, tuple) else (value,)) <= set(definition.choices)
    if definition.fixed:
        assert value == definition.parse(definition.default)


@given(st.integers(-(2**70), 2**70))
def test_whole_numbers_keep_to_their_types(number: int) -> None:
    for kind, greatest in ((ConfigType.INT, 2**31 - 1), (ConfigType.LONG, 2**63 - 1)):
        definition = ConfigDef("x", kind, "0", "X.")
        if abs(number) <= greatest:
            assert definition.parse(f" {number} ") == number
        else:
            with pytest.raises(BadValue, match=f"must be between -{greatest} and {greatest}"):
                definition.parse(str(number))


@pytest.mark.parametrize("text", ["", "1_000", "١", "0x10", "1.0", "1e3", "9" * 5000, "true", "--1"])
def test_what_is_no_whole_number(text: str) -> None:
    with pytest.raises(BadValue, match="must be"):
        TOPIC_CONFIGS["retention.ms"].parse(text)


@pytest.mark.parametrize("text", ["", "nan", "inf", "1_0", "٠.٥", ".", "e5", "0,5", "1.1", "-0.1"])
def test_what_is_no_share(text: str) -> None:
    with pytest.raises(BadValue, match="must be"):
        TOPIC_CONFIGS["min.cleanable.dirty.ratio"].parse(text)


@pytest.mark.parametrize(("text", "value"), [("0", 0.0), (".5", 0.5), ("1.", 1.0), ("5e-1", 0.5), (" 0.25 ", 0.25)])
def test_what_is_a_share(text: str, value: float) -> None:
    assert TOPIC_CONFIGS["min.cleanable.dirty.ratio"].parse(text) == value


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("preallocate", "yes", "preallocate='yes' must be true or false"),
        ("cleanup.policy", "", "must be a list of delete, compact"),
        ("cleanup.policy", "delete,squash", "must be a list of delete, compact"),
        ("message.timestamp.type", "createtime", "must be one of CreateTime, LogAppendTime"),
        ("cauce.durability", "disk", "must be one of nothing, wal, object"),
        ("cauce.value.format", "avro", "must be one of bytes, string, json"),
        ("max.message.bytes", "-1", "must be between 0 and 2147483647"),
        ("compression.type", "gzip", "takes only producer here: batches are stored as the producer sent them"),
        ("leader.replication.throttled.replicas", "*", "takes only an empty value here: the bucket replicates"),
        ("retention", "1", "unknown topic config 'retention'"),
        ("retention.ms", None, "the value of topic config retention.ms must not be null"),
    ],
)
def test_refusals_say_what_instead(name: str, text: str | None, says: str) -> None:
    assert says in _refusal({"retention.bytes": "-1", name: text})


def test_what_is_accepted_is_obeyed() -> None:
    configs = {
        "cauce.durability": "object",
        "cauce.value.format": "json",
        "cleanup.policy": "compact, delete",
        "max.message.bytes": "10",
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": "-1",
        "unclean.leader.election.enable": "TRUE",
    }
    check_topic_configs(configs)
    settings = topic_settings(configs, {}, "wal")
    assert settings.durability == "object"
    assert settings.cleanup_policy == {"compact", "delete"}
    assert settings.compacted
    assert settings.log_append_time
    assert settings.unclean_leader_election
    assert settings.value_format == "json"
    assert (settings.max_message_bytes, settings.retention_ms) == (10, -1)
    assert not topic_settings({}, {}, "wal").compacted
    assert topic_settings({}, {}, "wal").value_format == "bytes"


@pytest.mark.parametrize("topic", ["", "wal", "object"])
@pytest.mark.parametrize("cluster", ["", "wal", "object"])
@pytest.mark.parametrize("node", ["wal", "object"])
def test_a_topic_goes_before_the_cluster_before_the_node(topic: str, cluster: str, node: Durability) -> None:
    own = {"cauce.durability": topic} if topic else {}
    everywhere = {"cauce.durability": cluster} if cluster else {}
    assert topic_settings(own, everywhere, node).durability == (topic or cluster or node)


def test_synonyms_of_broker_configs_give_defaults() -> None:
    everywhere = {"log.retention.ms": "5", "message.max.bytes": "7"}
    check_dynamic_broker_configs(everywhere)
    assert topic_settings({}, everywhere, "wal").retention_ms == 5
    assert topic_settings({"retention.ms": "6"}, everywhere, "wal").retention_ms == 6
    assert topic_settings({}, everywhere, "wal").max_message_bytes == 7


def test_every_dynamic_broker_config_gives_a_topic_config_its_default() -> None:
    for name, definition in DYNAMIC_BROKER_CONFIGS.items():
        assert definition.name == name
        [topic_config] = [one for one in TOPIC_CONFIGS.values() if one.synonym == name]
        assert (topic_config.type, topic_config.default) == (definition.type, definition.default)


def test_broker_configs_that_cannot_change_at_run_time() -> None:
    with pytest.raises(Refused, match="cannot be changed while nodes run; set it where the node is started") as refused:
        check_dynamic_broker_configs({"num.partitions": "3"})
    assert refused.value.code is ErrorCode.INVALID_CONFIG
    with pytest.raises(Refused, match="must be a whole number"):
        check_dynamic_broker_configs({"log.retention.ms": "x"})


_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"


@given(st.text(max_size=260))
def test_topic_names(name: str) -> None:
    good = 0 < len(name) <= 249 and name not in (".", "..") and all(letter in _LETTERS for letter in name)
    if good:
        check_topic_name(name)
        return
    with pytest.raises(Refused) as refused:
        check_topic_name(name)
    assert refused.value.code is ErrorCode.INVALID_TOPIC_EXCEPTION


@given(st.text(_LETTERS, min_size=1, max_size=249).filter(lambda name: name not in (".", "..")))
def test_topic_names_of_the_right_letters(name: str) -> None:
    check_topic_name(name)
