"""What tasks may call is what the code calls: nothing is missing, and nothing else is granted."""

import pytest

from tests.terraform.hcl import ROOT
from tests.terraform.policies import (
    ROLES,
    allows,
    called,
    called_through_pyiceberg,
    gives_every_table_its_location,
    granted,
    statements,
    words_of,
)

_IAM = (ROOT / "modules" / "service" / "iam.tf").read_text(encoding="utf-8")

# Granted beside the files, each only where the variable that asks for it is set.
_OPTIONAL = {"secretsmanager:GetSecretValue"}
_FREE = {"sts:GetCallerIdentity"}  # whoever has credentials may ask who that is; people do, with `cauce doctor`
# A compactor asks for the id of its zone; the others are told their racks.
_ZONE = {"ec2:DescribeAvailabilityZones"}
_KEYS = {"kms:Decrypt", "kms:GenerateDataKey"}  # S3 calls them in the node's name


def test_the_code_calls_s3_as_its_adapter_says() -> None:
    found = {call.operation for call in called() if call.service == "s3"}

    assert found == {"PutObject", "GetObject", "HeadObject", "ListObjectsV2", "DeleteObjects"}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_to_s3_what_the_code_calls_and_no_more(role: str) -> None:
    s3 = {call.action for call in called() if call.service == "s3"}

    assert granted(role) == (s3 | _ZONE if role == "compactor" else s3)


def test_other_services_are_granted_when_the_code_calls_them() -> None:
    """A call of a service that no policy knows must fail here, with its name, before it fails in somebody's account."""
    others = {call.action for call in called() if call.service != "s3"}

    assert others - _OPTIONAL - _FREE - _ZONE == set()
    assert words_of(_IAM) >= _KEYS | _OPTIONAL


def test_the_catalog_is_granted_what_pyiceberg_calls() -> None:
    pytest.importorskip("pyiceberg.catalog.glue")
    not_met = {"glue:GetDatabase"}  # asked for where to put a table of no location; ours has one

    assert granted("glue") == {call.action for call in called_through_pyiceberg()} - not_met
    assert gives_every_table_its_location()


@pytest.mark.parametrize("role", ROLES)
def test_every_role_sees_missing_objects_as_missing(role: str) -> None:
    """S3 says 403 of an object that is not there to whom may not list, and asks without a prefix."""
    listing = next(statement for statement in statements(role) if statement["Action"] == "s3:ListBucket")

    assert set(listing["Condition"]) == {"StringLikeIfExists"}
    assert listing["Resource"] == "arn:aws:s3:::bucket"


@pytest.mark.parametrize("role", ROLES)
def test_no_policy_has_a_wildcard_for_actions_or_buckets(role: str) -> None:
    assert [action for action in granted(role) if "*" in action] == []
    for statement in statements(role):
        resources = statement["Resource"]
        if statement["Action"] in _ZONE:  # it knows no resource
            continue
        assert all(
            one.startswith("arn:aws:s3:::bucket") for one in ([resources] if isinstance(resources, str) else resources)
        )


@pytest.mark.parametrize(
    ("role", "key", "may"),
    [
        ("ingest", "batches/0000000001/0000000000/0000000000.parquet", True),
        ("ingest", "records/topic/0/segment.parquet", False),
        ("reader", "batches/0000000001/0000000000/0000000000.parquet", False),
        ("reader", "epochs/topic/0/0000000000", False),
        ("compactor", "records/topic/0/segment.parquet", True),
        ("compactor", "epochs/topic/0/0000000000", False),
    ],
)
def test_a_role_creates_only_what_is_its_own(role: str, key: str, may: bool) -> None:
    assert allows(role, "s3:PutObject", key) is may


@pytest.mark.parametrize("role", ["ingest", "reader"])
def test_only_compactors_delete_what_the_log_is_made_of(role: str) -> None:
    assert allows(role, "s3:DeleteObject", "probe/token")
    assert not allows(role, "s3:DeleteObject", "batches/0000000001/0000000000/0000000000.parquet")
    assert allows("compactor", "s3:DeleteObject", "batches/0000000001/0000000000/0000000000.parquet")
