"""Where clients of AWS come from: endpoints in their order, secrets, and refusals that say what to do."""

import asyncio
import json
from typing import Any

import pytest

from infra.aws import ClientOptions, client, endpoint, s3_client, secret_value
from infra.clock import SYSTEM_CLOCK
from infra.errors import BadStart
from infra.store.open import open_store
from infra.store.probe import probe_store
from tests.servers import S3Server, closed_port

_REGION = "eu-central-1"


def _stored(text: str) -> str:
    secrets: Any = client("secretsmanager", ClientOptions(region=_REGION))
    arn: str = secrets.create_secret(Name=_name(), SecretString=text)["ARN"]
    return arn


def _name() -> str:
    return f"cauce/redis/{SYSTEM_CLOCK.token()}"


@pytest.mark.usefixtures("mocked_aws")
def test_a_secret_is_read_in_the_region_of_its_arn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    arn = _stored("redis://:word@redis:6379")
    assert f":{_REGION}:" in arn
    assert secret_value(arn) == "redis://:word@redis:6379"


@pytest.mark.usefixtures("mocked_aws")
def test_secrets_that_cannot_be_read() -> None:
    arn = _stored("x")
    with pytest.raises(BadStart, match="there is no such secret in that region: check the ARN"):
        secret_value(arn.replace("cauce/redis", "cauce/other"))
    secrets: Any = client("secretsmanager", ClientOptions(region=_REGION))
    binary = secrets.create_secret(Name=_name(), SecretBinary=b"\x00")["ARN"]
    with pytest.raises(BadStart, match="holds bytes and no text"):
        secret_value(binary)
    secrets.delete_secret(SecretId=arn)
    with pytest.raises(BadStart, match="marked for deletion"):
        secret_value(arn)


@pytest.mark.usefixtures("aws_credentials")
def test_no_answer_no_region_and_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    arn = f"arn:aws:secretsmanager:{_REGION}:123456789012:secret:redis-AbCdEf"
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(BadStart, match="the way to Secrets Manager"):
        secret_value(arn)
    with pytest.raises(BadStart, match="set AWS_REGION"):
        secret_value("redis")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(BadStart, match="Unable to locate credentials; check credentials"):
        secret_value(arn)


def test_localstack_is_asked_only_when_it_is_named(localstack: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert endpoint("s3") == endpoint("glue") == localstack.endpoint
    monkeypatch.setenv("LOCALSTACK_HOST", "localhost:port")
    with pytest.raises(BadStart, match="is not HOST or HOST:PORT"):
        endpoint("s3")
    monkeypatch.delenv("LOCALSTACK_HOST")
    assert endpoint("s3") is None


def test_every_client_finds_localstack(localstack: S3Server) -> None:
    glue: Any = client("glue", ClientOptions(region=_REGION))
    assert glue.meta.endpoint_url == localstack.endpoint
    name = f"clients-{SYSTEM_CLOCK.token()}"
    glue.create_database(DatabaseInput={"Name": name})
    assert name in [one["Name"] for one in glue.get_databases()["DatabaseList"]]
    assert json.loads(secret_value(_stored('{"password": "word"}'))) == {"password": "word"}

    async def main() -> str:
        await probe_store(store := open_store(f"s3://{localstack.bucket}/localstack?region=us-east-1"), "it")
        await store.close()
        async with await s3_client(ClientOptions(region=_REGION)) as s3:
            return str(s3.meta.endpoint_url)

    assert asyncio.run(main()) == localstack.endpoint


def test_a_given_endpoint_goes_before_localstack(localstack: S3Server) -> None:
    given = ClientOptions(endpoint="http://127.0.0.1:1", region=_REGION)
    assert client("s3", given).meta.endpoint_url == "http://127.0.0.1:1"

    async def main() -> str:
        async with await s3_client(given) as s3:
            return str(s3.meta.endpoint_url)

    assert asyncio.run(main()) == "http://127.0.0.1:1"
