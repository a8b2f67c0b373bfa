"""The parts of a node that only reads: it follows what others lead. Nothing here starts anything."""

from cauce.shared_parts import SharedParts
from infra.errors import NotLeader
from infra.partition import PartitionId
from infra.ports import LogReader
from infra.security.from_settings import node_security
from reader.followers import Followers
from reader.history_source import HistorySource
from reader.leader_connection import LeaderConnections
from reader.subscription import Means


class NothingLed:
    """The `TailSource` of a node that leads nothing."""

    def log(self, partition: PartitionId) -> LogReader:
        """Raises `NotLeader`, always."""
        raise NotLeader(f"this node leads no partition, nor {partition}")


class ReaderParts:
    """What a reader node has beside the shared parts."""

    def __init__(self, shared: SharedParts) -> None:
        settings, state = shared.settings, shared.state
        tail_bytes: int = settings["cauce.tail.bytes"]
        self.shared = shared
        self.led = NothingLed()
        self.followers = Followers(
            Means(
                state=state,
                histories=HistorySource(shared.store, shared.view, state),
                connections=LeaderConnections(
                    state.nodes,
                    settings.inter_broker_listener,
                    lambda: shared.session.session.node_id,
                    tail_bytes=tail_bytes,
                    security=node_security(settings),
                ),
                clock=shared.clock,
                observer=shared.read_metrics,
            ),
            tail_bytes=tail_bytes,
        )
