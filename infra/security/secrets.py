"""Where a secret stands when a setting does not hold it itself: a file, a variable, or AWS Secrets Manager.

What is read appears in no message and no log; the place where it stands may.
"""

import importlib
import json
import os
from pathlib import Path

from infra.errors import BadStart

_FILE, _VARIABLE, _AWS = "file:", "env:", "aws-secretsmanager:"


def resolve_secret(text: str) -> str:
    """The secret that a text names (`file:/path`, `env:NAME`, `aws-secretsmanager:ARN` or `…ARN#key`), else the text.

    `#key` takes one value of a secret that is a JSON object. Blocks. Raises `BadStart` when it cannot be had.
    """
    if text.startswith(_FILE):
        return _from_file(Path(text.removeprefix(_FILE)))
    if text.startswith(_VARIABLE):
        name = text.removeprefix(_VARIABLE)
        if name not in os.environ:
            raise BadStart(f"the environment has no variable {name}, which a secret should be taken from")
        return os.environ[name]
    if text.startswith(_AWS):
        arn, _, key = text.removeprefix(_AWS).partition("#")
        secret: str = importlib.import_module("infra.aws").secret_value(arn)  # who names no ARN pays for no AWS
        return _one_of(secret, key, arn) if key else secret
    return text


def _from_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise BadStart(f"the file {path}, which a secret should be taken from, cannot be read: {why}") from None


def _one_of(secret: str, key: str, arn: str) -> str:
    try:
        return str(json.loads(secret)[key])
    except (ValueError, KeyError, TypeError):
        raise BadStart(f"the secret {arn} is not a JSON object with a value {key!r}") from None
