"""Applies the minimal example to ministack, an emulator of AWS, and finds with boto3 what the modules describe.

What the emulator does not keep is listed below and looked for in the plan's JSON instead.
"""

import contextlib
import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.servers import free_ports
from tests.terraform.hcl import ROOT
from tests.terraform.policies import ROLES, granted
from tests.terraform.tools import Terraform, copy_of, scratch, venv_program

_BUCKET, _NAME, _IMAGE, _REGION = "cauce-emulated", "cauce", "example.com/cauce:0.1.0", "eu-west-1"
_START_SECONDS = 120.0

# Resource type → arguments that ministack forgets or gives back otherwise. A second plan may differ in these alone.
LACKS: Mapping[str, set[str]] = {
    "aws_cloudwatch_metric_alarm": {
        "actions_enabled",
        "alarm_description",
        "dimensions",
        "period",
        "statistic",
        "treat_missing_data",
    },
    "aws_ecs_service": {"availability_zone_rebalancing"},
    "aws_elasticache_parameter_group": {"parameter"},
    "aws_elasticache_replication_group": {"auto_minor_version_upgrade"},
    "aws_vpc_security_group_egress_rule": {"referenced_security_group_id"},
    "aws_vpc_security_group_ingress_rule": {"referenced_security_group_id"},
}

# What must stand in the first plan, for it cannot be found in the emulator.
_PLANNED: Mapping[str, Mapping[str, object]] = {
    "aws_cloudwatch_metric_alarm": {"actions_enabled": True, "period": 60},
    "aws_elasticache_parameter_group": {"parameter": [{"name": "maxmemory-policy", "value": "noeviction"}]},
    "aws_elasticache_replication_group": {"auto_minor_version_upgrade": "true"},
    "aws_vpc_security_group_egress_rule": {"ip_protocol": "tcp"},
    "aws_vpc_security_group_ingress_rule": {"ip_protocol": "tcp", "cidr_ipv6": None},
}

_OVERRIDE = """
provider "aws" {
  region                      = "%s"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
  s3_use_path_style           = true
}
"""


def apply_and_look(terraform: Terraform) -> str:
    """Apply, look, and say what was found. Raises `AssertionError`."""
    with scratch() as name, ministack() as endpoint:
        place = copy_of(ROOT, Path(name)) / "examples" / "minimal"
        (place / "emulator_override.tf").write_text(_OVERRIDE % _REGION, encoding="utf-8")
        variables = {"bucket_name": _BUCKET, "image": _IMAGE}
        (place / "terraform.tfvars.json").write_text(json.dumps(variables), encoding="utf-8")
        environment = {"AWS_ENDPOINT_URL": endpoint}
        terraform.init(place)
        terraform.run(place, "plan", "-input=false", "-no-color", "-out=plan", environment=environment)
        plan = json.loads(terraform.run(place, "show", "-json", "plan"))
        terraform.run(place, "apply", "-input=false", "-no-color", "plan", environment=environment)
        outputs = json.loads(terraform.run(place, "output", "-json"))
        looked = Look(endpoint)
        looked.bucket()
        looked.policies({role: json.loads(text) for role, text in outputs["task_policies"]["value"].items()})
        looked.tasks()
        looked.redis()
        looked.names()
        asserted = planned(plan)
        terraform.run(place, "plan", "-input=false", "-no-color", "-out=again", environment=environment)
        kept(json.loads(terraform.run(place, "show", "-json", "again")))
        assert outputs["bootstrap"]["value"] == "bootstrap.cauce.internal:9092"
        resources = [row for row in plan["resource_changes"] if row["mode"] == "managed"]
    return f"{len(resources)} resources applied, {asserted} arguments that the emulator lacks found in the plan"


def planned(plan: Mapping[str, Any]) -> int:
    """Look for what the emulator lacks in a plan; how many arguments were found as they must be."""
    found = 0
    for row in plan["resource_changes"]:
        for argument, expected in _PLANNED.get(row["type"], {}).items():
            value = row["change"]["after"].get(argument)
            assert value == expected, f"{row['address']}: {argument} is {value!r} in the plan, not {expected!r}"
            found += 1
    assert found
    return found


def kept(again: Mapping[str, Any]) -> None:
    """Look that nothing but what the emulator lacks would be changed by a second apply."""
    for row in again["resource_changes"]:
        before, after = row["change"]["before"] or {}, row["change"]["after"] or {}
        differing = {name for name in after if before.get(name) != after[name]}
        if row["mode"] == "managed" and row["change"]["actions"] != ["no-op"]:
            assert row["change"]["actions"] == ["update"], f"{row['address']}: {row['change']['actions']}"
            assert differing <= LACKS.get(row["type"], set()), f"{row['address']}: {differing} would change again"


