"""docs/security.md works when it is copied: its commands, in its order, in an empty folder."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cauce.commands import environment
from tests.servers import closed_port

_PAGE = Path(__file__).parents[2] / "docs" / "security.md"
_SECONDS = 120.0


@pytest.mark.timeout(400)
@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
def test_the_page_works_when_copied(tmp_path: Path) -> None:
    port = str(closed_port())
    text = _PAGE.read_text(encoding="utf-8").replace("9092", port)
    certificates, node, commands = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)[:3]
    binaries = tmp_path / "bin"
    binaries.mkdir()
    script = binaries / "cauce"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m cauce "$@"\n')
    script.chmod(0o755)
    variables = {
        **environment(),
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "KIMS_PASSWORD": "x",
        "CAUCE_BOOTSTRAP": f"localhost:{port}",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }

    def shell(words: str) -> str:
        done = subprocess.run(
            ["sh", "-ec", words], cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=_SECONDS
        )
        assert done.returncode == 0, done
        return done.stdout

    shell(certificates)
    process = subprocess.Popen(
        ["sh", "-ec", node.replace("cauce up", "exec cauce up")], cwd=tmp_path, env=variables, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert b"listening on" in process.stdout.readline()
        deadline = time.monotonic() + _SECONDS
        setting_up, _, using = commands.partition("cauce user add")
        while subprocess.run(
            ["sh", "-ec", f"{setting_up}\ncauce topic list"], cwd=tmp_path, env=variables, capture_output=True
        ).returncode:
            assert time.monotonic() < deadline
        printed = shell(f"{setting_up}\ncauce user add{using}")
        assert "kim" in printed
        assert printed.endswith("hello\n")
    finally:
        process.terminate()
        process.wait(_SECONDS)
