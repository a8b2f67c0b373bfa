"""The provider's schema, pruned to the resources that the modules use: enough to find a wrong or missing argument
without the provider. `python -m tests.terraform.schema` makes `schema.json` anew, where both are to be had."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.terraform.hcl import Block, arguments, blocks, folders, is_block
from tests.terraform.tools import Terraform, find_terraform

FILE = Path(__file__).with_name("schema.json")
_PROVIDER = "registry.terraform.io/hashicorp/aws"
_KINDS = {"resource": "resource_schemas", "data": "data_source_schemas"}


def problems(block: Block, schema: Mapping[str, Any]) -> Iterator[str]:
    """What the provider would refuse in a block, as sentences."""
    known = schema[block.kind].get(block.type)
    if known is None:
        yield f"{block}: the pruned schema does not know it; make it anew"
        return
    yield from (f"{block}: {sentence}" for sentence in _problems(block.body, known, ""))


def _problems(body: Mapping[str, Any], known: Mapping[str, Any], path: str) -> Iterator[str]:
    given = dict(arguments(body))
    for name, value in given.items():
        if name in known["blocks"]:
            for nested in value if isinstance(value, list) else [value]:
                yield from _problems(nested, known["blocks"][name], f"{path}{name}.")
        elif name not in known["arguments"]:
            yield f"there is no argument {path}{name}"
        elif is_block(value):
            yield f"{path}{name} is an argument, not a block"
    yield from (f"{path}{name} is missing" for name in known["required"] if name not in given)


def prune(schema: Mapping[str, Any], used: Mapping[str, set[str]]) -> dict[str, Any]:
    """Of the provider's whole schema what the used types need: names, and which of them must be given."""
    provider = schema["provider_schemas"][_PROVIDER]
    return {
        kind: {name: _pruned(provider[_KINDS[kind]][name]["block"]) for name in sorted(names)}
        for kind, names in used.items()
    }


def _pruned(block: Mapping[str, Any]) -> dict[str, Any]:
    attributes, nested = block.get("attributes", {}), block.get("block_types", {})
    settable = {name for name, one in attributes.items() if one.get("optional") or one.get("required")}
    required = {name for name, one in attributes.items() if one.get("required")}
    required |= {name for name, one in nested.items() if one.get("min_items", 0) > 0}
    return {
        "arguments": sorted(settable),
        "required": sorted(required),
        "blocks": {name: _pruned(one["block"]) for name, one in sorted(nested.items())},
    }


def used_types() -> dict[str, set[str]]:
    """Kinds to the types of the provider that the code uses."""
    used: dict[str, set[str]] = {"resource": set(), "data": set()}
    for folder in folders():
        for block in blocks(folder):
            if block.type.startswith("aws_"):
                used[block.kind].add(block.type)
    return used


def whole_schema(terraform: Terraform) -> Mapping[str, Any]:
    """The provider's own schema."""
    with tempfile.TemporaryDirectory() as name:
        text = 'terraform {\n  required_providers {\n    aws = {\n      source = "hashicorp/aws"\n    }\n  }\n}\n'
        (Path(name) / "main.tf").write_text(text, encoding="utf-8")
        terraform.init(Path(name))
        answer: Mapping[str, Any] = json.loads(terraform.run(Path(name), "providers", "schema", "-json"))
        return answer


def main() -> int:
    """Write `schema.json`."""
    terraform = find_terraform()
    if terraform is None or terraform.mirror is None:
        print("terraform and a mirror of its provider are needed", file=sys.stderr)
        return 1
    try:
        pruned = prune(whole_schema(terraform), used_types())
    except subprocess.CalledProcessError as error:
        print(error.stderr, file=sys.stderr)
        return 1
    FILE.write_text(json.dumps(pruned, separators=(",", ":"), sort_keys=True) + "\n", encoding="utf-8")
    print(f"{FILE.name}: {FILE.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
