"""Carries a Dockerfile's stages out in root folders made by debootstrap: chroot for RUN, copies for COPY.

Not a container: processes and network are the machine's. What runs in a stage sees its files, its environment and its
user, as in an image. Needs root, and debootstrap with a Debian mirror for the first stage.
"""

import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.image.dockerfile import ROOT, Instruction, Stage, allowed

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PACKAGES = "python3,python3-venv,ca-certificates"
_SUITE = "bookworm"
_DEVICES = {"null": 3, "zero": 5, "random": 8, "urandom": 9}
_LENT = ("/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt", "/etc/xdg/pip")  # the way to PyPI


def debian(cache: Path) -> Path:
    """A Debian of the suite that the images of Python are made from, with its Python under the image's name."""
    base = cache / "base"
    if not (base / "usr/local/bin/python").is_symlink():
        shutil.rmtree(base, ignore_errors=True)
        subprocess.run(["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, str(base)], check=True)
        (base / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    return base


class StageRoot:
    """A stage under way: a folder that is its root, and what its instructions have set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"PATH": _PATH, "HOME": "/root"}
        self.workdir = "/"
        self.user = ""
        self._mounted: list[Path] = []

    def close(self) -> None:
        """Take away what was mounted, and the folder."""
        for mount in reversed(self._mounted):
            subprocess.run(["umount", "--lazy", str(mount)], check=True)
        shutil.rmtree(self.folder)

    def mount(self) -> None:
        """What every container has from the kernel; nothing of this machine's own, so that nothing of it can go."""
        for name, kind in (("proc", "proc"), ("dev", "tmpfs")):
            subprocess.run(["mount", "-t", kind, kind, str(self.folder / name)], check=True)
            self._mounted.append(self.folder / name)
        for name, minor in _DEVICES.items():
            os.mknod(self.folder / "dev" / name, stat.S_IFCHR | 0o666, os.makedev(1, minor))
            (self.folder / "dev" / name).chmod(0o666)
        (self.folder / "dev/shm").mkdir()
        (self.folder / "dev/shm").chmod(0o1777)

    def lend(self) -> None:
        """Let what runs here find the package index as this machine does."""
        for name in _LENT:
            source, target = Path(name), self.folder / name[1:]
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            elif source.exists():
                target.unlink(missing_ok=True)
                shutil.copy(source, target)

    def command(self, words: Sequence[str]) -> list[str]:
        """What runs these words here, as the stage's user in its folder."""
        user = [f"--userspec={self.user}"] if self.user else []
        inner = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', self.workdir, *words]
        return ["chroot", *user, str(self.folder), *inner]

    def run(self, words: Sequence[str], more: Mapping[str, str] | None = None) -> None:
        """Run something to its end; it must succeed."""
        subprocess.run(self.command(words), env=self.environment | dict(more or {}), check=True)


@contextmanager
def built(stages: Sequence[Stage], cache: Path) -> Iterator[StageRoot]:
    """Carry out every stage; the root of the last one, as long as the with statement lasts."""
    with ExitStack() as stack:
        yield _build(stages, cache, stack)


def _build(stages: Sequence[Stage], cache: Path, stack: ExitStack) -> StageRoot:
    done: dict[str, StageRoot] = {}
    current = None
    for stage in stages:
        current = StageRoot(Path(tempfile.mkdtemp(prefix=f"{stage.name or 'image'}-", dir=cache)))
        stack.callback(current.close)
        done[stage.name] = current
        subprocess.run(["cp", "-a", f"{debian(cache)}/.", str(current.folder)], check=True)
        current.lend()
        current.mount()
        for instruction in stage.instructions:
            print(f"{stage.name or 'image'}: {instruction.name} {instruction.text[:100]}", flush=True)
            _carry_out(current, instruction, done)
    assert current is not None
    return current


def _carry_out(root: StageRoot, instruction: Instruction, done: Mapping[str, StageRoot]) -> None:
    name, words = instruction.name, [] if instruction.name == "RUN" else instruction.words
    if name == "RUN":
        pip = {name: text for name, text in os.environ.items() if name.startswith("PIP_")}
        root.run(["/bin/sh", "-c", instruction.text], pip)
    elif name == "COPY":
        _copy(root, words, done)
    elif name == "ENV":
        for word in words:
            key, _, text = word.partition("=")
            root.environment[key] = re.sub(r"\$(\w+)", lambda found: root.environment.get(found[1], ""), text)
    elif name == "WORKDIR":
        root.workdir = words[0]
        (root.folder / words[0][1:]).mkdir(parents=True, exist_ok=True)
    elif name == "USER":
        root.user = words[0]


def _copy(root: StageRoot, words: Sequence[str], done: Mapping[str, StageRoot]) -> None:
    source_root = ROOT
    if words[0].startswith("--from="):
        source_root, words = done[words[0].removeprefix("--from=")].folder, words[1:]
    *sources, target = words
    place = root.folder / str(Path(root.workdir) / target)[1:]
    for source in sources:
        found = source_root / source.lstrip("/")
        assert source_root != ROOT or allowed(source), f"{source} is not let into the build"
        if found.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.pyc") if source_root == ROOT else None
            shutil.copytree(found, place, symlinks=True, ignore=ignored, dirs_exist_ok=True)
        else:
            shutil.copy(found, place / found.name if target.endswith("/") else place)
