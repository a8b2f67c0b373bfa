"""Recovery by hand: what a bucket holds and lacks, what can be put right in it, and its view built anew.

Reads and writes the bucket and Redis and nothing else; nodes may run meanwhile, and follow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from infra.clock import Clock
from infra.cluster.topic_mend import HalfTopic, half_topics, mend_topic
from infra.cluster.topics import NoView, TopicLedger
from infra.errors import Exists, Unavailable
from infra.segment.footer import read_extents
from infra.store.port import ObjectStore
from infra.view.rebuild import RebuildableView, rebuild
from infra.view.survey import PartitionSurvey, mend, survey


@dataclass(frozen=True, slots=True)
class Findings:
    """What a look through the bucket found."""

    names: Mapping[UUID, str]  # of topics that exist
    partitions: Sequence[PartitionSurvey]  # of these topics
    halves: Sequence[HalfTopic]

    @property
    def whole(self) -> bool:
        """Whether nothing is missing."""
        return not self.halves and not any(one.missing or one.instead for one in self.partitions)

    def to_mend(self, give_up: bool) -> list[PartitionSurvey]:
        """The partitions whose manifest can be told anew: without a loss, or with one when that is agreed to."""
        return [one for one in self.partitions if one.instead is not None and (give_up or not one.gives_up)]

    @property
    def left(self) -> list[PartitionSurvey]:
        """Those that can be put right only by giving up what is missing."""
        return [one for one in self.partitions if one.instead is not None and one.gives_up]


async def look(store: ObjectStore, clock: Clock) -> Findings:
    """Look through a bucket. Raises `Unavailable`."""
    ledger = TopicLedger(store, NoView(), clock)
    topics = await ledger.all()
    halves = await half_topics(store, ledger)
    names = {one: record.name for one, (_, record) in topics.items() if record.deleted_ms is None}
    names |= {half.record.topic_id: half.record.name for half in halves}
    found = [one for one in await survey(store, read_extents) if one.partition.topic_id in names]
    return Findings(names, sorted(found, key=lambda one: (names[one.partition.topic_id], one.partition)), halves)


async def mend_bucket(store: ObjectStore, findings: Findings, *, give_up: bool) -> int:
    """Put right what can be; how many records that took. Raises `Unavailable`."""
    for half in findings.halves:
        await mend_topic(store, half)
    partitions = findings.to_mend(give_up)
    for one in partitions:
        try:
            await mend(store, one)
        except Exists:
            raise Unavailable(f"somebody else wrote to the manifest of {one.partition}: call again") from None
    return len(findings.halves) + len(partitions)


async def build_view(view: RebuildableView, store: ObjectStore, clock: Clock) -> str:
    """Build the view from the bucket, whatever it holds; the new incarnation. Raises `Unavailable`."""
    return await rebuild(view, store, read_extents, clock, force=True)
