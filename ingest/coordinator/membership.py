"""The members of a group: who they are, who leads, what they all speak. No states, no time, no answers."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ingest.coordinator.group_effects import MemberSnapshot, Ticket


@dataclass(slots=True, kw_only=True)
class Member:
    """One member of a group."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    rebalance_timeout_ms: int
    session_timeout_ms: int
    protocols: tuple[tuple[str, bytes], ...]  # (name, metadata), preferred first
    assignment: bytes = b""
    is_new: bool = False  # has not been told its member id yet
    lapses_at_ms: int = 0  # session deadline
    awaiting_join: Ticket | None = None
    awaiting_sync: Ticket | None = None

    @property
    def may_lapse(self) -> bool:
        """Whether the session deadline counts: a known member whose request is parked cannot heartbeat."""
        return self.is_new or (self.awaiting_join is None and self.awaiting_sync is None)

    def metadata(self, protocol: str | None) -> bytes:
        """What it said under a protocol; nothing when it does not speak it."""
        return next((metadata for name, metadata in self.protocols if name == protocol), b"")

    def snapshot(self, protocol: str | None, assignment: bytes) -> MemberSnapshot:
        """The member as it is stored, with the assignment that is to be stored."""
        return MemberSnapshot(
            self.member_id,
            self.instance_id,
            self.client_id,
            self.client_host,
            self.rebalance_timeout_ms,
            self.session_timeout_ms,
            self.metadata(protocol),
            assignment,
        )


class Membership:
    """Members by id in the order they came, static members by instance id, and the leader among them."""

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._static: dict[str, str] = {}  # instance id → member id
        self.leader: str | None = None

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        return iter(tuple(self._members.values()))

    def __contains__(self, member_id: str) -> bool:
        return member_id in self._members

    def __getitem__(self, member_id: str) -> Member:
        return self._members[member_id]

    def static_member_id(self, instance_id: str) -> str | None:
        """Member id that an instance id has now."""
        return self._static.get(instance_id)

    def add(self, member: Member) -> None:
        """Let a member in; the first one leads."""
        self._members[member.member_id] = member
        if member.instance_id is not None:
            self._static[member.instance_id] = member.member_id
        if self.leader is None:
            self.leader = member.member_id

    def remove(self, member_id: str) -> Member:
        """Let a member go; the oldest one left leads when the leader went."""
        member = self._members.pop(member_id)
        if member.instance_id is not None:
            self._static.pop(member.instance_id, None)
        if self.leader == member_id:
            self.leader = next(iter(self._members), None)
        return member

    def rename(self, old_id: str, new_id: str) -> tuple[Member, Member]:
        """Give a static member its new id: (the old one, the new one). The new one has nothing parked."""
        old = self._members.pop(old_id)
        new = replace(old, member_id=new_id, awaiting_join=None, awaiting_sync=None)
        self._members[new_id] = new
        if new.instance_id is not None:
            self._static[new.instance_id] = new_id
        if self.leader == old_id:
            self.leader = new_id
        return old, new

    def elect_joined_leader(self) -> bool:
        """Make sure the leader is one that has rejoined; False when nobody has (or nobody is there)."""
        if self.leader is None:
            return False
        if self._members[self.leader].awaiting_join is not None:
            return True
        joined = next((member.member_id for member in self if member.awaiting_join is not None), None)
        if joined is not None:
            self.leader = joined
        return joined is not None

    @property
    def awaiting_join(self) -> int:
        """How many have a JoinGroup parked."""
        return sum(member.awaiting_join is not None for member in self._members.values())

    @property
    def rebalance_timeout_ms(self) -> int:
        """The longest that any member asks for."""
        return max((member.rebalance_timeout_ms for member in self._members.values()), default=0)

    def common_protocols(self) -> set[str]:
        """Names of the protocols that every member speaks."""
        spoken = [{name for name, _ in member.protocols} for member in self._members.values()]
        return set.intersection(*spoken) if spoken else set()

    def elect_protocol(self) -> str:
        """The protocol most members prefer among those all speak; the earliest vote decides a tie."""
        common = self.common_protocols()
        votes: dict[str, int] = {}
        for member in self._members.values():
            choice = next(name for name, _ in member.protocols if name in common)
            votes[choice] = votes.get(choice, 0) + 1
        return max(votes, key=lambda name: votes[name])
