"""One soak: a node, all topics, producers, readers and events for so long, and then the reckoning."""

import re
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from confluent_kafka.cimpl import NewTopic

from cauce.testing import CauceProcess
from infra.clock import SYSTEM_CLOCK
from tests.soak.aiokafka_reader import AiokafkaReader
from tests.soak.endings import Ending
from tests.soak.events import Cutter, Killer, Lifecycle, admin_client, compactor_of, objects_in
from tests.soak.model import PartitionModel
from tests.soak.producers import CODECS, SoakProducer, wait_for
from tests.soak.readers import KINDS, SoakReader
from tests.soak.score import Score
from tests.soak.topics import node_options, soak_topics

_TELL_SECONDS = 10.0
_END_SECONDS = 240.0
_TROUBLE = re.compile(r"^(?:\S+ (?:error|critical) .*|Traceback.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a soak is asked for."""

    seconds: float
    seed: int
    kills: int = 0
    rate: float = 400.0  # records a second, of all producers
    grace_ms: int = 20_000
    undelete_ms: int = 10_000
    retention_ms: int = 15_000
    delete_retention_ms: int = 8_000
    converge_seconds: float = 180.0
    quiet: bool = False


class Soak:
    """On one data folder."""

    def __init__(self, data: Path, plan: Plan) -> None:
        self._data = data
        self._plan = plan
        self.score = Score(plan.seed)
        self._topics = soak_topics(plan.retention_ms, plan.delete_retention_ms)
        self._models = {
            topic.name: [PartitionModel(topic, number) for number in range(topic.partitions)] for topic in self._topics
        }
        self._node = CauceProcess(data, options=node_options(plan.grace_ms, plan.undelete_ms))
        self._began = time.monotonic()
        self._peaks = {"node": 0, "compactor": 0}

    def run(self) -> list[str]:
        """The whole soak; its failures."""
        with self._node:
            self._create()
            self._writers_and_readers()
            if not self.score.failures:
                self._reckon()
        self._read_log()
        self._tell()
        return self.score.failures

    def _create(self) -> None:
        topics = [NewTopic(topic.name, topic.partitions, config=dict(topic.configs)) for topic in self._topics]
        admin = admin_client(self._node.bootstrap)  # its requests end with it
        for future in admin.create_topics(topics).values():
            future.result(30)

    def _writers_and_readers(self) -> None:
        at, topics, models, score = self._node.bootstrap, self._topics, self._models, self.score
        rate = self._plan.rate / len(CODECS)
        self._lifecycle = Lifecycle(self._node, self._plan.undelete_ms, score)
        threads: list[threading.Thread] = [
            *(SoakProducer(at, codec, topics, models, rate, score) for codec in CODECS),
            *(SoakReader(at, kind, topics, models, score) for kind in KINDS),
            AiokafkaReader(at, topics, models, score),
            Cutter(at, topics, models, score),
            self._lifecycle,
            Killer(self._node, self._plan.kills, self._plan.seconds, score),
        ]
        for thread in threads:
            thread.start()
        self._wait()
        score.stopping.set()
        for name in wait_for(threads, _END_SECONDS):
            score.fail(name, "does not end")

    def _wait(self) -> None:
        end, told = time.monotonic() + self._plan.seconds, time.monotonic()
        while time.monotonic() < end and len(self.score.failures) < 20:
            time.sleep(1)
            self._settle()
            if time.monotonic() - told > _TELL_SECONDS:
                told = time.monotonic()
                self._tell()

    def _settle(self, *, last: bool = False) -> None:
        now, now_ms = time.monotonic() + (3600 if last else 0), SYSTEM_CLOCK.now_ms()
        for models in self._models.values():
            for model in models:
                wrong = model.settle(now, now_ms) + (model.unsettled() if last else [])
                for sentence in wrong:
                    self.score.fail(f"{model.topic.name}-{model.partition}", sentence)

    def _reckon(self) -> None:
        """Everything is acknowledged: read it, let it converge, read again, look into the bucket."""
        self._settle(last=True)
        ending = Ending(self._node.bootstrap, self._data, self._topics, self._models, self.score)
        ending.read_everything()
        ending.converge(self._plan.converge_seconds)
        ending.read_everything()
        self._settle(last=True)
        self._lifecycle.check_living()
        patience = self._plan.converge_seconds + 3 * (self._plan.grace_ms + self._plan.undelete_ms) / 1000
        ending.check_gone(self._lifecycle.deleted, patience)
        ending.check_bucket(patience)

    def _read_log(self) -> None:
        """Kept in the data folder as well: a failure is nothing without it."""
        (self._data / "node.log").write_text(self._node.output)
        for line in troubles(self._node.output)[:5]:
            self.score.fail("the node's log", line)

    def _tell(self) -> None:
        if self._plan.quiet:
            return
        counts = dict(sorted(self.score.counts.items()))
        explained = sum(model.explained for models in self._models.values() for model in models)
        starts = {topic.name: [model.low for model in self._models[topic.name]] for topic in self._topics}
        print(
            f"{time.monotonic() - self._began:6.0f} s {counts} missing for a reason {explained}, "
            f"log starts {starts}, {objects_in(self._data / 'bucket')} objects, peak MiB {self._memory()}",
            file=sys.stderr,
            flush=True,
        )

    def _memory(self) -> dict[str, int]:
        """The highest RSS that was seen."""
        try:
            processes = {"node": psutil.Process(self._node.pid), "compactor": compactor_of(self._node)}
            for name, process in processes.items():
                if process is not None:
                    self._peaks[name] = max(self._peaks[name], process.memory_info().rss >> 20)
        except psutil.Error:  # killed just now
            pass
        return self._peaks


def troubles(output: str) -> list[str]:
    """Lines of a node's log, its compactor's included, that tell of an error."""
    return [found.group() for found in _TROUBLE.finditer(output)]
