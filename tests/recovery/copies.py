"""One round: a node under load, its bucket copied object by object in any order, some left out; the copy opened.

What must hold of the copy: below the offset that `cauce recover --dry-run` calls whole every record is the original's;
above it none is another's; later writes go on above, and stay what they are when Redis is lost once more.
"""

import fcntl
import random
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicPartition

from cauce.testing import CauceProcess
from tests.cauce.cluster import eventually, read_all
from tests.cauce.commands import ends
from tests.cauce.kept import write
from tests.cauce.steady_producer import SteadyProducer

TOPIC, PARTITIONS = "copied", 3
_OPTIONS = {
    "cauce.durability": "object",
    "cauce.flush.interval.ms": "20",
    "cauce.compaction.interval.ms": "100",
    "cauce.compaction.bytes": "6000",
    "cauce.compaction.age.ms": "400",
    "offsets.topic.num.partitions": "1",
    "num.partitions": str(PARTITIONS),
}
_COPY_SECONDS = 1.5
_PAUSE_SECONDS = 0.01  # between records, so that what is written leaves the compactor its share of a busy machine


@dataclass(slots=True)
class Outcome:
    """What a round met, so that a run can tell that it met everything."""

    late: int = 0
    mended: int = 0
    left: int = 0  # partitions that lose something
    compared: int = 0  # records below the whole offset
    void: int = 0
    record_segments: int = 0


def copy_round(folder: Path, seed: int, *, kills: int, late: float, again: bool = True) -> Outcome:
    """One round; `late`: the share of objects that the copy lacks; `again`: lose Redis once more. Raises
    `AssertionError`."""
    dice = random.Random(seed)
    with _node(folder / "original") as node:
        with SteadyProducer(node.bootstrap, TOPIC, _PAUSE_SECONDS) as producer:
            for _ in range(kills):
                producer.await_more(200)
                node.kill()
                node.start()
            manifests = folder / "original" / "bucket" / "manifests"
            eventually("something was compacted", lambda: len(list(manifests.glob("*/*/*"))) >= PARTITIONS)
            left_out = _copy(folder / "original" / "bucket", folder / "copy" / "bucket", dice, late)
            producer.await_more(20)  # so that something is written that the copy cannot have
        original = read_all(node.bootstrap, TOPIC, PARTITIONS)
    assert producer.promised(original).items() <= original.items()
    outcome = Outcome(late=left_out)
    _open_copy(folder / "copy", original, outcome, give_up=dice.random() < 0.5, again=again)
    return outcome


def _open_copy(
    data: Path, original: dict[tuple[int, int], bytes], outcome: Outcome, *, give_up: bool, again: bool
) -> None:
    told = ends("recover", "--data", str(data), "--dry-run", "--json", *(["--give-up"] if give_up else [])).json
    rows = {row["partition"]: row for row in told["partitions"] if row["topic"] == TOPIC}
    outcome.mended = told["would_mend"]
    outcome.void = sum(row["void_extents"] for row in rows.values())
    outcome.record_segments = sum(row["record_segments"] for row in rows.values())
    if told["would_mend"]:
        done = ends("recover", "--data", str(data), "--json", *(["--give-up"] if give_up else [])).json
        assert done["mended"] == told["would_mend"]
        assert done["partitions"] == told["partitions"]
    after_it = ends("recover", "--data", str(data), "--dry-run", "--json").json
    lossy = {row["partition"] for row in after_it["partitions"] if row["topic"] == TOPIC and row["missing"]}
    nothing = {"whole_up_to": 0, "end_offset": 0}  # a partition without any ledger
    for partition in range(PARTITIONS) if rows else ():
        rows.setdefault(partition, nothing)
    ledgers = {
        row["partition"]
        for row in after_it["partitions"]
        if row["topic"] == TOPIC
        and any("manifest" in sentence or ".parquet" in sentence for sentence in row["missing"])
    }
    outcome.left = len(lossy)
    if not rows or ledgers:
        return  # nothing of the topic is there; or a partition waits for its objects
    with _node(data, "--set", "cauce.roles=ingest,reader") as node:
        _compare(node, rows, original, outcome, set())
        first = write(node.bootstrap, TOPIC, [f"after-{number}" for number in range(200)])
        after = {(partition, offset): value for partition, offset, _, value in first}
        for (partition, offset), value in after.items():
            assert offset >= rows[partition]["whole_up_to"], (
                f"offset {offset} of {partition} was taken again: {value!r}"
            )
        _compare(node, rows, original, outcome, after)
        if not again:
            return
        node.kill()
        lose_redis(data)
        node.start()
        _compare(node, rows, original, outcome, after)


