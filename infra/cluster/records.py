"""What the ledgers of a cluster say, except of manifests: one frozen class a kind of record, each with its JSON.

`decode(body, where)` raises `Corrupt` for bytes that are no such record and `BadStart` for a newer format; `where`
names the object. Must not know how ledgers are read or who writes them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self
from uuid import UUID

from infra.cluster.record_format import decode_record, encode_record
from infra.partition import SessionId
from infra.ports import Durability, EpochStart

NO_CONFIGS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ClusterRecord:
    """`cluster.json`: whose bucket this is."""

    cluster_id: str  # 22 letters, a base64 UUID, as Kafka's

    def encode(self) -> bytes:
        """As JSON."""
        return encode_record({"cluster_id": self.cluster_id})

    @classmethod
    def decode(cls, body: bytes, where: str) -> Self:
        """From JSON."""
        return decode_record(body, where, lambda fields: cls(str(fields["cluster_id"])))


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """`sessions/<node id>/<node epoch>`: a node that registered."""

    endpoints: Mapping[str, str]  # listener name → "host:port"
    rack: str | None
    roles: frozenset[str]
    writer: str  # a random word: tells two processes apart that want the same number
    started_ms: int

    def encode(self) -> bytes:
        """As JSON."""
        return encode_record(
            {
                "endpoints": dict(self.endpoints),
                "rack": self.rack,
                "roles": sorted(self.roles),
                "writer": self.writer,
                "started_ms": self.started_ms,
            }
        )

    @classmethod
    def decode(cls, body: bytes, where: str) -> Self:
        """From JSON."""
        return decode_record(
            body,
            where,
            lambda fields: cls(
                dict(fields["endpoints"]),
                fields["rack"],
                frozenset(fields["roles"]),
                str(fields["writer"]),
                int(fields["started_ms"]),
            ),
        )


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """`epochs/<topic id>/<partition>/<leader epoch>`: who leads from which offset on, and what a claimant must obey.

    It repeats the starts of the epochs before it, so that the newest record alone tells the whole chain.
    """

    session: SessionId
    start_offset: int
    durability: Durability
    unclean: bool  # unclean.leader.election.enable
    wal_id: str | None  # of the disk that acknowledged records stand on; None when the leader keeps no WAL
    earlier: tuple[EpochStart, ...] = ()  # ascending; without epochs that wrote nothing

    def encode(self) -> bytes:
        """As JSON."""
        return encode_record(
            {
                "node_id": self.session.node_id,
                "node_epoch": self.session.node_epoch,
                "start_offset": self.start_offset,
                "durability": self.durability,
                "unclean": self.unclean,
                "wal_id": self.wal_id,
                "earlier": [[one.leader_epoch, one.start_offset] for one in self.earlier],
            }
        )

    @classmethod
    def decode(cls, body: bytes, where: str) -> Self:
        """From JSON."""
        return decode_record(body, where, cls._make)

    @classmethod
    def _make(cls, fields: Mapping[str, Any]) -> Self:
        durability: Durability
        match fields["durability"]:
            case "wal":
                durability = "wal"
            case "object":
                durability = "object"
            case other:
                raise ValueError(f"durability {other!r}")
        return cls(
            SessionId(int(fields["node_id"]), int(fields["node_epoch"])),
            int(fields["start_offset"]),
            durability,
            bool(fields["unclean"]),
            fields["wal_id"],
            tuple(EpochStart(int(epoch), int(start)) for epoch, start in fields["earlier"]),
        )

    def chain(self, leader_epoch: int) -> tuple[EpochStart, ...]:
        """All epochs that may hold records, ascending; the last is this one, whose number the key tells."""
        return (*self.earlier, EpochStart(leader_epoch, self.start_offset))

    def chain_before(self, leader_epoch: int, next_start: int) -> tuple[EpochStart, ...]:
        """What the next epoch's record repeats when it starts at `next_start`."""
        chain = self.chain(leader_epoch)
        return chain if next_start > self.start_offset else chain[:-1]


@dataclass(frozen=True, slots=True)
class TopicRecord:
    """`topics/<topic id>/<version>`: all there is to know of a topic; the newest version counts."""

    topic_id: UUID
    name: str
    partitions: int
    configs: Mapping[str, str] = field(default_factory=lambda: NO_CONFIGS)
    deleted_ms: int | None = None  # wall clock of its deletion; its data is kept for a while
    purged: bool = False  # deleted for good: it can be brought back no more, and its objects go

    def encode(self) -> bytes:
        """As JSON."""
        return encode_record(
            {
                "topic_id": str(self.topic_id),
                "name": self.name,
                "partitions": self.partitions,
                "configs": dict(self.configs),
                "deleted_ms": self.deleted_ms,
                **({"purged": True} if self.purged else {}),
            }
        )

    @classmethod
    def decode(cls, body: bytes, where: str) -> Self:
        """From JSON."""
        return decode_record(
            body,
            where,
            lambda fields: cls(
                UUID(fields["topic_id"]),
                str(fields["name"]),
                int(fields["partitions"]),
                {str(name): str(value) for name, value in fields["configs"].items()},
                fields["deleted_ms"],
                bool(fields.get("purged", False)),
            ),
        )


@dataclass(frozen=True, slots=True)
class TopicNameRecord:
    """`topic-names/<name>/<version>`: the topic that has a name, as it is first created; None: the name was given back.

    Whoever finds a name taken by a topic without any record can finish its creation from what stands here, and so can
    whoever finds one whose undelete is half done.
    """

    topic: TopicRecord | None
    revives: int = 0  # the version of the topic that this record lets be: 0 its creation, else an undelete

    def encode(self) -> bytes:
        """As JSON."""
        topic = None if self.topic is None else self.topic.encode().decode()
        return encode_record({"topic": topic, **({"revives": self.revives} if self.revives else {})})

    @classmethod
    def decode(cls, body: bytes, where: str) -> Self:
        """From JSON."""
        return decode_record(
            body,
            where,
            lambda fields: cls(
                None if fields["topic"] is None else TopicRecord.decode(fields["topic"].encode(), where),
                int(fields.get("revives", 0)),
            ),
        )


@dataclass(frozen=True, slots=True)
class SettingRecord:
    """`settings/<kind>/<name>/<version>`: named values, e.g. the broker configs of a node id; none when removed."""

    values: Mapping[str, str]

    def encode(self) -> bytes:
        """As JSON."""
        return encode_record({"values": dict(self.values)})

    @classmethod
    def decode(cls, body: bytes, where: str) -> Self:
        """From JSON."""
        return decode_record(
            body, where, lambda fields: cls({str(name): str(value) for name, value in fields["values"].items()})
        )


@dataclass(frozen=True, slots=True)
class ProducerIdBlock:
    """`producer-ids/<block>`: who may give out the producer ids of a block."""

    session: SessionId

    def encode(self) -> bytes:
        """As JSON."""
        return encode_record({"node_id": self.session.node_id, "node_epoch": self.session.node_epoch})

    @classmethod
    def decode(cls, body: bytes, where: str) -> Self:
        """From JSON."""
        return decode_record(
            body, where, lambda fields: cls(SessionId(int(fields["node_id"]), int(fields["node_epoch"])))
        )
