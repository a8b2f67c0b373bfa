"""The tables of variables and outputs in each module's README, made from the code:
`python -m tests.terraform.readme` writes them."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.terraform.hcl import ROOT, folders, named, unquote

BEGIN, END = "<!-- made by python -m tests.terraform.readme -->", "<!-- end -->"


def tables_of(folder: Path) -> str:
    """Both tables, between their marks."""
    variables = [
        f"| `{name}` | {_type(body)} | {_default(body)} | {_text(body)} |"
        for name, body in named(folder, "variable").items()
    ]
    outputs = [f"| `{name}` | {_text(body)} |" for name, body in named(folder, "output").items()]
    return "\n".join(
        [
            BEGIN,
            "",
            "| variable | type | default | |",
            "|---|---|---|---|",
            *variables,
            "",
            "| output | |",
            "|---|---|",
            *outputs,
            "",
            END,
        ]
    )


def _type(body: Mapping[str, Any]) -> str:
    text = str(body["type"]).removeprefix("${").removesuffix("}")
    return re.split(r"\(\s*\{", unquote(text))[0] + ("" if "{" not in text else " (see variables.tf)")


def _default(body: Mapping[str, Any]) -> str:
    if "default" not in body:
        return "required"
    value = body["default"]
    if isinstance(value, str):
        return f"`{unquote(value)}`" if unquote(value) else "empty"
    return f"`{json.dumps(value)}`" if value not in ({}, []) else "empty"


def _text(body: Mapping[str, Any]) -> str:
    return unquote(body["description"]).replace('\\"', '"').replace("|", "\\|")


def main() -> int:
    """Write every README's tables anew."""
    for folder in folders():
        file = folder / "README.md"
        if not file.exists():
            continue
        text = file.read_text(encoding="utf-8")
        begin, end = text.find(BEGIN), text.find(END)
        if begin < 0 or end < 0:
            continue
        file.write_text(text[:begin] + tables_of(folder) + text[end + len(END) :], encoding="utf-8")
        print(file.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
