"""What a role may call, by its policy, and what the code calls: both as (service, operation).

The code's calls are found statically: a client is made by `create_client(SERVICE)` or `.client(SERVICE)`, and every
attribute called anywhere in the product that is an operation of such a service counts. The catalog of tables is called
through pyiceberg, whose own Glue client is followed from the methods that the product uses.
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

from tests.terraform.hcl import ROOT

ROLES = ("ingest", "reader", "compactor")
_REPOSITORY = ROOT.parent
_PRODUCT = ("cauce", "infra", "ingest", "reader", "compactor")
_POLICIES = ROOT / "modules" / "service" / "policies"

BUCKET = "arn:aws:s3:::bucket"
_WORDS = {
    "bucket": BUCKET,
    "objects": f"{BUCKET}/",
    "prefix": "",
    "catalog": "arn:aws:glue:region:account",
    "database": "cauce",
}

# What IAM asks for, where it has another name than the operation.
_ACTIONS = {
    ("s3", "HeadObject"): "s3:GetObject",
    ("s3", "ListObjectsV2"): "s3:ListBucket",
    ("s3", "DeleteObjects"): "s3:DeleteObject",
}


@dataclass(frozen=True)
class Call:
    """An operation of a service of AWS."""

    service: str
    operation: str

    @property
    def action(self) -> str:
        """What IAM calls it."""
        return _ACTIONS.get((self.service, self.operation), f"{self.service}:{self.operation}")


def statements(name: str) -> Sequence[Mapping[str, Any]]:
    """The statements of a policy file, for a bucket of its own."""
    text = Template((_POLICIES / f"{name}.json").read_text(encoding="utf-8")).substitute(_WORDS)
    found: Sequence[Mapping[str, Any]] = json.loads(text)["Statement"]
    return found


def granted(name: str) -> set[str]:
    """Actions that a policy file allows."""
    return {action for statement in statements(name) for action in _list(statement["Action"])}


def allows(name: str, action: str, key: str) -> bool:
    """Whether a policy file lets a role do something to an object, or to the bucket when the key is empty."""
    resource = f"{BUCKET}/{key}" if key else BUCKET
    return any(
        action in _list(statement["Action"]) and any(fnmatchcase(resource, one) for one in _list(statement["Resource"]))
        for statement in statements(name)
    )


def called(rooms: Sequence[str] = _PRODUCT) -> set[Call]:
    """Operations that the code calls by itself."""
    trees = [
        ast.parse(file.read_text(encoding="utf-8"), str(file))
        for room in rooms
        for file in sorted((_REPOSITORY / room).rglob("*.py"))
    ]
    names = {
        node.func.attr
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    return {
        Call(service, operation)
        for service in sorted({service for tree in trees for service in _services(tree)})
        for method, operation in _operations(service).items()
        if method in names
    }


def called_through_pyiceberg() -> set[Call]:
    """Operations of Glue behind the methods of a catalog that `compactor/table_catalog.py` and its tables use."""
    import pyiceberg.catalog.glue as glue

    used = {
        node.func.attr
        for file in sorted((_REPOSITORY / "compactor").glob("table_*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    } | {"commit_table"}  # what a table's transaction ends in
    tree = ast.parse(Path(glue.__file__).read_text(encoding="utf-8"))
    catalog = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "GlueCatalog")
    methods = {node.name: node for node in catalog.body if isinstance(node, ast.FunctionDef)}
    inherited = {"create_namespace_if_not_exists": {"create_namespace"}}
    reached: set[str] = set()
    waiting = {name for method in used for name in inherited.get(method, {method}) if name in methods}
    operations: set[str] = set()
    while waiting:
        name = waiting.pop()
        reached.add(name)
        for node in ast.walk(methods[name]):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            owner = ast.unparse(node.func.value)
            if owner == "self.glue":
                operations.add(node.func.attr)
            elif owner == "self" and node.func.attr in methods and node.func.attr not in reached:
                waiting.add(node.func.attr)
    known = _operations("glue")
    return {Call("glue", known[operation]) for operation in operations}


def gives_every_table_its_location() -> bool:
    """Whether every table is created with a location, so that the catalog need not look for one."""
    tree = ast.parse((_REPOSITORY / "compactor" / "table_catalog.py").read_text(encoding="utf-8"))
    made = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".create_table")
    ]
    return bool(made) and all("location" in {keyword.arg for keyword in call.keywords} for call in made)


def _services(tree: ast.AST) -> Iterator[str]:
    """Services that clients are made for: `create_client("s3")`, `.client("s3")`, `client("s3")`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("create_client", "client"):
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value


@cache
def _operations(service: str) -> Mapping[str, str]:
    """Method of a client to operation; none for what is no service of AWS."""
    from botocore import xform_name
    from botocore.exceptions import UnknownServiceError
    from botocore.session import Session

    try:
        model = Session().get_service_model(service)
    except UnknownServiceError:
        return {}
    return {xform_name(name): name for name in model.operation_names}


def _list(value: str | Sequence[str]) -> Sequence[str]:
    return [value] if isinstance(value, str) else value


def words_of(text: str) -> set[str]:
    """Actions named in a piece of Terraform code."""
    return set(re.findall(r'"([a-z0-9-]+:[A-Z][A-Za-z]+)"', text))
