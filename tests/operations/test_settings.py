"""Settings: where they come from, and what is said about wrong ones."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from infra.config_value import ConfigType
from infra.errors import BadStart
from infra.settings import Settings, load_settings
from infra.settings_sources import variable
from infra.settings_table import SETTINGS, settings_markdown


def _load(flags: Mapping[str, str] | None = None) -> Settings:
    return load_settings(flags or {}, None, {})


def test_the_committed_page_is_what_the_code_makes() -> None:
    page = Path(__file__).parents[2] / "docs" / "settings.md"
    assert page.read_text(encoding="utf-8") == settings_markdown(), (
        "run: python -m infra.settings_table > docs/settings.md"
    )


def test_every_default_parses_and_every_setting_has_a_variable_of_its_own() -> None:
    settings = _load()
    assert set(settings.values) == set(SETTINGS)
    assert len({variable(name) for name in SETTINGS}) == len(SETTINGS)
    assert not settings.origin


def test_a_node_with_no_settings() -> None:
    settings = _load()
    assert settings.data == Path("cauce-data").absolute()
    assert settings.bucket == (settings.data / "bucket").as_uri()
    assert [str(listener) for listener in settings.listeners] == ["PLAINTEXT://127.0.0.1:9092"]
    assert settings.durability == "wal"
    assert (settings["cauce.session.timeout.ms"], settings["num.partitions"]) == (6000, 1)
    assert settings["offsets.topic.num.partitions"] == 16
    assert (settings.flush_interval_ms("object"), settings.flush_bytes("object")) == (250, 8 << 20)
    assert (settings.flush_interval_ms("wal"), settings.flush_bytes("wal")) == (5000, 64 << 20)
    assert settings.wire_limits.max_connections_per_ip == 0


def test_durability_follows_the_bucket_unless_said() -> None:
    remote = {"cauce.bucket": "s3://name"}
    assert _load(remote).durability == "object"
    assert _load({**remote, "cauce.durability": "wal"}).durability == "wal"
    assert _load({"cauce.durability": "object"}).durability == "object"


def test_flags_go_before_the_environment_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "cauce.toml"
    file.write_text(
        '"num.partitions" = 2\n"broker.rack" = "file"\n"auto.create.topics.enable" = false\n'
        'listeners = ["SSL://127.0.0.1:1", "PLAINTEXT://127.0.0.1:2"]\n[cauce.log]\nlevel = "debug"\n'
    )
    environment = {"CAUCE_NUM_PARTITIONS": "3", "CAUCE_BROKER_RACK": "environment", "PATH": "/bin"}
    settings = load_settings({"num.partitions": "4"}, file, environment)
    assert settings["num.partitions"] == 4
    assert settings["broker.rack"] == "environment"
    assert settings["cauce.log.level"] == "debug"
    assert settings["auto.create.topics.enable"] is False
    assert [listener.name for listener in settings.listeners] == ["SSL", "PLAINTEXT"]
    assert settings.origin["num.partitions"] == "flag"
    assert settings.origin["broker.rack"] == "environment"
    assert settings.origin["cauce.log.level"] == f"file {file}"
    assert settings.texts["num.partitions"] == "4"


@pytest.mark.parametrize(
    ("flags", "environment", "says"),
    [
        ({"num.partitons": "1"}, {}, r"no setting 'num.partitons' \(from a flag\); did you mean num.partitions"),
        ({}, {"CAUCE_BUKET": "x"}, r"no setting 'CAUCE_BUKET' \(from the environment\); did you mean CAUCE_BUCKET"),
        ({"num.partitions": "many"}, {}, "num.partitions='many' from a flag must be a whole number"),
        ({}, {"CAUCE_NUM_PARTITIONS": "0"}, "num.partitions='0' from the environment must be between 1 and"),
        ({"cauce.durability": "disk"}, {}, "must be one of .*wal, object"),
        ({"cauce.roles": "ingest,writer"}, {}, "must be a list of ingest, reader, compactor"),
        ({"listeners": "9092"}, {}, "write NAME://HOST:PORT, for example PLAINTEXT://"),
        ({"listeners": "127.0.0.1:70000"}, {}, "write NAME://HOST:PORT"),
        ({"listeners": "A://127.0.0.1:1,A://127.0.0.1:2"}, {}, "names one listener twice"),
        ({"listeners": "0.0.0.0:9092"}, {}, "set advertised.listeners=PLAINTEXT://HOST:9092"),
        ({"advertised.listeners": "OUT://h:1"}, {}, "advertised.listeners names OUT, which listeners does not"),
        ({"cauce.http": "9644"}, {}, "cauce.http='9644' from a flag is not HOST:PORT, for example 127.0.0.1:9644"),
    ],
)
def test_wrong_settings_say_what_where_and_what_instead(
    flags: Mapping[str, str], environment: Mapping[str, str], says: str
) -> None:
    with pytest.raises(BadStart, match=says):
        load_settings(flags, None, environment)


def test_wrong_files(tmp_path: Path) -> None:
    with pytest.raises(BadStart, match="cannot be read: No such file"):
        load_settings({}, tmp_path / "none.toml", {})
    file = tmp_path / "bad.toml"
    file.write_text("num.partitions = ")
    with pytest.raises(BadStart, match=r"bad\.toml is not TOML"):
        load_settings({}, file, {})
    file.write_text("[num]\npartitons = 1\n")
    with pytest.raises(BadStart, match=r"no setting 'num.partitons' \(from the file .*bad\.toml\)"):
        load_settings({}, file, {})


def test_what_kubernetes_puts_beside_a_service_is_no_setting() -> None:
    services = {
        "CAUCE_SERVICE_HOST": "10.0.0.1",
        "CAUCE_SERVICE_PORT": "9092",
        "CAUCE_SERVICE_PORT_KAFKA": "9092",
        "CAUCE_PORT": "tcp://10.0.0.1:9092",
        "CAUCE_PORT_9092_TCP": "tcp://10.0.0.1:9092",
        "CAUCE_PORT_9092_TCP_ADDR": "10.0.0.1",
        "CAUCE_HEADLESS_SERVICE_HOST": "10.0.0.2",
        "CAUCE_HEADLESS_PORT_9092_TCP_PROTO": "tcp",
    }
    assert not load_settings({}, None, services).origin
    with pytest.raises(BadStart, match="CAUCE_HTTP_PORT"):
        load_settings({}, None, {"CAUCE_HTTP_PORT": "9644"})


def test_secrets_are_used_and_not_shown() -> None:
    url = "redis://:hunter2@127.0.0.1:6379"
    settings = _load({"cauce.redis": url})
    assert settings["cauce.redis"] == url
    assert "hunter2" not in repr(settings)
    assert _load().texts["cauce.redis"] == ""
    assert SETTINGS["cauce.redis"].type is ConfigType.PASSWORD


def test_listeners_with_ipv6() -> None:
    settings = _load({"listeners": "PLAINTEXT://[::1]:9092"})
    assert settings.listeners[0].host == "::1"
