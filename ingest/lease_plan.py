"""Which leases this node should claim, give back or drop now: decided from a picture, without I/O.

A node leads the partitions that it prefers among the live ingest nodes. What somebody live leads is left alone; what
the bucket says of a lease is the takeover's business.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from infra.cluster.rendezvous import preferred_node
from infra.cluster.state import Topic
from infra.partition import Lease, PartitionId, SessionId
from infra.topic_config import TopicSettings
from ingest.claims import Claim

_REMEMBERED_PREFERENCES = 200_000  # partitions; forgotten all at once beyond it


@dataclass(frozen=True, slots=True)
class HeldLease:
    """A lease of this node, and what its epoch record says."""

    lease: Lease
    durability: str
    unclean: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """All that a decision rests on."""

    session: SessionId  # of this node
    ingest_nodes: Sequence[int]  # live ones; this node counts in any case
    topics: Sequence[Topic]
    is_deleted: Callable[[UUID], bool]  # a topic; one that is merely unknown was forgotten by the view
    settings: Callable[[Topic], TopicSettings]
    leader: Callable[[PartitionId], Lease | None]  # whose session lives
    held: Mapping[PartitionId, HeldLease]
    busy: Collection[PartitionId]  # being claimed or given back, or not to be claimed yet
    may_claim: bool  # False for one TTL after a new incarnation of the view
    search_own_wal: bool  # ask the bucket of all that nobody leads whether it waits for this node's WAL
    in_own_wal: Collection[PartitionId]  # partitions that the WAL is known to hold something of


@dataclass(frozen=True, slots=True)
class LeasePlan:
    """What to do now."""

    claims: tuple[Claim, ...] = ()
    releases: tuple[Lease, ...] = ()
    gone: tuple[Lease, ...] = ()  # their topics are deleted: given back too, for they may be undeleted
    stale: tuple[Lease, ...] = ()  # the view takes them for ours, and they are over


class LeasePlanner:
    """Makes plans; remembers only which node prefers what."""

    def __init__(self) -> None:
        self._nodes: tuple[int, ...] = ()
        self._preferred: dict[PartitionId, int | None] = {}

    def plan(self, picture: Picture) -> LeasePlan:
        """What to do now; the same picture always gives the same plan."""
        self._prefer_among(tuple(sorted({*picture.ingest_nodes, picture.session.node_id})))
        claims: list[Claim] = []
        releases: list[Lease] = []
        stale: list[Lease] = []
        for topic in picture.topics:
            settings = picture.settings(topic)
            for number in range(topic.partitions):
                partition = PartitionId(topic.topic_id, number)
                if partition in picture.busy:
                    continue
                held = picture.held.get(partition)
                if held is not None:
                    if self._must_release(picture, held, settings):
                        releases.append(held.lease)
                    continue
                leader = picture.leader(partition)
                if leader is not None and leader.session == picture.session:
                    stale.append(leader)
                    leader = None
                claim = self._claim(picture, topic, settings, partition, leader)
                if claim is not None:
                    claims.append(claim)
        gone = (
            one.lease
            for partition, one in picture.held.items()
            if partition not in picture.busy and picture.is_deleted(partition.topic_id)
        )
        return LeasePlan(tuple(claims), tuple(releases), tuple(gone), tuple(stale))

    def preferred(self, partition: PartitionId) -> int | None:
        """Which of the nodes of the last plan should lead a partition."""
        if partition not in self._preferred:
            if len(self._preferred) >= _REMEMBERED_PREFERENCES:
                self._preferred.clear()
            self._preferred[partition] = preferred_node(partition, self._nodes)
        return self._preferred[partition]

    def _prefer_among(self, nodes: tuple[int, ...]) -> None:
        if nodes != self._nodes:
            self._nodes = nodes
            self._preferred.clear()

    def _must_release(self, picture: Picture, held: HeldLease, settings: TopicSettings) -> bool:
        """Another live node prefers it, or its terms have changed: these change with a new epoch only."""
        if self.preferred(held.lease.partition) != picture.session.node_id:
            return True
        return (held.durability, held.unclean) != (settings.durability, settings.unclean_leader_election)

    def _claim(
        self, picture: Picture, topic: Topic, settings: TopicSettings, partition: PartitionId, leader: Lease | None
    ) -> Claim | None:
        if not picture.may_claim:
            return None
        node_id = picture.session.node_id
        free = leader is None or leader.session.node_id == node_id  # an earlier session of ours is over
        preferred = free and self.preferred(partition) == node_id
        if not preferred and not self._may_stand_in_own_wal(picture, partition, free):
            return None
        unclean = settings.unclean_leader_election
        return Claim(partition, topic.name, settings.durability, unclean, only_own_wal=not preferred)

    @staticmethod
    def _may_stand_in_own_wal(picture: Picture, partition: PartitionId, free: bool) -> bool:
        """Whether to ask the bucket. Also of what others lead, to learn that what our WAL holds of it is void."""
        return partition in picture.in_own_wal or (free and picture.search_own_wal)


class Waiting:
    """Partitions that are not to be claimed yet: until their time, or until the view tells of another leader."""

    def __init__(self) -> None:
        self._until: dict[PartitionId, tuple[float, Lease | None]] = {}

    def add(self, partition: PartitionId, until: float, last: Lease | None) -> None:
        """Wait until `until` (monotonic seconds), as long as `last` stays the last known lease."""
        self._until[partition] = (until, last)

    def now(self, now: float, last_leader: Callable[[PartitionId], Lease | None]) -> set[PartitionId]:
        """Those that still wait."""
        over = [one for one, (until, last) in self._until.items() if until <= now or last_leader(one) != last]
        for partition in over:
            del self._until[partition]
        return set(self._until)

    def clear(self) -> None:
        """Nothing waits any more."""
        self._until.clear()
