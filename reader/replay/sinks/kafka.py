"""Another topic, of this cluster or of any other, by librdkafka: with timestamps, keys, headers, perhaps partitions.

librdkafka takes one record at a time, so this is the one sink with Python for each record. After a kill, what was
acknowledged since the last commit is sent again when the replay goes on.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from confluent_kafka import KafkaError, KafkaException, Producer

from infra.error_code import ErrorCode
from infra.errors import Refused, Unavailable
from reader.replay.progress import Progress, ProgressFile
from reader.replay.request import BYTES

_SETTINGS: Mapping[str, Any] = {
    "enable.idempotence": True,
    "compression.type": "lz4",
    "linger.ms": 20,
    "batch.size": 1 << 20,
    "queue.buffering.max.kbytes": 64 << 10,
}
_FLUSH_SECONDS = 120.0
_POLL_SECONDS = 0.1


class KafkaTopic:
    """Implements `Sink`."""

    schema = BYTES
    commit_bytes = 64 << 20

    def __init__(
        self, bootstrap: str, topic: str, progress: Path, *, keep_partitions: bool, settings: Mapping[str, str]
    ) -> None:
        """`settings`: librdkafka's own, for example of security. Raises `Refused` for one that it does not know."""
        self.name = f"kafka://{bootstrap}/{topic}"
        self._topic = topic
        self._keep_partitions = keep_partitions
        self._file = ProgressFile(progress)
        self._trouble: KafkaError | None = None
        quiet = logging.getLogger(__name__)
        try:
            self._producer = Producer(
                {"bootstrap.servers": bootstrap, **_SETTINGS, **settings, "on_delivery": self._on_delivery},
                logger=quiet,
            )
        except (KafkaException, ValueError) as error:
            raise Refused(ErrorCode.INVALID_REQUEST, f"{self.name}: {_words(error)}") from error

    def progress(self) -> Progress | None:
        kept = self._file.load()
        return None if kept is None else kept.progress

    def begin(self, schema: pa.Schema, *, resumed: bool) -> None:
        missing = set(BYTES.names) - set(schema.names)
        if missing:
            raise Refused(
                ErrorCode.INVALID_REQUEST, f"records go to {self.name} whole: leave out the choice of columns"
            )

    def write(self, rows: pa.RecordBatch) -> None:
        columns = [rows.column(name).to_pylist() for name in ("partition", "key", "value", "headers")]
        timestamps = rows.column("timestamp").cast(pa.int64()).to_pylist()
        for partition, key, value, headers, timestamp in zip(*columns, timestamps, strict=True):
            self._produce(partition if self._keep_partitions else -1, key, value, headers, timestamp)
        self._producer.poll(0)
        self._check()

    def commit(self, progress: Progress) -> None:
        left = self._producer.flush(_FLUSH_SECONDS)
        self._check()
        if left:
            raise Unavailable(f"{self.name} did not take {left} records within {_FLUSH_SECONDS:g} s")
        self._file.save(progress, {})

    def finish(self) -> None:
        self._file.remove()

    def close(self) -> None:
        self._producer.purge()
        self._producer.flush(0)

    def _produce(self, partition: int, key: Any, value: Any, headers: list[Any], timestamp: int) -> None:
        try:
            pairs = [(one["key"].decode(), one["value"]) for one in headers]
        except UnicodeDecodeError:
            raise Refused(
                ErrorCode.INVALID_REQUEST, "a record has a header whose name is not UTF-8, which librdkafka cannot send"
            ) from None
        while True:
            try:
                self._producer.produce(self._topic, value, key, partition, timestamp=max(0, timestamp), headers=pairs)
                return
            except BufferError:
                self._producer.poll(_POLL_SECONDS)
                self._check()

    def _on_delivery(self, error: KafkaError | None, _: Any) -> None:
        self._trouble = self._trouble or error

    def _check(self) -> None:
        if self._trouble is not None:
            raise Unavailable(f"{self.name} did not take a record: {self._trouble.str()}")


def _words(error: Exception) -> str:
    first = error.args[0] if error.args else error
    return first.str() if isinstance(first, KafkaError) else str(first)
