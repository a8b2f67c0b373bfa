"""Every key in the bucket is built and parsed here, and nowhere else. It knows names, not what is stored under them.

    cluster.json                                                                ClusterKey
    topics/<topic id>/<version>                                                 TopicKey           ledger
    topic-names/<name>/<version>                                                TopicNameKey       ledger
    settings/<kind>/<name>/<version>                                            SettingKey         ledger
    producer-ids/<block>                                                        ProducerIdsKey     ledger
    sessions/<node id>/<node epoch>                                             SessionKey         ledger
    epochs/<topic id>/<partition>/<leader epoch>                                EpochKey           ledger
    manifests/<topic id>/<partition>/<version>                                  ManifestKey        ledger
    fences/<node id>/<node epoch>                                               FenceKey
    releases/<topic id>/<partition>/<leader epoch>                              ReleaseKey
    batches/<node id>/<node epoch>/<sequence>.parquet                           BatchSegmentKey
    records/<topic id>/<partition>/<base offset>-<last offset>-<ulid>.parquet   RecordSegmentKey
    tables/<topic id>/…                                                         TableKey (Iceberg's own names below)
    probe/<token>                                                               ProbeKey (deleted at once)

Offsets are padded to 20 digits and all other numbers to 10, so that LIST sorts by number. Topic ids are lower-case
UUIDs. In names every byte but letters, digits, `_`, `-` and inner dots is written as `~` and two hex digits (Kafka's
topic names stay as they are); an empty name is `~`.

A ledger's prefix, as `infra.store.ledger.Ledger` takes it, is the key without its last part and slash.
"""

import re
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from infra.clock import Clock
from infra.errors import Corrupt
from infra.partition import PartitionId, SessionId

_MOST_NAME_BYTES = 255  # of one part of a key: what filesystems take
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

CLUSTER = "cluster.json"
BATCHES = "batches/"
EPOCHS = "epochs/"
FENCES = "fences/"
MANIFESTS = "manifests/"
PROBES = "probe/"
PRODUCER_IDS = "producer-ids/"
RECORDS = "records/"
RELEASES = "releases/"
SESSIONS = "sessions/"
SETTINGS = "settings/"
TABLES = "tables/"
TOPIC_NAMES = "topic-names/"
TOPICS = "topics/"

LAST_NUMBER = 10**10 - 1
"""The greatest that fits in the digits of a number."""

FIRST_RETURNED = 9_000_000_000
"""Batch segments of what a WAL returned are counted from here: they never meet those of the session's flushes."""


class ObjectKey(Protocol):
    """What each kind of key can do."""

    @property
    def key(self) -> str:
        """As it stands in the bucket."""


@dataclass(frozen=True, slots=True)
class ClusterKey:
    """Cluster id and format version."""

    @property
    def key(self) -> str:
        return CLUSTER


@dataclass(frozen=True, slots=True)
class TopicKey:
    """One version of a topic."""

    topic_id: UUID
    version: int

    @property
    def key(self) -> str:
        return f"{TOPICS}{self.topic_id}/{number(self.version)}"


@dataclass(frozen=True, slots=True)
class TopicNameKey:
    """Who has a topic name."""

    name: str
    version: int

    @property
    def key(self) -> str:
        return f"{TOPIC_NAMES}{escape_name(self.name)}/{number(self.version)}"


@dataclass(frozen=True, slots=True)
class SettingKey:
    """One version of a broker config, user, ACL or quota."""

    kind: str
    name: str
    version: int

    @property
    def key(self) -> str:
        return f"{SETTINGS}{escape_name(self.kind)}/{escape_name(self.name)}/{number(self.version)}"


@dataclass(frozen=True, slots=True)
class ProducerIdsKey:
    """A block of producer ids that somebody took."""

    block: int

    @property
    def key(self) -> str:
        return f"{PRODUCER_IDS}{number(self.block)}"


@dataclass(frozen=True, slots=True)
class SessionKey:
    """A session's record."""

    session: SessionId

    @property
    def key(self) -> str:
        return f"{SESSIONS}{_session(self.session)}"


@dataclass(frozen=True, slots=True)
class EpochKey:
    """An epoch record."""

    partition: PartitionId
    leader_epoch: int

    @property
    def key(self) -> str:
        return f"{EPOCHS}{_partition(self.partition)}/{number(self.leader_epoch)}"


@dataclass(frozen=True, slots=True)
class ManifestKey:
    """One change of a partition's manifest."""

    partition: PartitionId
    version: int

    @property
    def key(self) -> str:
        return f"{MANIFESTS}{_partition(self.partition)}/{number(self.version)}"


