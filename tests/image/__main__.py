"""`python -m tests.image`: carries out the Dockerfile's steps without a container engine, and runs what comes of it.

Every stage in a root made by debootstrap (Debian bookworm and its Python stand for the base image), then `cauce node`
there as the image's user with the image's environment and entry point, on a Valkey and an S3 server of this machine:
a record is produced and consumed, the health check is made, SIGTERM ends it within its grace with 0. Needs root,
debootstrap and PyPI; says so and ends with 3 where they are missing. The image itself is not built by this.
"""

import argparse
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition

from tests.cauce.cluster import eventually
from tests.chaos.redis_party import RedisParty
from tests.image.dockerfile import Stage, stages
from tests.image.root import StageRoot, built
from tests.servers import credentials, free_ports, moto

_MISSING = 3
_GRACE_SECONDS = 30.0


def _check(root: StageRoot, stage: Stage, folder: Path) -> None:
    redis = RedisParty(folder)
    with credentials(), moto() as server:
        redis.start()
        kafka, http = free_ports(2)
        options = ["--bucket", server.url("image"), "--redis", f"redis://127.0.0.1:{redis.port}"]
        options += ["--listen", f"0.0.0.0:{kafka}", "--advertise", f"127.0.0.1:{kafka}"]
        words = [*stage.last("ENTRYPOINT").words, *stage.last("CMD").words, *options]
        aws = {name: text for name, text in os.environ.items() if name.startswith("AWS_")}
        environment = root.environment | aws | {"CAUCE_HTTP": f"127.0.0.1:{http}"}
        process = subprocess.Popen(root.command(words), env=environment)
        try:
            _produce_and_consume(f"127.0.0.1:{kafka}", process)
            user = Path(f"/proc/{process.pid}/status").read_text().split("Uid:")[1].split()[0]
            assert user == stage.last("USER").text.split(":")[0], f"it runs as {user}"
            check = stage.last("HEALTHCHECK").text.partition("CMD ")[2].replace(":9644/", f":{http}/")
            root.run(type(stage.last("CMD"))("CMD", check).words)
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(_GRACE_SECONDS) == 0
            print(f"stopped by SIGTERM in {time.monotonic() - began:.1f} s with 0")
        finally:
            process.kill()
            process.wait()
            redis.kill()


def _produce_and_consume(bootstrap: str, process: "subprocess.Popen[bytes]") -> None:
    began = time.monotonic()
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0, "acks": "all"})
    producer.produce("image", b"a record")
    eventually("a record is acknowledged", lambda: process.poll() is not None or producer.flush(0.1) == 0)
    print(f"a record was acknowledged {time.monotonic() - began:.1f} s after the start")
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "image", "log_level": 0})
    consumer.assign([TopicPartition("image", 0, 0)])
    found = eventually("it is consumed", lambda: consumer.poll(0.5))
    assert found.value() == b"a record"
    consumer.close()


def _byte_code(root: StageRoot) -> None:
    """Nothing that a start imports is compiled again: every module of ours has its byte code beside it."""
    package = next((root.folder / "opt/cauce/lib").glob("python*/site-packages/cauce"))
    sources = {one.stem for one in package.glob("*.py")}
    assert sources == {one.name.partition(".")[0] for one in (package / "__pycache__").glob("*.pyc")}
    assert os.access(root.folder / "var/lib/cauce", os.W_OK)


def main() -> None:
    parser = argparse.ArgumentParser(description="Carry out the Dockerfile's steps in a debootstrap root.")
    parser.add_argument("--cache", type=Path, help="keeps the Debian root for the next time")
    arguments = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # moto's server tells of every request
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        print("not run: it needs root and debootstrap")
        sys.exit(_MISSING)
    with tempfile.TemporaryDirectory(prefix="cauce-image-") as name:
        cache = arguments.cache or Path(name)
        with built(stages(), cache) as root:
            _byte_code(root)
            _check(root, stages()[-1], Path(name))
    print("the Dockerfile's steps were carried out, as its user, without a container engine; the image was not built")


if __name__ == "__main__":
    main()
