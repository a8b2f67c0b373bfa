"""The Terraform code without terraform: it parses, the provider knows every argument, everything is described."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from infra.settings_sources import variable
from infra.settings_table import SETTINGS
from tests.terraform.hcl import ROOT, Block, blocks, folders, named, unquote
from tests.terraform.readme import tables_of
from tests.terraform.schema import FILE, problems, used_types

_FOLDERS = [pytest.param(folder, id=str(folder.relative_to(ROOT))) for folder in folders()]
_INNER = {"service/zone", "service/container"}  # parts of a module, which nobody else calls
_CALLED = [one for one in _FOLDERS if str(one.id).removeprefix("modules/") not in _INNER]
_EXPLAINED = [one for one in _CALLED if not str(one.id).startswith("examples")]
_HOLDS_DATA = {("bucket", "aws_s3_bucket", "this"), ("bucket", "aws_kms_key", "this")}
_MODULES = {"access", "bucket", "catalog", "network", "observability", "redis", "service"}


@pytest.fixture(scope="module")
def schema() -> Any:
    return json.loads(FILE.read_text(encoding="utf-8"))


def _all_blocks() -> list[Block]:
    return [block for folder in folders() for block in blocks(folder)]


def test_every_module_and_example_is_there() -> None:
    assert {folder.name for folder in (ROOT / "modules").iterdir() if folder.is_dir()} == _MODULES
    assert {folder.name for folder in (ROOT / "examples").iterdir() if folder.is_dir()} == {
        "analytics",
        "minimal",
        "production",
    }


@pytest.mark.parametrize("folder", _FOLDERS)
def test_the_provider_knows_every_argument(folder: Path, schema: Any) -> None:
    found = [
        sentence for block in blocks(folder) if block.type.startswith("aws_") for sentence in problems(block, schema)
    ]

    assert found == []


def test_the_pruned_schema_is_of_this_code(schema: Any) -> None:
    assert {kind: set(types) for kind, types in schema.items()} == used_types()


def test_a_wrong_and_a_missing_argument_are_found(schema: Any) -> None:
    wrong = Block(
        ROOT / "main.tf", "resource", "aws_s3_bucket_versioning", "planted", {"bucket": "b", "versions": True}
    )

    found = sorted(problems(wrong, schema))

    assert [sentence.rpartition(": ")[2] for sentence in found] == [
        "there is no argument versions",
        "versioning_configuration is missing",
    ]


@pytest.mark.parametrize("folder", _FOLDERS)
def test_variables_and_outputs_say_what_they_are(folder: Path) -> None:
    variables, outputs = named(folder, "variable"), named(folder, "output")

    assert [
        name for name, body in {**variables, **outputs}.items() if len(unquote(body.get("description", ""))) < 8
    ] == []
    assert [name for name, body in variables.items() if "type" not in body] == []


@pytest.mark.parametrize("folder", _CALLED)
def test_what_can_be_wrong_is_validated(folder: Path) -> None:
    """Numbers and words with few right values, where a caller of ours gives them."""
    free = {"ingest_nodes", "backlog_bytes", "wal_bytes"}  # any number will do
    unchecked = [
        name
        for name, body in named(folder, "variable").items()
        if unquote(str(body["type"])) == "number" and "validation" not in body and name not in free and folder != ROOT
    ]

    assert unchecked == []


def test_what_holds_data_cannot_be_destroyed() -> None:
    protected = {(block.file.parent.name, block.type, block.name) for block in _all_blocks() if block.prevents_destroy}

    assert protected == _HOLDS_DATA


def test_security_groups_let_nobody_in_from_everywhere() -> None:
    ingress = [block for block in _all_blocks() if block.type == "aws_vpc_security_group_ingress_rule"]

    assert ingress
    assert [str(block) for block in ingress if "0.0.0.0" in json.dumps(block.body)] == []


@pytest.mark.parametrize("folder", _EXPLAINED)
def test_every_module_has_a_readme_with_its_variables_and_outputs(folder: Path) -> None:
    assert tables_of(folder) in (folder / "README.md").read_text(encoding="utf-8")


def test_nodes_are_told_settings_that_exist() -> None:
    named_there = {
        name
        for file in (ROOT / "modules" / "service").rglob("*.tf")
        for name in re.findall(r"\bCAUCE_[A-Z_]+\b", file.read_text())
    }

    assert named_there - {"CAUCE_"} - {variable(name) for name in SETTINGS} == set()
    assert {"CAUCE_BUCKET", "CAUCE_REDIS", "CAUCE_ROLES", "CAUCE_ADVERTISED_LISTENERS", "CAUCE_NODE_ID"} <= named_there


def test_a_setting_gets_the_variable_that_a_node_reads() -> None:
    """The module derives it as `infra.settings.variable` does: CAUCE_, capitals, underscores, no leading cauce."""
    rule = (ROOT / "modules" / "service" / "main.tf").read_text(encoding="utf-8")

    assert 'CAUCE_${upper(replace(trimprefix(name, "cauce."), ".", "_"))}' in rule
    assert [variable(name) for name in ("cauce.flush.bytes", "num.partitions")] == [
        "CAUCE_FLUSH_BYTES",
        "CAUCE_NUM_PARTITIONS",
    ]