@dataclass(frozen=True, slots=True)
class FenceKey:
    """The fence of a session."""

    session: SessionId

    @property
    def key(self) -> str:
        return f"{FENCES}{_session(self.session)}"


@dataclass(frozen=True, slots=True)
class ReleaseKey:
    """A lease given back."""

    partition: PartitionId
    leader_epoch: int

    @property
    def key(self) -> str:
        return f"{RELEASES}{_partition(self.partition)}/{number(self.leader_epoch)}"


@dataclass(frozen=True, slots=True)
class BatchSegmentKey:
    """A batch segment; `sequence` counts the flushes of the session from 0."""

    session: SessionId
    sequence: int

    @property
    def key(self) -> str:
        return f"{BATCHES}{_session(self.session)}/{number(self.sequence)}.parquet"


@dataclass(frozen=True, slots=True)
class RecordSegmentKey:
    """A record segment; both offsets are inclusive, the ulid keeps two compactors' names apart."""

    partition: PartitionId
    base_offset: int
    last_offset: int
    ulid: str

    @property
    def key(self) -> str:
        span = f"{offset(self.base_offset)}-{offset(self.last_offset)}"
        return f"{RECORDS}{_partition(self.partition)}/{span}-{self.ulid}.parquet"


@dataclass(frozen=True, slots=True)
class TableKey:
    """A file of a topic's table; its path below the topic is Iceberg's."""

    topic_id: UUID
    path: str

    @property
    def key(self) -> str:
        return f"{TABLES}{self.topic_id}/{self.path}"


@dataclass(frozen=True, slots=True)
class ProbeKey:
    """What the start-up probe creates and deletes."""

    token: str

    @property
    def key(self) -> str:
        return f"{PROBES}{self.token}"


# prefixes: of ledgers (no slash at the end), and of listings (with it)


def topic_ledger(topic_id: UUID) -> str:
    """Ledger of one topic."""
    return f"{TOPICS}{topic_id}"


def topic_name_ledger(name: str) -> str:
    """Ledger of one topic name."""
    return f"{TOPIC_NAMES}{escape_name(name)}"


def setting_ledger(kind: str, name: str) -> str:
    """Ledger of one setting."""
    return f"{SETTINGS}{escape_name(kind)}/{escape_name(name)}"


def producer_id_ledger() -> str:
    """Ledger of the blocks of producer ids."""
    return PRODUCER_IDS.rstrip("/")


def session_ledger(node_id: int) -> str:
    """Ledger of one node id's sessions."""
    return f"{SESSIONS}{number(node_id)}"


def epoch_ledger(partition: PartitionId) -> str:
    """Ledger of one partition's leader epochs."""
    return f"{EPOCHS}{_partition(partition)}"


def manifest_ledger(partition: PartitionId) -> str:
    """Ledger of one partition's manifest."""
    return f"{MANIFESTS}{_partition(partition)}"


def ledger_key(prefix: str, entry: int) -> str:
    """Key of a ledger's entry."""
    return f"{prefix}/{number(entry)}"


def ledger_number(prefix: str, key: str) -> int:
    """Number of a ledger's entry. Raises `Corrupt` when the key is none of that ledger's."""
    digits = key[len(prefix) + 1 :]
    if not key.startswith(prefix + "/") or not re.fullmatch(r"[0-9]{10}", digits):
        raise Corrupt(f"{key} is no entry of the ledger {prefix}")
    return int(digits)


def epochs_of_topic(topic_id: UUID) -> str:
    """Prefix of all epoch records of one topic."""
    return f"{EPOCHS}{topic_id}/"


def manifests_of_topic(topic_id: UUID) -> str:
    """Prefix of all manifests of one topic."""
    return f"{MANIFESTS}{topic_id}/"


def releases_of_topic(topic_id: UUID) -> str:
    """Prefix of all releases of one topic."""
    return f"{RELEASES}{topic_id}/"


def batches_of_node(node_id: int) -> str:
    """Prefix of all batch segments of one node id."""
    return f"{BATCHES}{number(node_id)}/"


def fences_of_node(node_id: int) -> str:
    """Prefix of all fences of one node id."""
    return f"{FENCES}{number(node_id)}/"


def batches_of_session(session: SessionId) -> str:
    """Prefix of all batch segments of one session."""
    return f"{BATCHES}{_session(session)}/"


def records_of_topic(topic_id: UUID) -> str:
    """Prefix of all record segments of one topic."""
    return f"{RECORDS}{topic_id}/"


def records_of_partition(partition: PartitionId) -> str:
    """Prefix of all record segments of one partition."""
    return f"{RECORDS}{_partition(partition)}/"


