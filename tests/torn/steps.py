"""Two transactions held at a step of being ended, one to be committed, one aborted; a fault; what becomes of them.

Both have records in all partitions of all leaders, and an offset of a group. What their producers were told must be so
in every partition, whatever dies at whatever step; and both producers must be able to go on.
"""

import enum
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaException, Producer, TopicPartition

from cauce.data_folder import DataFolder
from cauce.testing import CauceProcess
from ingest.coordinator.placement import partition_of_key
from ingest.coordinator.transaction_coordinator import TRANSACTIONS_TOPIC
from tests.cauce.cluster import ThreeNodes, eventually, nodes_on, shared_redis
from tests.cauce.transactions import SECONDS, Value, committed, producer, write
from tests.torn.held_node import FOLDER, STEP

TOPIC = "accounts"
PARTITIONS = 18  # enough that each node leads some
OBJECT, WAL = "object", "wal"
_STATE_PARTITIONS = 4


class Fault(enum.StrEnum):
    """What happens while the transactions are held."""

    COORDINATOR_KILLED = "coordinator-killed"
    LEADER_KILLED = "leader-killed"
    REDIS_WIPED = "redis-wiped"
    COORDINATOR_KILLED_AND_REDIS_WIPED = "coordinator-killed-and-redis-wiped"


class HeldNode(CauceProcess):
    """A node whose coordinators can be held."""

    module = "tests.torn.held_node"


@dataclass(frozen=True)
class Held:
    """A cluster of such nodes."""

    nodes: ThreeNodes
    folder: Path  # where steps are named
    redis: str
    durability: str

    def hold_at(self, step: str) -> None:
        """Stop coordinators there, from now on."""
        for old in self.folder.glob("held-*"):
            old.unlink()
        (self.folder / STEP).write_text(step, encoding="utf-8")

    def let_go(self) -> None:
        """All of them."""
        (self.folder / STEP).unlink()

    def held(self) -> int:
        """How many transactions have come to the step."""
        return len(list(self.folder.glob("held-*")))

    def leader_of(self, topic: str, partition: int) -> CauceProcess:
        """Who leads it, by the word of a node that lives."""
        return self._node(self.nodes.leaders(topic)[partition])

    def _node(self, node_id: int) -> CauceProcess:
        return next(node for node in self.nodes.living if DataFolder(node.data).node_id() == node_id)

    def wipe_redis(self) -> None:
        """FLUSHALL."""
        with redis.Redis.from_url(self.redis, protocol=2) as client:
            client.flushall()


@contextmanager
def held_cluster(durability: str = OBJECT) -> Iterator[Held]:
    """Three nodes and a topic; what is left of them is stopped in the end."""
    settings = {
        "cauce.durability": durability,
        "cauce.flush.interval.ms": "20",
        "group.initial.rebalance.delay.ms": "0",
        "transaction.state.log.num.partitions": str(_STATE_PARTITIONS),
        "cauce.view.repair.interval.ms": "1000",
    }
    with tempfile.TemporaryDirectory(prefix="cauce-") as name, shared_redis(Path(name)) as url:
        folder = Path(name)
        (folder / "held").mkdir()
        environment = {FOLDER: str(folder / "held")}
        bucket = (folder / "bucket").as_uri()
        with nodes_on(folder, bucket, url, settings, process=HeldNode, environment=environment) as nodes:
            nodes.create_topic(TOPIC, PARTITIONS)
            yield Held(nodes, folder / "held", url, durability)


def tear(cluster: Held, step: str, fault: Fault) -> None:
    """Hold two transactions at a step, do it, and see that both end as their producers were told."""
    name = f"{step}.{fault}"
    first, second = _ids_of_one_coordinator(name)
    patient = {"transaction.timeout.ms": 300_000}
    committing, aborting = (producer(cluster.nodes.bootstrap, one, **patient) for one in (first, second))
    committing.begin_transaction()
    aborting.begin_transaction()
    for made, value in ((committing, "commit"), (aborting, "abort")):
        for partition in range(PARTITIONS):
            made.produce(TOPIC, f"{name}.{value}".encode(), partition=partition)
        assert made.flush(SECONDS) == 0
    _commit_offset(committing, cluster.nodes.bootstrap, first)
    _commit_offset(aborting, cluster.nodes.bootstrap, second)
    cluster.hold_at(step)
    try:
        committing.commit_transaction(SECONDS)
        aborting.abort_transaction(SECONDS)
        eventually("both transactions are held", lambda: cluster.held() == 2)
        killed = _strike(cluster, fault, first)
    finally:
        cluster.let_go()
    if killed is not None and cluster.durability == WAL:
        killed.start()  # its disk has what it leads
    living = ",".join(node.bootstrap for node in cluster.nodes.living)
    expected: list[Value] = [(partition, f"{name}.commit".encode()) for partition in range(PARTITIONS)]

    def seen() -> list[Value]:
        found = committed(living, TOPIC, PARTITIONS)
        return [one for one in found if one[1].startswith(name.encode() + b".")]

    eventually("all of the one and nothing of the other is read", lambda: seen() == expected)
    eventually("the offset is committed", lambda: _offset(living, first) == 7)
    eventually("the other offset is not", lambda: _offset(living, second) == OFFSET_INVALID)
    for made in (committing, aborting):  # both are complete, else they could not go on
        write(made, TOPIC, [(partition, f"{name}.next".encode()) for partition in range(PARTITIONS)])
    expected += 2 * [(partition, f"{name}.next".encode()) for partition in range(PARTITIONS)]
    eventually("what follows is read", lambda: sorted(seen()) == sorted(expected))
    if killed is not None and not killed.running:
        killed.start()
    cluster.nodes.await_leaders(TOPIC)


def _strike(cluster: Held, fault: Fault, transactional_id: str) -> CauceProcess | None:
    """Who was killed."""
    coordinator = cluster.leader_of(TRANSACTIONS_TOPIC, partition_of_key(transactional_id, _STATE_PARTITIONS))
    killed = None
    if fault in (Fault.COORDINATOR_KILLED, Fault.COORDINATOR_KILLED_AND_REDIS_WIPED):
        killed = coordinator
    elif fault is Fault.LEADER_KILLED:
        leaders = (cluster.leader_of(TOPIC, partition) for partition in range(PARTITIONS))
        killed = next(node for node in leaders if node is not coordinator)
    if killed is not None:
        killed.kill()
    if fault in (Fault.REDIS_WIPED, Fault.COORDINATOR_KILLED_AND_REDIS_WIPED):
        cluster.wipe_redis()
    return killed


def _ids_of_one_coordinator(name: str) -> tuple[str, str]:
    """Two transactional ids of one partition."""
    first = f"{name}.0"
    return first, next(other for other in (f"{name}.{n}" for n in range(1, 10_000)) if _same_place(first, other))


def _same_place(one: str, other: str) -> bool:
    return partition_of_key(one, _STATE_PARTITIONS) == partition_of_key(other, _STATE_PARTITIONS)


def _commit_offset(made: Producer, bootstrap: str, group: str) -> None:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "log_level": 0})
    try:
        place = TopicPartition(TOPIC, 0, 7)
        made.send_offsets_to_transaction([place], consumer.consumer_group_metadata(), SECONDS)
    finally:
        consumer.close()


def _offset(bootstrap: str, group: str) -> int | None:
    """What the group has committed for good; None while its coordinator cannot say."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "log_level": 0})
    try:
        return int(consumer.committed([TopicPartition(TOPIC, 0)], SECONDS)[0].offset)
    except KafkaException:
        return None
    finally:
        consumer.close()
