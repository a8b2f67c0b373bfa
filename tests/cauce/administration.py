"""A cluster of one node without a node: ledgers over a memory bucket, the picture of it, and who alters it."""

import asyncio
from collections.abc import Awaitable, Callable

from cauce.config_admin import ConfigAdmin
from cauce.topic_admin import TopicAdmin
from infra.cluster.manifest import ManifestLedger
from infra.cluster.settings import BrokerConfigLedger
from infra.cluster.state import ClusterState
from infra.cluster.topics import TopicLedger
from tests.cluster.world import World


class Cluster:
    """What the handlers of the whole cluster stand on."""

    def __init__(self, world: World, state: ClusterState, topics: TopicLedger, brokers: BrokerConfigLedger) -> None:
        self.world = world
        self.state = state
        self.changes = 0
        internal = {"__consumer_offsets": 16, "__transaction_state": 8}
        self.topics = TopicAdmin(
            state, topics, default_partitions=3, internal_partitions=internal, changed=self._on_changed
        )
        self.manifests = ManifestLedger(world.store)
        self.configs = ConfigAdmin(state, self.topics, brokers, self.manifests)

    def _on_changed(self) -> None:
        self.changes += 1


def in_cluster(test: Callable[[Cluster], Awaitable[None]]) -> None:
    """Run a test in a cluster with the live node 1; nobody leads anything there, so creations are not to wait."""

    async def main() -> None:
        world = await World().start()
        await world.session(1)
        view = await world.view()
        state = ClusterState(view, world.clock, "cluster")
        await state.refresh()
        await test(
            Cluster(world, state, TopicLedger(world.store, view, world.clock), BrokerConfigLedger(world.store, view))
        )

    asyncio.run(main())
