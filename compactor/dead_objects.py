"""Which of the objects of a bucket nothing refers to, and since when at the latest. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from compactor.garbage import ExtentSpan, Ledgers, living, record_segment_is_dead
from compactor.sweep import Listed, topic_of
from infra.object_key import BatchSegmentKey, ObjectKey, ProbeKey, RecordSegmentKey, TopicKey
from infra.store.port import ObjectInfo


@dataclass(frozen=True, slots=True)
class DeadObject:
    """An object that can go once it has been dead for the grace."""

    info: ObjectInfo
    key: ObjectKey
    reason: str
    since_ms: int  # by the store's clock

    @property
    def times(self) -> tuple[int, int]:
        """When it was made, and since when it is dead."""
        return self.info.modified_ms, max(self.info.modified_ms, self.since_ms)


def dead_objects(
    objects: Sequence[Listed], spans: Mapping[str, Sequence[ExtentSpan]], ledgers: Ledgers
) -> Iterator[DeadObject]:
    """All of `objects` that are garbage by the ledgers. `spans`: extents of the batch segments that can be read."""
    others = {topic_id for one in objects if (topic_id := topic_of(one.key)) is not None}
    for one in objects:
        dead = _dead(one, spans, ledgers, others)
        if dead is not None:
            yield DeadObject(one.info, one.key, *dead)


def _dead(
    one: Listed, spans: Mapping[str, Sequence[ExtentSpan]], ledgers: Ledgers, others: set[UUID]
) -> tuple[str, int] | None:
    key, topic_id = one.key, topic_of(one.key)
    if isinstance(key, BatchSegmentKey):
        held = spans.get(one.info.key)
        if held is None or living(held, ledgers):
            return None
        return "all it holds is compacted, deleted or void", max((_fate_ms(span, ledgers) for span in held), default=-1)
    if isinstance(key, ProbeKey):
        return "left behind by a start-up probe", -1
    if isinstance(key, TopicKey):
        if not ledgers.is_gone(key.topic_id) or key.topic_id in others:
            return None
        return "nothing else is left of its topic", _topic_ms(key.topic_id, ledgers)
    if topic_id is not None and ledgers.is_gone(topic_id):
        return "its topic is gone for good", _topic_ms(topic_id, ledgers)
    if isinstance(key, RecordSegmentKey) and record_segment_is_dead(one.info.key, key.partition, ledgers):
        return "no manifest names it", ledgers.partitions[key.partition].manifest_ms
    return None


def _fate_ms(span: ExtentSpan, ledgers: Ledgers) -> int:
    known = ledgers.partitions.get(span.partition)
    return _topic_ms(span.partition.topic_id, ledgers) if known is None else max(known.manifest_ms, known.epoch_ms)


def _topic_ms(topic_id: UUID, ledgers: Ledgers) -> int:
    state = ledgers.topics.get(topic_id)
    return -1 if state is None else state.modified_ms
