"""`python -m tests.aws`: the tests of AWS clients against ministack, an emulator that stands where LocalStack would.

It is installed from PyPI into a virtual environment of its own (its needs are not ours), kept with `--venv DIR`.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import free_ports

_START_SECONDS = 120.0
_TESTS = ("tests/aws/test_clients.py", "tests/aws/test_localstack.py")


@contextmanager
def _ministack(folder: Path) -> Iterator[str]:
    """HOST:PORT of the emulator."""
    if not (folder / "bin/ministack").exists():
        venv.create(folder, with_pip=True)
        subprocess.run([folder / "bin/pip", "install", "--quiet", "ministack"], check=True)
    [port] = free_ports(1)
    environment = {**os.environ, "GATEWAY_PORT": str(port), "MINISTACK_HOST": "127.0.0.1"}
    process = subprocess.Popen([folder / "bin/python", "-m", "ministack"], env=environment, stdout=subprocess.DEVNULL)
    try:
        _await(f"http://127.0.0.1:{port}/", process)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _await(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit("ministack did not start")
            time.sleep(0.2)  # polls with a deadline


def main() -> None:
    parser = argparse.ArgumentParser(description="The tests of AWS clients against ministack.")
    parser.add_argument("--venv", type=Path, help="keeps ministack's virtual environment for the next time")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cauce-aws-") as name:
        with _ministack(arguments.venv or Path(name)) as address:
            environment = {**os.environ, "TEST_LOCALSTACK_HOST": address}
            sys.exit(subprocess.run([sys.executable, "-m", "pytest", "-v", *_TESTS], env=environment).returncode)


if __name__ == "__main__":
    main()
