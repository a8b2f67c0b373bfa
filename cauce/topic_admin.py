"""Creating, growing and deleting topics for whoever asks: requests are checked here, the topic ledger decides.

Used by CreateTopics, by Metadata's auto-creation and by coordinators that need their internal topic.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from infra.cluster.state import ClusterState, Topic
from infra.cluster.topics import TopicLedger
from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.limits import MAX_PARTITIONS_OF_TOPIC
from infra.partition import PartitionId
from infra.table_config import check_table_support
from infra.topic_config import INTERNAL_TOPICS, check_topic_configs, check_topic_name

LEADERS_WITHIN_SECONDS = 5.0  # how long a creation waits for its partitions to be led, before it answers anyway
_BY_DEFAULT = -1
_INTERNAL_CONFIGS: Mapping[str, Mapping[str, str]] = {
    "__consumer_offsets": {"cleanup.policy": "compact"},
    # A decision that was lost could tear a transaction.
    "__transaction_state": {"cleanup.policy": "compact", "unclean.leader.election.enable": "false"},
}


@dataclass(frozen=True, slots=True)
class NewTopic:
    """A topic as somebody wants it. -1 partitions or replication factor: the cluster's default."""

    name: str
    partitions: int = _BY_DEFAULT
    replication_factor: int = _BY_DEFAULT
    assignments: Mapping[int, Sequence[int]] | None = None  # partition → node ids; checked, then only counted
    configs: Mapping[str, str | None] | None = None


