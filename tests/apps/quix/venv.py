"""A venv of its own for what must not be in this project's: made when it is missing."""

import subprocess
import sys
from pathlib import Path

_VENV = Path(__file__).parents[3] / ".venv-quix"


def python_with(package: str) -> Path:
    """The Python of a venv that has the package (`name==version`)."""
    mark = _VENV / "has"
    python = _VENV / "bin" / "python"
    if not mark.exists() or mark.read_text() != package:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(_VENV)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-qq", package], check=True)
        mark.write_text(package)
    return python
