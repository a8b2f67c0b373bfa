"""Writers and a group that go on through the whole upgrade, and what they must have been given in the end."""

from contextlib import ExitStack
from types import TracebackType
from typing import Self

from tests.cauce.cluster import GroupMember, eventually, read_all
from tests.cauce.steady_producer import SteadyProducer
from tests.upgrade.cluster import MixedNodes
from tests.wire.confluent_client import ConfluentClient

_DURABILITIES = ("object", "wal")


class Load:
    """One idempotent writer and two members of a group for a topic of each durability."""

    def __init__(self, cluster: MixedNodes, partitions: int, pause_seconds: float = 0.02) -> None:
        """`partitions` of a topic: so many that each node leads some, whatever the ids of the topics are."""
        self._cluster = cluster
        self._partitions = partitions
        self._pause_seconds = pause_seconds
        self._stack = ExitStack()
        self._writers: dict[str, SteadyProducer] = {}
        self._members: dict[str, list[GroupMember]] = {}

    def __enter__(self) -> Self:
        client = ConfluentClient(self._cluster.bootstrap)
        for durability in _DURABILITIES:
            topic = f"load.{durability}"
            client.create_topic(topic, self._partitions, {"cauce.durability": durability})
            self._cluster.await_leaders(topic)
            writer = SteadyProducer(self._cluster.bootstrap, topic, self._pause_seconds)
            members = [GroupMember(self._cluster.bootstrap, f"{topic}.group", topic) for _ in range(2)]
            self._writers[topic], self._members[topic] = writer, members
            for one in (writer, *members):
                self._stack.enter_context(one)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is not None:
            self._cluster.print_ends(error)  # at once: clients that cannot reach a node take minutes to close
        self._stack.__exit__(kind, error, at)

    def goes_on(self) -> None:
        """Every node leads something, says so, and more is acknowledged; nothing was refused."""
        for topic, writer in self._writers.items():
            self._cluster.await_leaders(topic)
            writer.await_more(100)
            assert not writer.refused, f"{topic}: {writer.refused[:3]}"

    def end(self) -> str:
        """Stop writing, and compare what was acknowledged to what every node gives, and to what the group was given."""
        for writer in self._writers.values():
            writer.stop()
        counts = []
        for topic, writer in self._writers.items():
            assert not writer.refused, f"{topic}: {writer.refused[:3]}"
            reads = [read_all(node.bootstrap, topic, self._partitions) for node in self._cluster.living]
            promised = writer.promised(reads[0])
            assert len(set(promised.values())) == len(promised)
            for found in reads:
                lost, more = promised.items() - found.items(), found.items() - promised.items()
                assert not lost, f"{topic}: {len(lost)} of {len(promised)} lost, {sorted(lost)[:3]}"
                assert not more, f"{topic}: {len(more)} that nobody acknowledged, {sorted(more)[:3]}"
            eventually(f"the group of {topic} has read all", lambda: self._given(topic) >= promised.items())  # noqa: B023
            assert self._given(topic) == promised.items()
            counts.append(f"{topic} {len(promised)} ({len(writer.unplaced)} of them without an offset)")
        return "acknowledged and read by every node and the group, each once: " + ", ".join(counts)

    def _given(self, topic: str) -> set[tuple[tuple[int, int], bytes]]:
        return {row for member in self._members[topic] for row in list(member.got.items())}