class TopicAdmin:
    """The one way topics come, grow and go on this node."""

    def __init__(
        self,
        state: ClusterState,
        ledger: TopicLedger,
        *,
        default_partitions: int,
        internal_partitions: Mapping[str, int],
        changed: Callable[[], None],
    ) -> None:
        """`internal_partitions`: of each internal topic. `changed` is called after each change, so that this node
        claims what it should lead at once."""
        self._state = state
        self._ledger = ledger
        self._default_partitions = default_partitions
        self._internal_partitions = internal_partitions
        self._changed = changed

    def check(self, wanted: NewTopic) -> int:
        """How many partitions the topic would get; raises `Refused` with Kafka's code when it cannot be created."""
        check_topic_name(wanted.name)
        if self._state.topic_by_name(wanted.name) is not None:
            raise Refused(ErrorCode.TOPIC_ALREADY_EXISTS, f"topic {wanted.name!r} exists already")
        self._check_collision(wanted.name)
        check_topic_configs(wanted.configs or {})
        check_table_support(wanted.configs or {})
        if wanted.assignments:
            return self._check_assignments(wanted)
        if wanted.replication_factor == 0 or wanted.replication_factor < _BY_DEFAULT:
            raise Refused(ErrorCode.INVALID_REPLICATION_FACTOR, "the replication factor must be larger than 0")
        return self._check_count(self._default_partitions if wanted.partitions == _BY_DEFAULT else wanted.partitions)

    async def create(self, wanted: NewTopic, wait_seconds: float = LEADERS_WITHIN_SECONDS) -> Topic:
        """Create a topic and wait until its partitions are led (or the time is over). Raises `Refused`."""
        partitions = self.check(wanted)
        configs = {name: text for name, text in (wanted.configs or {}).items() if text is not None}
        topic = await self._ledger.create(wanted.name, partitions, configs)
        await self._settle(topic.topic_id, wait_seconds)
        return topic

    async def ensure(self, name: str) -> Topic:
        """The topic of that name, created with the defaults if need be."""
        topic = self._state.topic_by_name(name)
        if topic is not None:
            return topic
        internal = name in INTERNAL_TOPICS
        configs = _INTERNAL_CONFIGS[name] if internal else {}
        partitions = self._internal_partitions[name] if internal else _BY_DEFAULT
        try:
            return await self.create(NewTopic(name, partitions, configs=configs))
        except Refused as refused:
            if refused.code is not ErrorCode.TOPIC_ALREADY_EXISTS:
                raise
            await self._state.refresh()
            topic = self._state.topic_by_name(name)
            if topic is None:
                raise
            return topic

    def check_partitions(self, topic: Topic, count: int, assignments: Sequence[Sequence[int]] | None) -> None:
        """Raise `Refused` unless the topic can grow to `count` partitions."""
        if count <= topic.partitions:
            raise Refused(
                ErrorCode.INVALID_PARTITIONS,
                f"topic {topic.name!r} has {topic.partitions} partitions already; ask for more than that",
            )
        self._check_count(count)
        if assignments is None:
            return
        if len(assignments) != count - topic.partitions:
            raise Refused(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT,
                f"{count - topic.partitions} partitions would be added, but {len(assignments)} are assigned",
            )
        self._check_nodes(assignments)

    async def add_partitions(self, topic: Topic, count: int, wait_seconds: float = LEADERS_WITHIN_SECONDS) -> None:
        """Grow a topic to `count` partitions and wait until they are led. Raises `Refused`."""
        await self._ledger.add_partitions(topic.topic_id, count)
        await self._settle(topic.topic_id, wait_seconds)

    async def delete(self, topic: Topic) -> None:
        """Delete a topic: its name is free at once, its data becomes garbage."""
        await self._ledger.delete(topic.topic_id)
        await self._state.refresh()
        self._changed()

    async def alter_configs(self, topic: Topic, change: Callable[[Mapping[str, str]], Mapping[str, str]]) -> None:
        """Replace a topic's configs by what `change` makes of the newest ones."""
        await self._ledger.alter_configs(topic.topic_id, change)
        await self._state.refresh()
        self._changed()

    async def _settle(self, topic_id: UUID, wait_seconds: float) -> None:
        await self._state.refresh()
        self._changed()

        def led() -> bool:
            topic = self._state.topic_by_id(topic_id)
            return topic is None or all(
                self._state.leader(PartitionId(topic_id, number)) is not None for number in range(topic.partitions)
            )

        await self._state.wait_until(led, wait_seconds)

    def _check_count(self, count: int) -> int:
        if not 1 <= count <= MAX_PARTITIONS_OF_TOPIC:
            raise Refused(
                ErrorCode.INVALID_PARTITIONS, f"the number of partitions must be 1 to {MAX_PARTITIONS_OF_TOPIC}"
            )
        return count

    def _check_assignments(self, wanted: NewTopic) -> int:
        assignments = wanted.assignments or {}
        if wanted.partitions != _BY_DEFAULT or wanted.replication_factor != _BY_DEFAULT:
            raise Refused(
                ErrorCode.INVALID_REQUEST,
                "give either assignments or numbers of partitions and replicas, and -1 for what is not given",
            )
        if sorted(assignments) != list(range(len(assignments))):
            raise Refused(ErrorCode.INVALID_REPLICA_ASSIGNMENT, "assigned partitions must be 0, 1, 2 … without a gap")
        self._check_nodes(list(assignments.values()))
        return self._check_count(len(assignments))

    def _check_nodes(self, assignments: Sequence[Sequence[int]]) -> None:
        known = {node.session.node_id for node in self._state.brokers()}
        factors = {len(nodes) for nodes in assignments}
        if len(factors) != 1 or 0 in factors:
            problem = "every partition must be assigned to the same number of nodes, one at least"
        elif any(len(set(nodes)) != len(nodes) for nodes in assignments):
            problem = "a node is assigned twice to one partition"
        elif not known.issuperset(node for nodes in assignments for node in nodes):
            problem = f"only the nodes {sorted(known)} are there"
        else:
            return
        raise Refused(ErrorCode.INVALID_REPLICA_ASSIGNMENT, problem)

    def _check_collision(self, name: str) -> None:
        flat = name.replace(".", "_")
        for topic in self._state.topics():
            if topic.name != name and topic.name.replace(".", "_") == flat:
                raise Refused(
                    ErrorCode.INVALID_TOPIC_EXCEPTION,
                    f"topic {name!r} differs from {topic.name!r} only in '.' and '_', which metrics cannot tell apart",
                )