class Look:
    """The emulator's resources, seen with boto3."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def bucket(self) -> None:
        """Encryption, privacy, policy, lifecycle."""
        s3 = self._client("s3")
        rules = s3.get_bucket_encryption(Bucket=_BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
        assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
        private = s3.get_public_access_block(Bucket=_BUCKET)["PublicAccessBlockConfiguration"]
        assert all(private.values()), private
        policy = json.loads(s3.get_bucket_policy(Bucket=_BUCKET)["Policy"])
        conditions = {statement["Sid"]: statement["Condition"] for statement in policy["Statement"]}
        assert conditions["TlsOnly"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert conditions["WriteOnce"] == {"Null": {"s3:if-none-match": "true"}}
        rules = s3.get_bucket_lifecycle_configuration(Bucket=_BUCKET)["Rules"]
        assert rules[0]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
        endpoints = self._client("ec2").describe_vpc_endpoints()["VpcEndpoints"]
        assert [one["ServiceName"] for one in endpoints if one["VpcEndpointType"] == "Gateway"] == [
            f"com.amazonaws.{_REGION}.s3"
        ]

    def policies(self, told: Mapping[str, Any]) -> None:
        """Roles have the policies of the files, and ECS alone takes them on."""
        iam = self._client("iam")
        for role in ROLES:
            policy = iam.get_role_policy(RoleName=f"{_NAME}-{role}", PolicyName="calls")["PolicyDocument"]
            assert policy == told[role]
            actions = {action for statement in policy["Statement"] for action in _list(statement["Action"])}
            assert actions == granted(role)
            trust = iam.get_role(RoleName=f"{_NAME}-{role}")["Role"]["AssumeRolePolicyDocument"]
            assert [one["Principal"] for one in trust["Statement"]] == [{"Service": "ecs-tasks.amazonaws.com"}]

    def tasks(self) -> None:
        """Services and what their containers are told."""
        ecs = self._client("ecs")
        services = ecs.describe_services(cluster=_NAME, services=["ingest-0", "compactor"])["services"]
        assert {one["serviceName"]: one["desiredCount"] for one in services} == {"ingest-0": 1, "compactor": 1}
        [ingest] = [one for one in services if one["serviceName"] == "ingest-0"]
        deployment = ingest["deploymentConfiguration"]
        assert (deployment["minimumHealthyPercent"], deployment["maximumPercent"]) == (0, 100)
        task = ecs.describe_task_definition(taskDefinition=ingest["taskDefinition"])["taskDefinition"]
        [node] = [one for one in task["containerDefinitions"] if one["name"] == "cauce"]
        told = {one["name"]: one["value"] for one in node["environment"]}
        assert told["CAUCE_ROLES"] == "ingest"
        assert told["CAUCE_BUCKET"] == f"s3://{_BUCKET}?region={_REGION}"
        assert told["CAUCE_ADVERTISED_LISTENERS"] == "PLAINTEXT://ingest-0.cauce.internal:9092"
        assert told["CAUCE_BROKER_RACK"] == "eu-west-1a"
        assert [one["name"] for one in node["secrets"]] == ["CAUCE_REDIS"]
        assert node["readonlyRootFilesystem"] is True
        assert node["stopTimeout"] == 120
        assert settings_are_known(told)

    def redis(self) -> None:
        """TLS, encryption, and a URL in the secret."""
        [group] = self._client("elasticache").describe_replication_groups(ReplicationGroupId=_NAME)["ReplicationGroups"]
        assert group["TransitEncryptionEnabled"] is True
        assert group["AtRestEncryptionEnabled"] is True
        url = self._client("secretsmanager").get_secret_value(SecretId=f"{_NAME}/redis-url")["SecretString"]
        assert url.startswith("rediss://:")

    def names(self) -> None:
        """Cloud Map has services for the slot, the compactors and the bootstrap name; logs have their groups."""
        services = self._client("servicediscovery").list_services()["Services"]
        assert {one["Name"] for one in services} == {"ingest-0", "compactor", "bootstrap"}
        groups = self._client("logs").describe_log_groups(logGroupNamePrefix=f"/cauce/{_NAME}/")["logGroups"]
        assert {one["logGroupName"] for one in groups} == {f"/cauce/{_NAME}/{role}" for role in ROLES}

    def _client(self, service: str) -> Any:
        import boto3

        return boto3.client(
            service,
            endpoint_url=self._endpoint,
            region_name=_REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )


def settings_are_known(told: Mapping[str, str]) -> bool:
    """Whether a node takes these environment variables. Raises `BadStart` with what it does not take."""
    from infra.settings import load_settings

    load_settings({}, environment=told)
    return True


@contextlib.contextmanager
def ministack() -> Iterator[str]:
    """A running emulator on the loopback address; its URL."""
    [port] = free_ports(1)
    program = venv_program("ministack", "ministack")
    environment = {**os.environ, "GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1"}
    process = subprocess.Popen(
        [program], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        endpoint = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(endpoint):
            assert process.poll() is None, "ministack ended"
            assert time.monotonic() < deadline, "ministack does not answer"
            time.sleep(0.2)
        yield endpoint
    finally:
        process.kill()
        process.wait()


def _answers(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=2):
            return True
    except OSError:
        return False


def _list(value: str | Sequence[str]) -> Sequence[str]:
    return [value] if isinstance(value, str) else value
