"""What a case needs of a client library: one small adapter per library, so that every case runs on all of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tests.patience import PATIENCE

WAIT_SECONDS = 45.0 * PATIENCE  # how long any one step of a case may take before it has failed


class LeftOut(Exception):
    """This client library has no such feature: the case says nothing about the server."""


class RefusedByServer(Exception):
    """The server answered with a Kafka error; `code` is its number."""

    def __init__(self, code: int, text: str = "") -> None:
        super().__init__(f"{code} {text}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Security:
    """Who a client is and how it proves it, over TLS; each library has words of its own for it."""

    mechanism: str  # of SASL
    user: str
    password: str
    authority: Path  # PEM of the authority that the nodes' certificates must come from


@dataclass(frozen=True, slots=True)
class Sent:
    """A record to produce."""

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp: int | None = None  # ms
    partition: int | None = 0


@dataclass(frozen=True, slots=True)
class Got:
    """A record as consumed."""

    partition: int
    offset: int
    value: bytes | None
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp: int

    @property
    def place(self) -> tuple[int, int]:
        """Partition and offset."""
        return self.partition, self.offset


class Member(ABC):
    """A group member that polls in the background until it is closed."""

    @abstractmethod
    def assignment(self) -> set[int]:
        """Partitions it holds now."""

    @abstractmethod
    def records(self) -> list[Got]:
        """All it has read so far."""

    @abstractmethod
    def close(self) -> None:
        """Leave the group (a static member only stops) and commit what was read."""


class Transactional(ABC):
    """A producer with a transactional id that has fenced those before it.

    A producer that is fenced is refused with PRODUCER_FENCED, whatever its library calls it.
    """

    @abstractmethod
    def begin(self) -> None: ...
    @abstractmethod
    def send(self, topic: str, records: Sequence[Sent]) -> None:
        """Return once all are acknowledged."""

    @abstractmethod
    def commit(self) -> None: ...
    @abstractmethod
    def abort(self) -> None: ...
    @abstractmethod
    def close(self) -> None:
        """Whatever it has left open stays open."""

    def pass_on(self, got: Sequence[Got], target: str, send_offsets: Callable[[], None], *, commit: bool) -> None:
        """Write what was read, with the offsets of who read it, in one transaction."""
        self.begin()
        self.send(target, [Sent(one.value) for one in got])
        send_offsets()
        (self.commit if commit else self.abort)()


class Client(ABC):
    """One client library. Methods raise `RefusedByServer` with Kafka's error code, `LeftOut` for a missing feature."""

    name: ClassVar[str]

    def __init__(self, bootstrap: str, security: Security | None = None, node_count: int = 1) -> None:
        """`security`: None for plain text and nobody in particular. `node_count`: how many nodes there are."""
        self.bootstrap = bootstrap
        self.security = security
        self.node_count = node_count
        self.notes: list[str] = []  # what a case has to say though it passed

    def close(self) -> None:  # noqa: B027 (most keep nothing open)
        """Leave no connection and no thread behind."""

    @abstractmethod
    def create_topic(self, topic: str, partitions: int = 1, configs: Mapping[str, str] | None = None) -> None: ...
    @abstractmethod
    def delete_topic(self, topic: str) -> None: ...
    @abstractmethod
    def topics(self) -> dict[str, int]:
        """Topic name → number of partitions."""

    @abstractmethod
    def add_partitions(self, topic: str, count: int) -> None: ...
    @abstractmethod
    def topic_config(self, topic: str) -> dict[str, str | None]: ...
    @abstractmethod
    def set_topic_config(self, topic: str, configs: Mapping[str, str]) -> None:
        """Incrementally."""

    @abstractmethod
    def broker_config(self) -> dict[str, str | None]: ...
    @abstractmethod
    def nodes(self) -> int:
        """How many nodes the cluster has."""

    @abstractmethod
    def delete_records(self, topic: str, partition: int, before: int) -> None: ...
    @abstractmethod
    def produce(
        self, topic: str, records: Sequence[Sent], *, codec: str = "none", acks: int = -1, idempotent: bool = False
    ) -> list[int]:
        """Offsets in the order of records (-1 for each with acks=0)."""

    @abstractmethod
    def read(
        self,
        topic: str,
        count: int,
        *,
        starts: Mapping[int, int] | None = None,
        options: Mapping[str, object] | None = None,
    ) -> list[Got]:
        """`count` records without a group, from the beginning or from the given offsets of these partitions.

        Neutral options: max_partition_bytes, read_committed (bool), reset ("earliest" or "latest").
        """

    @abstractmethod
    def read_group(self, topic: str, group: str, count: int) -> list[Got]:
        """A member joins, reads `count` records from its committed offsets (else earliest), commits and leaves."""

    @abstractmethod
    def member(
        self,
        topic: str,
        group: str,
        *,
        instance_id: str | None = None,
        cooperative: bool = False,
        timeout_ms: int = 10_000,
    ) -> Member: ...
    @abstractmethod
    def watermarks(self, topic: str, partition: int) -> tuple[int, int]: ...
    @abstractmethod
    def offset_at(self, topic: str, partition: int, timestamp: int) -> int | None:
        """First offset at or after a time, None when there is none."""

    @abstractmethod
    def commit(self, group: str, topic: str, partition: int, offset: int) -> None:
        """As a simple consumer, without joining."""

    @abstractmethod
    def committed(self, group: str, topic: str, partition: int) -> int | None: ...
    @abstractmethod
    def groups(self) -> set[str]: ...
    @abstractmethod
    def group_state(self, group: str) -> tuple[str, int]:
        """State and number of members."""

    @abstractmethod
    def delete_group(self, group: str) -> None: ...

    @abstractmethod
    def transactional(self, transactional_id: str, timeout_ms: int = 60_000) -> Transactional: ...
    @abstractmethod
    def transform(
        self, producer: Transactional, source: str, target: str, group: str, count: int, *, commit: bool
    ) -> list[Got]:
        """A group member reads `count` records from its committed offsets, and leaves; their values are written to
        `target` with the member's new offsets in one transaction, which is committed or aborted."""
