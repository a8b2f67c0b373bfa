"""The application as a process that is killed and started again, and the records that it is given meanwhile."""

import json
import random
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from tests.apps.quix.model import Number

APPLICATION = Path(__file__).with_name("application.py")
GROUP, NUMBERS, SUMS, PARTITIONS = "sums", "numbers", "sums", 3  # as the application has them
_KEYS = 12
_FLUSH_SECONDS = 150.0


class Feeder(threading.Thread):
    """Writes numbers all the time, each once (an idempotent producer whose records never time out)."""

    def __init__(self, bootstrap: str, seed: int, rate: float) -> None:
        super().__init__(name="feeder", daemon=True)
        self.sent: dict[int, Number] = {}
        self.unanswered = 0
        self._acknowledged = 0
        self._rate = rate
        self._random = random.Random(f"{seed} feeder")
        self._stopping = threading.Event()
        settings = {"enable.idempotence": True, "message.timeout.ms": 0, "partitioner": "murmur2"}  # as the application
        self._producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0, **settings})

    def run(self) -> None:
        """Until it is stopped."""
        while not self._stopping.wait(self._random.uniform(0, 2) / self._rate):
            number = len(self.sent)
            made = self.sent[number] = Number(
                f"k{self._random.randrange(_KEYS)}", number, self._random.randint(-99, 99)
            )
            payload = json.dumps({"number": made.number, "value": made.value})
            self._producer.produce(NUMBERS, payload, made.key, on_delivery=self._answered)
            self._producer.poll(0)

    def stop(self) -> None:
        """Write no more; every record gets its answer."""
        self._stopping.set()
        self.join()
        self._producer.flush(_FLUSH_SECONDS)
        self.unanswered = len(self.sent) - self._acknowledged

    def _answered(self, error: Any, message: Any) -> None:
        self._acknowledged += error is None


class Application:
    """One life after the other, on one folder for its state."""

    def __init__(self, python: Path, bootstrap: str, folder: Path) -> None:
        self.log = folder / "application.log"
        self.processed = 0  # in this life
        self.ended_by_itself = 0
        self._command = [str(python), str(APPLICATION), bootstrap, str(folder / "state")]
        self._state = folder / "state"
        self._process: subprocess.Popen[str] | None = None
        self._follower: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether it lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """A life begins."""
        self.processed = 0
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._follower = threading.Thread(target=self._follow, args=(self._process,), daemon=True)
        self._follower.start()

    def keep(self) -> None:
        """Start it again if it ended by itself, as whoever runs it would."""
        if not self.running:
            self.ended_by_itself += 1
            self.start()

    def kill(self) -> None:
        """End it as `kill -9` does."""
        assert self._process is not None, "it was never started"
        assert self._follower is not None
        self._process.kill()
        self._process.wait()
        self._follower.join()

    def lose_state(self) -> None:
        """What it kept on disk is gone; the changelog has it."""
        shutil.rmtree(self._state, ignore_errors=True)

    def _follow(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        with self.log.open("a") as log:
            for line in process.stdout:
                if line.startswith("processed "):
                    self.processed += 1
                else:
                    log.write(line)
                    log.flush()