def table_of_topic(topic_id: UUID) -> str:
    """Prefix of a topic's table."""
    return f"{TABLES}{topic_id}/"


# parts


def number(value: int) -> str:
    """Ten digits."""
    if not 0 <= value <= LAST_NUMBER:
        raise ValueError(f"{value} does not fit in ten digits")
    return f"{value:010d}"


def offset(value: int) -> str:
    """Twenty digits."""
    if not 0 <= value < 10**20:
        raise ValueError(f"{value} is no offset")
    return f"{value:020d}"


def escape_name(name: str) -> str:
    """A name as one part of a key. Raises `ValueError` when it would be longer than a filesystem takes."""
    if _PLAIN.fullmatch(name):
        escaped = name
    else:
        escaped = "".join(_escape_byte(byte, first=at == 0) for at, byte in enumerate(name.encode())) or "~"
    if len(escaped) > _MOST_NAME_BYTES:
        raise ValueError(f"the name {name[:40]!r}… is too long: {len(escaped)} bytes in a key, {_MOST_NAME_BYTES} fit")
    return escaped


def unescape_name(escaped: str) -> str:
    """The name that was escaped. Raises `ValueError` for what `escape_name` never makes."""
    if escaped == "~":
        return ""
    raw = re.sub(rb"~([0-9A-F]{2})", lambda found: bytes.fromhex(found[1].decode()), escaped.encode())
    name = raw.decode()
    if escape_name(name) != escaped:
        raise ValueError(f"{escaped!r} is no escaped name")
    return name


def new_ulid(clock: Clock) -> str:
    """Twenty-six characters: sortable by the wall clock, the rest random."""
    value = (clock.now_ms() << 80) | (clock.uuid().int & ((1 << 64) - 1)) | (int(clock.token()[:4], 16) << 64)
    return "".join(_CROCKFORD[(value >> shift) & 31] for shift in range(125, -1, -5))


def parse_key(key: str) -> ObjectKey:
    """Which object a key names. Raises `Corrupt` when it names none of ours."""
    if key == CLUSTER:
        return ClusterKey()
    first, _, rest = key.partition("/")
    try:
        parsed = _parse(first, rest)
        if parsed is not None and parsed.key == key:
            return parsed
    except ValueError:
        pass
    raise Corrupt(f"{key} is no key of a Cauce bucket")


def _parse(first: str, rest: str) -> ObjectKey | None:
    parts = rest.split("/")
    match (first, *parts):
        case ("topics", topic_id, version):
            return TopicKey(UUID(topic_id), int(version))
        case ("topic-names", name, version):
            return TopicNameKey(unescape_name(name), int(version))
        case ("settings", kind, name, version):
            return SettingKey(unescape_name(kind), unescape_name(name), int(version))
        case ("producer-ids", block):
            return ProducerIdsKey(int(block))
        case ("sessions", node_id, node_epoch):
            return SessionKey(SessionId(int(node_id), int(node_epoch)))
        case ("fences", node_id, node_epoch):
            return FenceKey(SessionId(int(node_id), int(node_epoch)))
        case ("batches", node_id, node_epoch, name):
            session = SessionId(int(node_id), int(node_epoch))
            return BatchSegmentKey(session, int(name.removesuffix(".parquet")))
        case ("epochs" | "manifests" | "releases" | "records", topic_id, partition, name):
            return _parse_of_partition(first, PartitionId(UUID(topic_id), int(partition)), name)
        case ("tables", topic_id, _, *_):
            return TableKey(UUID(topic_id), rest.partition("/")[2])
        case ("probe", token):
            return ProbeKey(token)
    return None


def _parse_of_partition(first: str, partition: PartitionId, name: str) -> ObjectKey:
    if first == "epochs":
        return EpochKey(partition, int(name))
    if first == "manifests":
        return ManifestKey(partition, int(name))
    if first == "releases":
        return ReleaseKey(partition, int(name))
    base_offset, last_offset, ulid = name.removesuffix(".parquet").split("-")
    if not re.fullmatch(f"[{_CROCKFORD}]{{26}}", ulid):
        raise ValueError(f"{ulid!r} is no ulid")
    return RecordSegmentKey(partition, int(base_offset), int(last_offset), ulid)


def _escape_byte(byte: int, *, first: bool) -> str:
    character = chr(byte)
    if byte < 128 and (character.isalnum() or character in "_-" or (character == "." and not first)):
        return character
    return f"~{byte:02X}"


def _session(session: SessionId) -> str:
    return f"{number(session.node_id)}/{number(session.node_epoch)}"


def _partition(partition: PartitionId) -> str:
    return f"{partition.topic_id}/{number(partition.partition)}"
