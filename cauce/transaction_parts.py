"""The parts of a node that coordinates transactions, made and joined: nothing here starts anything."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from cauce.shared_parts import SharedParts
from infra.error_code import ErrorCode
from infra.partition import PartitionId
from infra.records.control import Marker
from infra.security.from_settings import node_security
from infra.settings import Settings
from ingest.coordinator.marker_carrier import NodeMarkers
from ingest.coordinator.marker_sender import Ending, MarkerSender
from ingest.coordinator.transaction_check import CoordinatorCheck
from ingest.coordinator.transaction_coordinator import TransactionCoordinator
from ingest.coordinator.transaction_shard import TransactionParts
from ingest.coordinator.transactions import TransactionLimits
from ingest.leaders import Leaders
from ingest.observer import IngestObserver
from ingest.peers import Peers
from reader.log_source import LedLogs

_VERIFY_SECONDS = 10.0  # a producer waits for it, and asks again
_MARKERS_SECONDS = 60.0  # an answer takes a flush; one that is given up means that the markers are written again

WriteMarkers = Callable[[Marker, Sequence[PartitionId]], Awaitable[Mapping[PartitionId, ErrorCode]]]


class CoordinatedTransactions:
    """Coordinator, check and the way to other nodes: one a node."""

    def __init__(
        self, shared: SharedParts, leaders: Leaders, write_markers: WriteMarkers, observer: IngestObserver
    ) -> None:
        """`write_markers` writes one into partitions that this node leads."""
        listener, security = shared.settings.inter_broker_listener, node_security(shared.settings)
        # Two ways to each node: whether a partition is in a transaction must not wait behind a flush.
        self._asking = Peers(shared.state.nodes, listener, timeout_seconds=_VERIFY_SECONDS, security=security)
        self._marking = Peers(shared.state.nodes, listener, timeout_seconds=_MARKERS_SECONDS, security=security)

        async def write_here(ending: Ending, partitions: Sequence[PartitionId]) -> Mapping[PartitionId, ErrorCode]:
            producer = ending.producer
            marker = Marker(producer.producer_id, producer.epoch, ending.coordinator_epoch, ending.commit)
            return await write_markers(marker, partitions)

        carrier = NodeMarkers(shared.state, shared.session, write_here, self._marking)
        self.coordinator = TransactionCoordinator(
            directory=shared.state,
            guard=shared.session,
            producer_ids=shared.producer_ids,
            parts=TransactionParts(
                appender=leaders,
                source=LedLogs(leaders, shared.catch_up),
                markers=MarkerSender(shared.state, carrier, shared.topic_ledger.partitions_of),
                clock=shared.clock,
                limits=_limits(shared.settings),
                observer=observer,
            ),
            clock=shared.clock,
        )
        self.check = CoordinatorCheck(self.coordinator, shared.state, self._asking)

    async def close(self) -> None:
        """Coordinate nothing more, and ask nobody."""
        await self.coordinator.close()
        await self._asking.close()
        await self._marking.close()


def _limits(settings: Settings) -> TransactionLimits:
    return TransactionLimits(
        max_timeout_ms=settings["transaction.max.timeout.ms"],
        id_expiration_ms=settings["transactional.id.expiration.ms"],
        timeout_check_interval_ms=settings["transaction.abort.timed.out.transaction.cleanup.interval.ms"],
        expiry_check_interval_ms=settings["transaction.remove.expired.transaction.cleanup.interval.ms"],
    )
