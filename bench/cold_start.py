"""`python -m bench.cold_start`: from the exec of `cauce node` to its first acks=all answer, store and Redis up.

python -m bench.cold_start                   20 starts against an S3 server (moto) and a Valkey; prints a Markdown table
python -m bench.cold_start --store seaweed   SeaweedFS, where 32 writers of one key (the probe) wait up to seconds
python -m bench.cold_start --store folder    the bucket is a folder: no S3 client is imported
python -m bench.cold_start --limit 1.5       ends with 1 when the median is above

Every start is that of a new node with an empty disk, in a cluster whose one topic was given back by the node before.
`PYTHON` (--python) is one that has Cauce's dependencies and no more, as in the image; byte code is made beforehand, as
there. On a machine that is busy with other work look at the CPU seconds: they are what a start on an idle one takes.
"""

import argparse
import asyncio
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from cauce.admin import Admin
from infra.clock import SYSTEM_CLOCK
from infra.errors import Unavailable
from infra.records.encode import batch_of
from infra.wire.client import Client
from infra.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from tests.chaos.redis_party import RedisParty
from tests.servers import credentials, kept_ports, moto, seaweed

_TOPIC = "cold"
_ROOT = Path(__file__).parent.parent
_ROOMS = ("cauce", "infra", "ingest", "reader", "compactor")
_PAUSE_SECONDS = 0.005
_GIVE_UP_SECONDS = 60.0
_BASELINES = {"python -c pass": "pass", "import cauce.serving": "import cauce.serving"}


@dataclass(frozen=True, slots=True)
class Start:
    """One start, in seconds since the exec."""

    acknowledged: float
    cpu: float  # of the node until then


@dataclass(frozen=True, slots=True)
class Place:
    """Where nodes are started."""

    folder: Path
    python: str
    options: Sequence[str]
    environment: dict[str, str]

    def run(self, number: int) -> Start:
        """Start a node and stop it once it has acknowledged a record."""
        [port] = kept_ports(1)
        command = [self.python, "-m", "cauce", "node", "--data", str(self.folder / f"node-{number}")]
        command += ["--listen", f"127.0.0.1:{port}", *self.options]
        with (self.folder / "log").open("wb") as log:
            began = time.perf_counter()
            process = subprocess.Popen(command, stdout=log, stderr=log, env=self.environment, cwd=self.folder)
            try:
                asyncio.run(_first_answer(port))
                seconds = time.perf_counter() - began
                used = psutil.Process(process.pid).cpu_times()
            except (Unavailable, TimeoutError, psutil.Error):
                sys.exit(f"the node did not answer:\n{(self.folder / 'log').read_text()}")
            finally:
                process.terminate()
                process.wait()
        return Start(seconds, used.user + used.system)

    def baseline(self, code: str) -> Start:
        """How long Python takes for something that every start does."""
        before = _children_cpu()
        began = time.perf_counter()
        subprocess.run([self.python, "-c", code], env=self.environment, cwd=self.folder, check=True)
        return Start(time.perf_counter() - began, _children_cpu() - before)


async def _first_answer(port: int) -> None:
    """Return when a record was acknowledged with acks=all."""
    batch = bytes(batch_of([(None, b"first")], SYSTEM_CLOCK.now_ms()))
    data = TopicProduceData(name=_TOPIC, partition_data=[PartitionProduceData(index=0, records=batch)])
    request = ProduceRequest(acks=-1, timeout_ms=30_000, topic_data=[data])
    async with asyncio.timeout(_GIVE_UP_SECONDS), Client(f"127.0.0.1:{port}") as client:
        while True:
            try:
                answer = await client.to_leader(_TOPIC, 0, request)
                if not answer.responses[0].partition_responses[0].error_code:
                    return
                client.forget_leaders(_TOPIC)
            except Unavailable:
                pass
            await asyncio.sleep(_PAUSE_SECONDS)


async def _create_topic(port: int) -> None:
    async with asyncio.timeout(_GIVE_UP_SECONDS), Client(f"127.0.0.1:{port}") as client:
        admin = Admin(client)
        while True:
            try:
                await admin.connect(_GIVE_UP_SECONDS)
                return await admin.create_topic(_TOPIC, 1, {})
            except Unavailable:
                await asyncio.sleep(_PAUSE_SECONDS)


@contextmanager
def _place(folder: Path, arguments: argparse.Namespace) -> Iterator[Place]:
    redis = RedisParty(folder)
    with credentials(), ExitStack() as stack:
        if arguments.store == "folder":
            bucket = (folder / "bucket").as_uri()
        else:
            bucket = stack.enter_context(seaweed() if arguments.store == "seaweed" else moto()).url("cold")
        redis.start()
        try:
            environment = {name: text for name, text in os.environ.items() if not name.startswith(("CAUCE_", "PYTHON"))}
            environment |= {"PYTHONPATH": str(_ROOT), "OPENBLAS_NUM_THREADS": "1"}  # the second as in the image
            options = ["--bucket", bucket, "--redis", f"redis://127.0.0.1:{redis.port}"]
            options += [word for one in arguments.set for word in ("--set", one)]
            yield Place(folder, arguments.python, options, environment)
        finally:
            redis.kill()


def _children_cpu() -> float:
    used = os.times()
    return used.children_user + used.children_system


def _prepare(place: Place) -> None:
    """Byte code, as the image has it; the cluster and its topic; and one start that does not count."""
    rooms = [str(_ROOT / room) for room in _ROOMS]
    subprocess.run([place.python, "-m", "compileall", "-q", *rooms], env=place.environment, check=True)
    [port] = kept_ports(1)
    command = [place.python, "-m", "cauce", "node", "--data", str(place.folder / "first")]
    command += ["--listen", f"127.0.0.1:{port}", *place.options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=place.environment, cwd=place.folder)
    try:
        asyncio.run(_create_topic(port))
    finally:
        process.terminate()
        process.wait()
    place.run(-1)


def _row(name: str, starts: Sequence[Start]) -> str:
    seconds = sorted(start.acknowledged for start in starts)
    cpu = statistics.median(start.cpu for start in starts)
    return f"| {name} | {statistics.median(seconds):.2f} | {seconds[0]:.2f} | {seconds[-1]:.2f} | {cpu:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description="From exec of `cauce node` to the first acks=all answer.")
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--store", choices=("moto", "seaweed", "folder"), default="moto")
    parser.add_argument("--python", default=sys.executable, help="the Python that runs the node")
    parser.add_argument("--set", action="append", default=[], help="a setting of the node, NAME=VALUE")
    parser.add_argument("--limit", type=float, default=0.0, help="seconds that the median may take; 0: any")
    arguments = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # moto's server tells of every request
    with tempfile.TemporaryDirectory(prefix="cauce-bench-") as folder, _place(Path(folder), arguments) as place:
        _prepare(place)
        starts, baselines = [], {name: list[Start]() for name in _BASELINES}
        for number in range(arguments.starts):
            starts.append(place.run(number))
            for name, code in _BASELINES.items():
                baselines[name].append(place.baseline(code))
    print("| | median s | least | most | CPU s |\n|---|---|---|---|---|")
    for name, rows in baselines.items():
        print(_row(name, rows))
    print(_row(f"first acks=all answer, {arguments.store}", starts))
    median = statistics.median(start.acknowledged for start in starts)
    if arguments.limit and median > arguments.limit:
        sys.exit(f"the median of {median:.2f} s is above {arguments.limit:.2f} s")


if __name__ == "__main__":
    main()
