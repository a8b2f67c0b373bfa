"""A node with a topic whose records all lie in record segments: what readers of history are measured on."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.history_load import produce_all
from bench.history_ways import Place, compacted
from cauce.testing import CauceProcess

TOPIC = "transactions"
SEED = 1
_SECONDS = 3600.0
_QUICKLY = ("cauce.compaction.interval.ms=1000", "cauce.compaction.age.ms=5000")


@contextmanager
def new_node(settings: Sequence[str] = ()) -> Iterator[tuple[CauceProcess, Place]]:
    """A node of its own in a folder of its own, which goes with it. `settings`: NAME=VALUE."""
    with tempfile.TemporaryDirectory(prefix="cauce-bench-") as folder:
        options = [word for one in settings for word in ("--set", one)]
        with CauceProcess(Path(folder), options=options) as node:
            yield node, Place(node.bootstrap, Path(folder))


@contextmanager
def compacted_topic(records: int, partitions: int) -> Iterator[tuple[CauceProcess, Place]]:
    """A node that has so many transactions in `TOPIC`, about; nothing of them waits for compaction any more."""
    with new_node(_QUICKLY) as (node, place):
        make_topic(node.bootstrap, TOPIC, partitions)
        each = records // partitions
        produce_all(node.bootstrap, TOPIC, SEED, partitions, each)
        await_compaction(place, each * partitions)
        yield node, place


def make_topic(bootstrap: str, name: str, partitions: int) -> None:
    """A new topic that keeps its records, however old their timestamps."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(name, partitions, config={"retention.ms": "-1"})])[name].result(60)


def await_compaction(place: Place, records: int) -> None:
    """Until so many records of its only topic lie in record segments. Raises `SystemExit` when that takes an hour."""
    deadline = time.monotonic() + _SECONDS
    while (done := compacted(place)) < records:
        if time.monotonic() > deadline:
            raise SystemExit(f"only {done} of {records} records were compacted")
        time.sleep(1.0)
