"""What a node wants to lead, the lease that was there before, and what became of the claim. Plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.cluster.records import EpochRecord
from infra.partition import PartitionId, SessionId
from infra.ports import Durability, TakenLease


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease that this node wants, and what its epoch record shall say."""

    partition: PartitionId
    topic: str
    durability: Durability
    unclean: bool
    only_own_wal: bool = False  # take it only when it waits for this node's WAL


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of claims."""

    taken: tuple[TakenLease, ...] = ()
    waiting: Mapping[PartitionId, str] = field(default_factory=dict)  # → id of the WAL that they wait for
    left: frozenset[PartitionId] = frozenset()  # somebody else's, at least for now
    void: frozenset[PartitionId] = frozenset()  # of these, nothing of this node's WAL is in the log


@dataclass(frozen=True, slots=True)
class Predecessor:
    """A claim and the lease before it."""

    claim: Claim
    leader_epoch: int
    record: EpochRecord
    released: bool

    @property
    def partition(self) -> PartitionId:
        """Whose lease."""
        return self.claim.partition

    @property
    def session(self) -> SessionId:
        """Who led."""
        return self.record.session

    def waits_for(self, own_wal_id: str | None) -> str | None:
        """The WAL that must come back first: acknowledged records may stand there and nowhere else."""
        if self.released or self.record.durability != "wal" or self.record.unclean:
            return None
        return None if self.record.wal_id in (None, own_wal_id) else self.record.wal_id

    def stands_in(self, wal_id: str | None) -> bool:
        """True when acknowledged records may stand in that WAL."""
        return not self.released and self.record.durability == "wal" and self.record.wal_id == wal_id is not None