def _compare(
    node: CauceProcess, rows: dict[int, Any], original: dict[tuple[int, int], bytes], outcome: Outcome, after: Any
) -> None:
    ends = {partition: row["end_offset"] for partition, row in rows.items()}
    stands = _read(node.bootstrap, rows)
    for place, value in stands.items():
        if place in after:
            assert value == after[place], place
        else:
            assert place[1] < ends[place[0]], f"{place} is there, though the log ended at {ends[place[0]]}"
            assert value == original[place], place
    for place in after:
        assert place in stands, place
    whole = [place for place in original if place[0] in rows and place[1] < rows[place[0]]["whole_up_to"]]
    for place in whole:
        assert place in stands, f"{place} is missing below {rows[place[0]]['whole_up_to']}"
    outcome.compared += len(whole)


def _read(bootstrap: str, rows: dict[int, Any]) -> dict[tuple[int, int], bytes]:
    """All of the copied topic; at a hole consumers are refused, so what lies above one is read from the end on."""
    found: dict[tuple[int, int], bytes] = {}
    for partition, row in rows.items():
        whole, end = row["whole_up_to"], row["end_offset"]
        for begin, stop in [(0, None)] if whole == end else [(0, whole), (end, None)]:
            if begin != stop:
                found |= _read_partition(bootstrap, partition, begin, stop)
    return found


def _read_partition(bootstrap: str, partition: int, begin: int, stop: int | None) -> dict[tuple[int, int], bytes]:
    """From an offset up to another, or to the end."""
    settings: dict[str, Any] = {"group.id": "not-used", "enable.partition.eof": True, "fetch.wait.max.ms": 50}
    consumer = Consumer({"bootstrap.servers": bootstrap, **settings})
    consumer.assign([TopicPartition(TOPIC, partition, begin)])
    found: dict[tuple[int, int], bytes] = {}

    def ended() -> bool:
        batch: list[Any] = consumer.consume(1000, 0.2)
        for message in batch:
            if message.error() is None and (stop is None or message.offset() < stop):
                found[partition, message.offset()] = message.value()
            elif message.error() is not None and message.error().code() == KafkaError._PARTITION_EOF:
                return True
        return stop is not None and (partition, stop - 1) in found

    try:
        eventually(f"{TOPIC}-{partition} is read from {begin} to {stop}", ended)
    finally:
        consumer.close()
    return found


def _node(data: Path, *more: str) -> CauceProcess:
    options = [word for name, value in _OPTIONS.items() for word in ("--set", f"{name}={value}")]
    return CauceProcess(data, options=[*options, *more])


def _copy(source: Path, target: Path, dice: random.Random, late: float) -> int:
    """Copy what is listed now, in any order, while it is written; how many objects were left out."""
    keys = [path.relative_to(source) for path in source.rglob("*") if path.is_file() and ".incoming" not in path.parts]
    dice.shuffle(keys)
    left_out = 0
    for key in keys:
        if str(key) != "cluster.json" and dice.random() < late:
            left_out += 1
            continue
        (target / key).parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(source / key, target / key)
        except FileNotFoundError:  # garbage by now
            left_out += 1
        time.sleep(_COPY_SECONDS / len(keys))
    return left_out


def lose_redis(data: Path) -> None:
    """Forget the view of a node that was killed, once its server has gone."""

    def gone() -> bool:
        try:
            shutil.rmtree(data / "redis")
        except OSError:
            return False
        return True

    with (data / "redis" / "redis.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        eventually("Redis is lost", gone)
