"""What happens to a soak beside writing and reading: DeleteRecords, topics that come and go, and kills."""

import random
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from cauce.testing import CauceProcess
from tests.cauce.commands import run
from tests.cauce.kept import Row, read, write
from tests.soak.follower import Models
from tests.soak.score import Score
from tests.soak.topics import SoakTopic

_ANSWER_SECONDS = 30.0
_BACK_SECONDS = 20.0  # clients of a node that was killed find it again


def admin_client(bootstrap: str) -> AdminClient:
    """An admin client that does not print."""
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, "reconnect.backoff.max.ms": 200})


class Cutter(threading.Thread):
    """Deletes records now and then, where a topic allows it."""

    def __init__(self, bootstrap: str, topics: Sequence[SoakTopic], models: Models, score: Score) -> None:
        super().__init__(name="cutter", daemon=True)
        self._admin = admin_client(bootstrap)
        self._topics = [topic for topic in topics if topic.cut]
        self._models = models
        self._score = score
        self._random = random.Random(f"{score.seed} cutter")

    def run(self) -> None:
        """Until the soak stops."""
        while not self._score.stopping.wait(self._random.uniform(2, 8)):
            topic = self._random.choice(self._topics)
            self._cut(topic, self._random.randrange(topic.partitions))

    def _cut(self, topic: SoakTopic, partition: int) -> None:
        model = self._models[topic.name][partition]
        offset = self._random.randint(model.low, max(model.low, model.end))
        before, model.cut_at = model.low, max(model.cut_at, offset)
        place = TopicPartition(topic.name, partition, offset)
        try:
            [future] = self._admin.delete_records([place], request_timeout=_ANSWER_SECONDS).values()
            low = future.result().low_watermark
        except KafkaException as error:
            if not error.args[0].retriable() and not self._score.disturbed:
                self._score.fail(f"{topic.name}-{partition}", f"delete_records up to {offset}: {error}")
            return
        self._score.add("records deleted")
        if low < max(offset, before):
            self._score.fail(f"{topic.name}-{partition}", f"delete_records up to {offset} answered {low}")


class Lifecycle(threading.Thread):
    """Topics that are created, written, read, deleted, and in part undeleted and written again."""

    def __init__(self, node: CauceProcess, undelete_ms: int, score: Score) -> None:
        super().__init__(name="lifecycle", daemon=True)
        self._undelete_seconds = undelete_ms / 1000
        self._node = node
        self._admin = admin_client(node.bootstrap)
        self._score = score
        self._random = random.Random(f"{score.seed} lifecycle")
        self._number = 0
        self.deleted: list[str] = []
        self.living: dict[str, list[Row]] = {}

    def run(self) -> None:
        """Until the soak stops."""
        while not self._score.stopping.wait(self._random.uniform(1, 4)):
            began = time.monotonic()
            self._number += 1
            name = f"passing-{self._number}"
            try:
                self._one(name)
            except Exception as error:  # noqa: BLE001 (a kill in the middle is no failure; anything else is one)
                if self._score.disturbed_until < began:
                    self._score.fail(name, f"its life ended by {error!r}")

    def _one(self, name: str) -> None:
        topic = NewTopic(name, 2, config={"segment.bytes": "65536"})
        self._admin.create_topics([topic])[name].result(_ANSWER_SECONDS)
        written = write(self._node.bootstrap, name, _values(self._random), log_level=0)
        self._score.stopping.wait(self._random.uniform(0, 5))
        self._compare(name, written)
        stays = self._random.random() < 0.3
        began = time.monotonic()
        self._admin.delete_topics([name])[name].result(_ANSWER_SECONDS)
        self._score.add("topics deleted")
        if stays or self._random.random() < 0.3:
            done = run("topic", "undelete", name, "--data", str(self._node.data))
            if done.code and time.monotonic() - began > self._undelete_seconds:
                self._score.add("undeletes that came too late")
                self.deleted.append(name)
                return
            if done.code:
                raise RuntimeError(done.err)
            self._score.add("topics undeleted")
            self._await(name)
            self._compare(name, written)
            written = sorted(written + write(self._node.bootstrap, name, _values(self._random), log_level=0))
            self._compare(name, written)
            if stays:
                self.living[name] = written
                return
            self._admin.delete_topics([name])[name].result(_ANSWER_SECONDS)
            self._score.add("topics deleted")
        self.deleted.append(name)

    def check_living(self) -> None:
        """The topics that were to stay have what was written to them."""
        for name, written in self.living.items():
            self._compare(name, written)

    def _await(self, name: str) -> None:
        deadline = time.monotonic() + _ANSWER_SECONDS
        while name not in self._admin.list_topics(timeout=_ANSWER_SECONDS).topics:
            if time.monotonic() > deadline:
                raise RuntimeError("an undeleted topic did not come back")
            time.sleep(0.1)

    def _compare(self, name: str, written: list[Row]) -> None:
        found = read(self._node.bootstrap, name)
        if found != written:
            extra, missing = set(found) - set(written), set(written) - set(found)
            place = min(extra | missing)[:2]
            self._score.fail(name, f"{len(missing)} records are missing, {len(extra)} are not ours, first at {place}")


def _values(chance: random.Random) -> list[str]:
    return [f"{number} {'x' * chance.randrange(300)}" for number in range(chance.randrange(1, 400))]


class Killer(threading.Thread):
    """Ends the compactor or the node by SIGKILL, a number of times spread over the soak; starts the node again."""

    def __init__(self, node: CauceProcess, kills: int, seconds: float, score: Score) -> None:
        super().__init__(name="killer", daemon=True)
        self._node = node
        self._score = score
        self._random = random.Random(f"{score.seed} killer")
        self._times = sorted(self._random.uniform(0.1 * seconds, 0.9 * seconds) for _ in range(kills))

    def run(self) -> None:
        """Until the soak stops, or all kills are done."""
        began = time.monotonic()
        for at in self._times:
            if self._score.stopping.wait(max(0.0, began + at - time.monotonic())):
                return
            try:
                self._kill()
            except Exception as error:  # noqa: BLE001 (a node that does not start again is a failure of the soak)
                self._score.fail("killer", f"{error!r}")

    def _kill(self) -> None:
        compactor = compactor_of(self._node)
        if compactor is not None and self._random.random() < 0.6:
            compactor.send_signal(signal.SIGKILL)
            self._score.add("kills of the compactor")
            return
        self._score.disturb(10 * _BACK_SECONDS)
        self._node.kill()
        self._node.start()
        self._score.add("kills of the node")
        self._score.disturb(_BACK_SECONDS)


def compactor_of(node: CauceProcess) -> psutil.Process | None:
    """The node's compactor process, None while it has none."""
    for child in psutil.Process(node.pid).children():
        try:
            if "compactor" in child.cmdline():
                return child
        except psutil.Error:
            continue
    return None


def objects_in(bucket: Path) -> int:
    """How many objects lie in a folder bucket."""
    return sum(1 for path in bucket.rglob("*") if path.is_file())
