"""Where secrets stand: in a setting itself, a file, a variable."""

from pathlib import Path

import boto3
import pytest

from infra.errors import BadStart
from infra.security.secrets import resolve_secret
from infra.settings import load_settings


def test_a_secret_by_itself_in_a_file_and_in_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret"
    file.write_text("from file\n")
    monkeypatch.setenv("A_SECRET", "from variable")
    assert resolve_secret("plain") == "plain"
    assert resolve_secret(f"file:{file}") == "from file"
    assert resolve_secret("env:A_SECRET") == "from variable"


def test_what_is_not_there_is_named_and_nothing_else_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadStart, match=r"ssl\.key\.password from a flag: the file .*none.* cannot be read"):
        load_settings({"ssl.key.password": f"file:{tmp_path / 'none'}"}, None, {})
    with pytest.raises(BadStart, match="no variable NO_SUCH"):
        load_settings({"cauce.redis": "env:NO_SUCH"}, None, {})


def test_settings_read_secrets_and_do_not_show_them(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("hunter2")
    listener = {"listeners": "SSL://127.0.0.1:0", "listener.name.ssl.ssl.key.password": f"file:{file}"}
    settings = load_settings(listener, None, {})
    assert settings.of_listener("SSL", "ssl.key.password") == "hunter2"
    assert "hunter2" not in repr(settings)
    assert settings.texts["listener.name.ssl.ssl.key.password"] == "[hidden]"


def test_a_secret_in_secrets_manager_and_one_value_of_it(mocked_aws: None) -> None:
    client = boto3.client("secretsmanager", region_name="eu-west-1")
    arn = client.create_secret(Name="nodes", SecretString='{"password": "from aws"}')["ARN"]
    assert resolve_secret(f"aws-secretsmanager:{arn}") == '{"password": "from aws"}'
    assert resolve_secret(f"aws-secretsmanager:{arn}#password") == "from aws"
    with pytest.raises(BadStart, match="not a JSON object with a value 'other'") as caught:
        resolve_secret(f"aws-secretsmanager:{arn}#other")
    assert "from aws" not in str(caught.value)
