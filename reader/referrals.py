"""Which consumers a leader sends to a reader node (KIP-392), and which it serves itself. Plain.

Whoever reads behind the tail is sent to a reader, of the consumer's own rack where there is one, the same for a
partition as long as the readers stay. Whoever reads the tail stays, unless its rack has a reader and the leader is in
another one: what Kafka's RackAwareReplicaSelector does. A client that comes back for the same offset does not follow,
or its reader is gone: it is served here, and not asked again for a while.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from infra.clock import Clock
from infra.cluster.rendezvous import preferred_node
from infra.partition import PartitionId
from infra.view.port import LiveSession
from reader.fetch_pass import PartitionFetch

STAY_SECONDS = 60.0  # a consumer that came back is served by the leader for so long
_REMEMBERED = 100_000  # referrals; the oldest is forgotten beyond it, and may then be told twice

_Place = tuple[int, PartitionId]  # connection id, partition


@dataclass(slots=True)
class _Told:
    offset: int
    stays_until: float = 0.0  # monotonic; 0 while it has not come back


class Referrals:
    """One a leading node."""

    def __init__(self, readers: Callable[[], Sequence[LiveSession]], rack: str | None, clock: Clock) -> None:
        """`readers`: the reader nodes that live now. `rack`: of this node."""
        self._readers = readers
        self._rack = rack
        self._clock = clock
        self._told: OrderedDict[_Place, _Told] = OrderedDict()

    def of(self, connection_id: int, listener: str, rack: str) -> "ConsumerReferral":
        """For one request: its connection, the listener it came in by, and its consumer's rack ("" for none)."""
        return ConsumerReferral(self, connection_id, listener, rack)

    def find(self, listener: str, rack: str, partition: PartitionId, *, cold: bool) -> int:
        """The reader that should serve a partition, -1 when this node should."""
        readers = [node for node in self._readers() if listener in node.endpoints]
        near = [node for node in readers if rack and node.rack == rack]
        if not cold and (self._rack == rack or not near):
            return -1
        found = preferred_node(partition, (node.session.node_id for node in near or readers))
        return -1 if found is None else found

    def may_tell(self, connection_id: int, partition: PartitionId, offset: int) -> bool:
        """Whether a consumer may be referred at this offset; remembered as told when it may."""
        place = (connection_id, partition)
        told = self._told.get(place)
        now = self._clock.monotonic()
        if told is not None:
            if told.stays_until == 0.0 and told.offset == offset:
                told.stays_until = now + STAY_SECONDS
            if now < told.stays_until:
                return False
        self._told[place] = _Told(offset)
        self._told.move_to_end(place)
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        return True


class ConsumerReferral:
    """The decisions of one request: each partition is decided once, however often the request is looked at."""

    def __init__(self, referrals: Referrals, connection_id: int, listener: str, rack: str) -> None:
        self._referrals = referrals
        self._connection_id = connection_id
        self._listener = listener
        self._rack = rack
        self._decided: dict[PartitionId, int] = {}

    def __call__(self, fetch: PartitionFetch, cold: bool) -> int:
        """As `Refer`."""
        decided = self._decided.get(fetch.partition)
        if decided is None:
            decided = self._referrals.find(self._listener, self._rack, fetch.partition, cold=cold)
            if decided >= 0 and not self._referrals.may_tell(self._connection_id, fetch.partition, fetch.offset):
                decided = -1
            self._decided[fetch.partition] = decided
        return decided
